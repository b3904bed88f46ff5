"""The auditor: holds the ledger of a gateway against its journals, its own arithmetic, and the bill of the simulator, request by request.

`script/audit HOME [--store URL] [--bill URL|FILE]` does it for a home at rest or at work; `audit` waits first, until everything has ended
on both sides. It shares nothing with the product: it reads the store as a file or with psql, journals as lines and the bill as JSON, and
has its own settlement table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Mapping
from decimal import Decimal
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NamedTuple

from tests.harness import books, http, postgres, settlement
from tests.harness.books import Row, Tokens
from tests.harness.gateway import Gateway
from tests.harness.process import HALLEY, until
from tests.harness.settlement import PRICED, Attempt, Rates, Request, cost
from tests.harness.simulator import Simulator
from tests.harness.witness import Witnessed, witness

__all__ = ["Audited", "Tokens", "audit", "cost"]

Pot = tuple[str, int, str]
Bill = Mapping[str, tuple[Attempt, ...]]

# For the whole of a large ledger, beside whatever else the machine does.
VERIFY_S = 300.0


class Audited(NamedTuple):
    """What a campaign came to, nano-dollars. `witnessed` is what was compared with journals."""

    requests: tuple[Request, ...]
    witnessed: Witnessed = Witnessed()

    @property
    def charges(self) -> int:
        return sum(request.charge for request in self.requests)

    @property
    def bill(self) -> int:
        return sum(request.bill for request in self.requests)

    @property
    def loss(self) -> int:
        """What the operator pays the provider beyond the charges; below zero where an own count was above the bill."""
        return self.bill - self.charges

    @property
    def endings(self) -> Counter[str]:
        return Counter(request.ending for request in self.requests)

    def since(self, before: Audited) -> Audited:
        """What came after an earlier audit."""
        known = {request.id for request in before.requests}
        return Audited(tuple(request for request in self.requests if request.id not in known))


def audit(gateway: Gateway, simulator: Simulator, *, unread: Container[str] = (), since: float = 0.0) -> Audited:
    """Waits until everything has ended on both sides, then checks. Raises AssertionError that names the request and what is wrong.

    `unread`: models whose clients did not read what the upstream had generated, so that the charge may be far below the bill.
    `since`: only requests admitted from then on (Unix seconds), for a campaign that empties the simulator's bill while nothing runs.
    """
    until(lambda: simulator.state()["open_streams"] == 0, lambda: f"upstream streams stay open: {simulator.state()}")
    until(
        lambda: not _missing(gateway, simulator, since),
        lambda: f"not everything has ended: {_missing(gateway, simulator, since)}\n{gateway.logs()[-4000:]}",
    )
    verified = gateway.cli("ledger", "verify", "--json", check=False, limit_s=VERIFY_S)
    assert json.loads(verified.stdout)["differences"] == [], verified.stdout
    bill = _bill(simulator.bill())
    found = _examine((gateway.home / "journal", gateway.journals), gateway.home, lambda row: PRICED, bill, unread, since)
    assert found.bill == sum(attempt.cost for attempts in bill.values() for attempt in attempts)
    return found


def _missing(gateway: Gateway, simulator: Simulator, since: float) -> set[str]:
    """Requests that are known on one side and have not ended in the ledger."""
    asked = set(_bill(simulator.bill()))
    with books.store(gateway.home) as connection:
        rows = tuple(books.requests(connection, since))
    return (asked | {row.id for row in rows}) - {row.id for row in rows if row.ending}


def _examine(
    places: tuple[Path, ...], home: Path, rates: Callable[[Row], Rates], bill: Bill | None, unread: Container[str] = (), since: float = 0.0
) -> Audited:
    with books.store(home) as connection:
        rows = {row.id: row for row in books.requests(connection, since)}
        for row in rows.values():
            if row.ending:
                settlement.check_row(row, rates(row))
        witnessed = witness(rows, books.journals(connection, *places, since=since))
        _check_accounts(books.balances(connection), books.credited(connection), books.charged(connection))
        _check_pots(connection)
    requests = tuple(_request(row, (bill or {}).get(row.id, ()), unread) for row in rows.values())
    if bill is not None:
        unknown = bill.keys() - rows.keys()
        assert not unknown, f"the upstream was asked without a record in the ledger: {sorted(unknown)[:3]}"
        for request in requests:
            if request.ending:
                settlement.check_bill(request)
    return Audited(requests, witnessed)


def _check_pots(connection: Connection) -> None:
    """What is spent of each budget in each period is what its requests were charged, and no more than its relays were lent."""
    kept = books.pots(connection)
    wanted, charged, lent = Counter[Pot](), Counter[Pot](), Counter[Pot]()
    for _, pot, charge in books.budgeted(connection):
        wanted[pot] += charge
    for pot, taken, out in books.pot_leases(connection):
        assert 0 <= taken <= out, f"a relay has spent {taken} of {out} that it was lent of {pot}"
        charged[pot] += taken
        lent[pot] += out
    for pot in kept.keys() | wanted.keys() | lent.keys():
        found, there = kept.get(pot, (0, 0)), (wanted[pot], charged[pot], lent[pot])
        assert found == (wanted[pot], lent[pot]) and charged[pot] == wanted[pot], f"{pot} has {found}; requests, leases, lent: {there}"


def _request(row: Row, attempts: tuple[Attempt, ...], unread: Container[str]) -> Request:
    return Request(
        row.id,
        row.account,
        row.model,
        row.hold,
        row.ending,
        row.status,
        row.charge,
        row.loss,
        row.estimated,
        row.usage,
        row.attempts,
        attempts,
        row.model in unread,
    )


def _bill(said: Mapping[str, Any]) -> Bill:
    """By Halley's request id; what the test itself asked the simulator is not Halley's."""
    found: defaultdict[str, list[Attempt]] = defaultdict(list)
    for row in said["attempts"]:
        if row["request_id"].startswith("req_"):
            reported = row["reported"]
            found[row["request_id"]].append(
                Attempt(
                    row["outcome"],
                    Tokens(row["prompt_tokens"], row["completion_tokens"]),
                    Tokens(reported["prompt_tokens"], reported["completion_tokens"]) if reported is not None else None,
                )
            )
    return {request: tuple(attempts) for request, attempts in found.items()}


def _check_accounts(balances: Mapping[str, int], credited: Mapping[str, int], charged: Mapping[tuple[str, bool], int]) -> None:
    """Credit that came in is what is left, what is lent, and what was charged; what was spent without credit is owed."""
    for account in credited.keys() | {account for account, _ in charged}:
        available, held = balances.get(f"available:{account}", 0), balances.get(f"held:{account}", 0)
        spent, owed = charged.get((account, True), 0), charged.get((account, False), 0)
        assert available >= 0, f"{account} has a negative balance: {available}"
        assert held >= 0, f"{account} has lent out less than nothing: {held}"
        came = credited.get(account, 0)
        assert came == available + held + spent, f"{account}: credit {came}, left {available} + {held}, spent {spent}"
        assert balances.get(f"owed:{account}", 0) == -owed, (
            f"{account}: owes {balances.get(f'owed:{account}', 0)}, spent {owed} without credit"
        )
    assert balances.get("revenue", 0) == sum(charged.values())


# ---- the command -----------------------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/audit", description="Hold the ledger of a home against its journals and a bill.")
    parser.add_argument("home", type=Path, metavar="HOME", help="a HALLEY_HOME, at rest or at work")
    parser.add_argument("--store", metavar="URL", help="its [store] url, if that is PostgreSQL (default: HALLEY_STORE_URL); psql reads it")
    parser.add_argument("--bill", metavar="URL|FILE", help="the simulator's root URL, or its bill in a file")
    options = parser.parse_args()
    home: Path = options.home.absolute()
    environ = {**os.environ, "HALLEY_HOME": str(home), **({"HALLEY_STORE_URL": options.store} if options.store else {})}
    if url := environ.get("HALLEY_STORE_URL"):
        ask = postgres.psql(url)
        books.elsewhere(home, lambda: postgres.copied(ask))
    try:
        with books.store(home) as connection:
            prices = {version: per_unit(rates) for version, rates in books.rates(connection).items()}
        found = _examine((home / "journal",), home, lambda row: prices[row.price_version], _read_bill(options.bill))
    except AssertionError as fault:
        print(f"script/audit: {fault}", file=sys.stderr)
        return 1
    figures = {
        "requests": len(found.requests),
        "open": sum(not request.ending for request in found.requests),
        "charges_nano": found.charges,
        **({"bill_nano": found.bill} if options.bill else {}),
        **{f"journal_{name}": count for name, count in found.witnessed._asdict().items()},
    }
    print(json.dumps(figures))
    verified = subprocess.run([*HALLEY, "ledger", "verify"], env=environ, capture_output=True, text=True, check=False)
    print(verified.stdout + verified.stderr, end="", file=sys.stderr)
    return verified.returncode


def per_unit(rates: Mapping[str, Any]) -> Rates:
    """The store keeps pico-dollars, and factors in millionths."""
    found: dict[str, Any] = {"input": Decimal(0), "output": Decimal(0)}
    for name, rate in rates.items():
        match rate:
            case int():
                found[name] = Decimal(rate) if name == "above" else Decimal(rate) / 1000
            case dict():
                found[name] = {each: Decimal(value) / (10**6 if name == "service_tiers" else 1000) for each, value in rate.items()}
            case list():
                found[name] = [{key: value for key, value in per_unit(step).items() if key in step} for step in rate]
            case _:
                raise AssertionError(f"a price has {name} = {rate!r}, which the auditor cannot read")
    return found


def _read_bill(where: str | None) -> Bill | None:
    if where is None:
        return None
    if not where.startswith("http"):
        return _bill(json.loads(Path(where).read_text()))
    status, body = http.ask(where.removesuffix("/").removesuffix("/v1"), "GET", "/sim/bill")
    assert status == 200, f"{where} answers {status}"
    return _bill(json.loads(body))


if __name__ == "__main__":
    sys.exit(main())
