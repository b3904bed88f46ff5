"""`halley backup`: a copy of the store while it is in use, whole and proven, or no file at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from halley.cli.door import plan


@click.command()
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backup(dest: Path, as_json: bool) -> None:
    """Copy the store into the new file DEST while the gateway runs on, and prove the copy.

    Exit code 0 when the copy is there and its ledger agrees; 1 when its ledger does not, which is named, or when no copy was made.
    """
    from halley.store.dump import save

    wanted = plan()
    saved = save(wanted.store_url, wanted.home, dest, os.environ)
    differences = saved.found.differences
    if as_json:
        click.echo(msgspec.json.encode(saved))
    else:
        for difference in differences:
            click.echo(f"{difference.check}: {difference.subject}: {difference.detail}")
        verdict = f"{len(differences)} differences in its ledger" if differences else "its ledger is clean"
        click.echo(f"{saved.path}: {saved.bytes} bytes, {saved.found.requests} requests, {verdict}.", err=True)
        click.echo("The master key is not in it, and nothing in it is good without; keep that apart.", err=True)
    sys.exit(1 if differences else 0)
