"""`halley move`: takes the store from SQLite to PostgreSQL, all of it or nothing."""

from __future__ import annotations

import os

import click
import msgspec

from halley import config, crash
from halley.cli.door import plan
from halley.config_secrets import resolve_secret
from halley.secret import Secret
from halley.supervise.doors import CannotStart, home_directory, node_runs


@click.command()
@click.option("--to", "target", required=True, metavar="URL", help="The empty PostgreSQL database: its URL, env:NAME or file:PATH.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def move(target: str, as_json: bool) -> None:
    """Move the store from SQLite to an empty PostgreSQL database while no gateway runs, and prove that all of it is there.

    Exit code 0 when everything was moved, 1 when it is refused, and then nothing was.
    """
    from halley.store.database import StoreLock
    from halley.store.moving import move as moved

    url = resolve_secret(Secret(target), os.environ).reveal()
    home = config.home(os.environ)
    if node_runs(home):
        raise CannotStart(f"A gateway runs on {home}; stop it first.")
    wanted = plan()
    home_directory(wanted.home)
    lock = StoreLock(wanted.home)
    crash.arm("move", os.fspath(wanted.home), os.environ)
    try:
        done = moved(wanted.store_url, wanted.home, wanted.master_key, os.environ, url)
    finally:
        lock.release()
    if as_json:
        click.echo(msgspec.json.encode(done))
        return
    for table, count in done.rows.items():
        click.echo(f"{table}: {count}")
    differences = len(done.found.differences)
    verdict = f"has the same {differences} differences as before" if differences else "is clean"
    click.echo(f"{sum(done.rows.values())} rows are moved and read back; the ledger {verdict}. Now set [store] url, and start.", err=True)
