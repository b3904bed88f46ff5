"""`halley users`: who may act for which account. Users get in by tokens (`halley tokens`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from halley.cli.door import ask

if TYPE_CHECKING:
    from halley.store.values import User

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_ACCOUNT = click.option("--account", default="default", show_default=True, help="Which account it is about.")


@click.group()
def users() -> None:
    """Say who may act for an account."""


@users.command()
@click.argument("name")
@_ACCOUNT
@click.option("--role", type=click.Choice(["owner", "member"]), default="member", show_default=True, help="A member reads usage only.")
@_JSON
def create(name: str, account: str, role: str, as_json: bool) -> None:
    """Let NAME act for an account, or give another role there."""
    from halley.control.asks import CreateUser, Users

    _print(ask("users.create", CreateUser(name, account, role), Users).users, as_json)


@users.command(name="list")
@_JSON
def list_users(as_json: bool) -> None:
    """Show users and their roles."""
    from halley.control.asks import Nothing, Users

    _print(ask("users.list", Nothing(), Users).users, as_json)


@users.command()
@click.argument("name")
@_ACCOUNT
@_JSON
def remove(name: str, account: str, as_json: bool) -> None:
    """Take an account away from NAME, and the tokens for it."""
    from halley.control.asks import RemoveUser, Users

    _print(ask("users.remove", RemoveUser(name, account), Users).users, as_json)


def _print(found: tuple[User, ...], as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"users": found}))
        return
    for user in found:
        roles = ", ".join(f"{role} of {account}" for account, role in user.roles.items())
        click.echo(f"{user.id}  {user.name}  {roles or 'no account'}")
