"""`halley ledger`: proves that entries, balances, holds, endings and prices agree."""

from __future__ import annotations

import sys

import click
import msgspec

from halley.cli.door import ask

# All there is is read: some millions of requests take a minute, and longer on a machine that has other work.
_WAIT_S = 3600.0


@click.group()
def ledger() -> None:
    """Prove that ledger entries and balances agree."""


@ledger.command()
@click.option("--sample", type=click.IntRange(1), help="Recompute the charges of so many requests only, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(sample: int | None, as_json: bool) -> None:
    """Recompute every figure from the rows below it. Exit code 0 when all agree, else 1, with the differences named."""
    from halley.control.asks import Verified, Verify

    found = ask("ledger.verify", Verify(sample), Verified, wait_s=_WAIT_S)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for difference in found.differences:
            click.echo(f"{difference.check}: {difference.subject}: {difference.detail}")
        verdict = "clean" if found.clean else f"{len(found.differences)} differences"
        click.echo(f"{found.requests} requests, {found.postings} postings: {verdict}.", err=True)
    sys.exit(0 if found.clean else 1)
