"""`halley teams`: keys of an account that have a budget together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from halley.cli.door import ask

if TYPE_CHECKING:
    from halley.store.values import Team

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_ACCOUNT = click.option("--account", default="default", show_default=True, help="Whose team it is.")


@click.group()
def teams() -> None:
    """Put keys of an account together, so that they have a budget together."""


@teams.command()
@click.argument("name")
@_ACCOUNT
@_JSON
def create(name: str, account: str, as_json: bool) -> None:
    """Make the team NAME; keys join it by `halley keys create --team NAME` or `keys change`."""
    from halley.control.asks import CreateTeam, Teams

    _print(ask("teams.create", CreateTeam(name, account), Teams).teams, as_json)


@teams.command(name="list")
@_JSON
def list_teams(as_json: bool) -> None:
    """Show all teams."""
    from halley.control.asks import Nothing, Teams

    _print(ask("teams.list", Nothing(), Teams).teams, as_json)


@teams.command()
@click.argument("name")
@_ACCOUNT
@_JSON
def remove(name: str, account: str, as_json: bool) -> None:
    """Remove the team NAME and its budget; no live key may belong to it."""
    from halley.control.asks import RemoveTeam, Teams

    _print(ask("teams.remove", RemoveTeam(name, account), Teams).teams, as_json)


def _print(found: tuple[Team, ...], as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"teams": found}))
        return
    for team in found:
        click.echo(f"{team.account}  {team.name}  {team.source}")
