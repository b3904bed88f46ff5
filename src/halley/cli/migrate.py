"""`halley migrate`: brings the store to this version's schema while no gateway runs. SQLite is backed up first, beside the file."""

from __future__ import annotations

import os

import click
import msgspec

from halley.cli.door import plan
from halley.supervise.doors import home_directory


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def migrate(as_json: bool) -> None:
    """Bring the store to this version's schema. A store that is there already is left as it is."""
    from halley.store.database import StoreLock, open_store

    wanted = plan()
    home_directory(wanted.home)
    lock = StoreLock(wanted.home)
    try:
        store = open_store(wanted.store_url, wanted.home, wanted.master_key, os.environ, migrate=True)
        revision = store.revision
        store.close()
    finally:
        lock.release()
    if as_json:
        click.echo(msgspec.json.encode({"revision": revision}))
    else:
        click.echo(f"The store has schema {revision}.", err=True)
