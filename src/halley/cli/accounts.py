"""`halley accounts`: list, create and show accounts with their balances, rounded down to what can be spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from halley.cli.door import ask
from halley.money import show as dollars

if TYPE_CHECKING:
    from halley.store.values import Account

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def accounts() -> None:
    """Create and show accounts."""


@accounts.command(name="list")
@_JSON
def list_accounts(as_json: bool) -> None:
    """Show every account."""
    from halley.control.asks import Accounts, Nothing

    found = ask("accounts.list", Nothing(), Accounts).accounts
    if as_json:
        click.echo(msgspec.json.encode({"accounts": [described(each) for each in found]}))
        return
    for each in found:
        click.echo(in_words(each))


@accounts.command()
@click.argument("name")
@click.option("--unlimited", is_flag=True, help="Spend is booked, not prepaid.")
@_JSON
def create(name: str, unlimited: bool, as_json: bool) -> None:
    """Make the account NAME, without credit."""
    from halley.control.asks import Accounts, CreateAccount

    _print(ask("accounts.create", CreateAccount(name, unlimited), Accounts).accounts[0], as_json)


@accounts.command()
@click.argument("name")
@_JSON
def show(name: str, as_json: bool) -> None:
    """Show the account NAME."""
    from halley.control.asks import Accounts, Named

    _print(ask("accounts.show", Named(name), Accounts).accounts[0], as_json)


def described(account: Account) -> dict[str, str | int]:
    """An account as JSON: dollars for people, nano-dollars for programs."""
    return {
        "account": account.id,
        "credit": "unlimited" if account.unlimited else "prepaid",
        "source": account.source,
        "available_usd": dollars(account.available),
        "held_usd": dollars(account.held),
        "owed_usd": dollars(account.owed),
        "available_nano": account.available,
        "held_nano": account.held,
        "owed_nano": account.owed,
    }


def in_words(account: Account) -> str:
    if account.unlimited:
        return f"{account.id}  unlimited, {dollars(account.owed)} USD spent"
    return f"{account.id}  {dollars(account.available)} USD available, {dollars(account.held)} USD lent to relays"


def _print(account: Account, as_json: bool) -> None:
    click.echo(msgspec.json.encode(described(account)) if as_json else in_words(account))
