"""`halley budgets`: how much an account, a team, a key or an end user may spend, and when that starts anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from halley.cli.door import ask

if TYPE_CHECKING:
    from halley.control.asks import BudgetState
    from halley.policy.budgets import LevelName

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def budgets() -> None:
    """Limit what accounts, teams, keys and end users spend."""


@budgets.command(name="set")
@click.argument("level", type=click.Choice(["account", "team", "key", "user"]))
@click.argument("usd")
@click.option("--of", "subject", default="", help="Which team, key (id or name) or end user; without it, every end user.")
@click.option("--account", default="default", show_default=True, help="Whose it is.")
@click.option("--reset", default="none", show_default=True, help="none, day, week, month, or hours or days such as 6h or 30d.")
@click.option("--anchor", help="ISO date or time (UTC unless it says otherwise) at which a period begins.")
@_JSON
def set_budget(level: LevelName, usd: str, subject: str, account: str, reset: str, anchor: str | None, as_json: bool) -> None:
    """Let LEVEL spend at most USD in a period, or change how much; what it has spent in this period counts."""
    from halley.control.asks import BudgetStates, SetBudget
    from halley.control.plan import expiry
    from halley.money import usd as nano
    from halley.policy.budgets import read_reset

    try:
        amount, word = nano(usd), read_reset(reset)
        since = int(expiry(anchor)) if anchor is not None else None
    except ValueError as fault:
        raise click.UsageError(str(fault)) from None
    if amount < 0:
        raise click.UsageError("A budget is not below zero.")
    if level in ("team", "key") and not subject:
        raise click.UsageError(f"--of names the {level}.")
    _print(ask("budgets.set", SetBudget(account, level, subject, amount, word, since), BudgetStates).budgets, as_json)


@budgets.command(name="list")
@_JSON
def list_budgets(as_json: bool) -> None:
    """Show all budgets, with what is spent in the period that goes on."""
    from halley.control.asks import BudgetStates, Nothing

    _print(ask("budgets.list", Nothing(), BudgetStates).budgets, as_json)


@budgets.command()
@click.argument("budget")
@_JSON
def remove(budget: str, as_json: bool) -> None:
    """Lift BUDGET (an id)."""
    from halley.control.asks import BudgetStates, Named

    _print(ask("budgets.remove", Named(budget), BudgetStates).budgets, as_json)


def _print(found: tuple[BudgetState, ...], as_json: bool) -> None:
    from halley.money import show
    from halley.policy.budgets import moment

    if as_json:
        click.echo(msgspec.json.encode({"budgets": found}))
        return
    for each in found:
        until = f"until {moment(each.until)}" if each.until is not None else "for good"
        spent = f"{show(each.spent)} of {show(each.amount)} USD spent, {show(each.held)} held, {until}"
        click.echo(f"{each.id}  {each.account}  {each.level}  {each.subject or '-'}  {spent}")
