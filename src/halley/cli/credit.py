"""`halley credit`: give an account prepaid credit, take it away, or make the account unlimited."""

from __future__ import annotations

import click
import msgspec

from halley.cli.accounts import described, in_words
from halley.cli.door import ask
from halley.money import usd


# What looks like an unknown option is a negative amount.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("account")
@click.argument("amount", metavar="USD|unlimited")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def credit(account: str, amount: str, as_json: bool) -> None:
    """Add USD of prepaid credit to ACCOUNT (a negative amount takes credit away), or make it `unlimited`. Credit makes an unlimited account
    prepaid."""
    from halley.control.asks import Credited, GiveCredit

    try:
        nano = None if amount == "unlimited" else usd(amount)
    except ValueError as fault:
        raise click.UsageError(f"the amount must be dollars such as 10, 0.50 or -5, or `unlimited`: {fault}") from None
    found = ask("credit", GiveCredit(account, nano), Credited)
    if found.became_prepaid:
        click.echo(f"The account {account} was unlimited; it is prepaid now and spends its credit only.", err=True)
    if as_json:
        click.echo(msgspec.json.encode({**described(found.account), "became_prepaid": found.became_prepaid}))
    else:
        click.echo(in_words(found.account))
