"""`halley balance`: what an account can still spend."""

from __future__ import annotations

import click
import msgspec

from halley.cli.accounts import described, in_words
from halley.cli.door import ask


@click.command()
@click.argument("account", default="default")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def balance(account: str, as_json: bool) -> None:
    """Show what ACCOUNT can still spend, and what is lent to relays for requests that run."""
    from halley.control.asks import Accounts, Named

    found = ask("accounts.show", Named(account), Accounts).accounts[0]
    click.echo(msgspec.json.encode(described(found)) if as_json else in_words(found))
