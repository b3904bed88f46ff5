"""`halley migrate`: brings the store to this version's schema while no gateway runs. SQLite is backed up first, beside the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import msgspec

from halley.cli.door import plan
from halley.supervise.doors import home_directory

if TYPE_CHECKING:
    from halley.store.database import Outlook


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def migrate(only_plan: bool, as_json: bool) -> None:
    """Bring the store to this version's schema. A store that is there already is left as it is.

    Exit code 0 when that is done, or with --plan when it could be; 1 when it is refused, and then nothing was changed.
    """
    from halley.store.database import StoreLock, open_store, outlook

    wanted = plan()
    if only_plan:
        _show(outlook(wanted.store_url, wanted.home), as_json)
        return
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


def _show(ahead: Outlook, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"revision": ahead.revision, "head": ahead.head, "steps": ahead.steps}))
        return
    for step in ahead.steps:
        click.echo(f"-- {step.revision}: {step.does} Rows: {step.rows} at most.")
        for statement in step.statements:
            click.echo(f"{statement};")
    now = f"The store has schema {ahead.revision}" if ahead.revision else "There is no store yet"
    what = f"{len(ahead.steps)} steps lead to {ahead.head}" if ahead.steps else "there is nothing to do"
    click.echo(f"{now}; {what}. Nothing was changed.", err=True)
