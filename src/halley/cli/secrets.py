"""`halley secrets`: the master key that wraps what the store must not hold plain. No key is ever printed or taken as an argument."""

from __future__ import annotations

import click
import msgspec

from halley.cli.door import ask


@click.group()
def secrets() -> None:
    """Rotate the master key of the store."""


@secrets.command()
@click.option("--master-key", metavar="file:PATH|env:NAME", help="Where the key is, when [secrets] master_key does not say so here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rotate(master_key: str | None, as_json: bool) -> None:
    """Make a new master key and wrap everything anew under it, while requests go on. The old key opens nothing afterwards."""
    from halley.control.asks import RotateMasterKey
    from halley.store.values import Rotated

    done = ask("secrets.rotate", RotateMasterKey(master_key or ""), Rotated, {"secrets.master_key": master_key})
    if as_json:
        click.echo(msgspec.json.encode(done))
        return
    click.echo(f"The master key in {done.master_key} is new; wrapped anew: {done.secrets} in the store, {done.backups} backups.", err=True)
    if done.master_key.startswith("env:"):
        name = done.master_key.removeprefix("env:")
        click.echo(f"It is the one of {name}_NEXT. Move it to {name} and remove {name}_NEXT before the next rotation.", err=True)
    click.echo("Copies of the database that were made before, elsewhere, need the old key: keep it with them, or delete them.", err=True)
