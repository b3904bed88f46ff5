"""The auditor: holds the ledger of a gateway against the bill of the simulator, request by request, in nano-dollars.

It shares no arithmetic with the product: prices are the decimal strings of the configuration, rounding is `decimal`'s, and what each ending
may cost is written here a second time (`_CHECKS`). It reads the store as rows of a file and the bill as JSON.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from tests.harness.gateway import Gateway
from tests.harness.priced import INPUT_USD, OUTPUT_USD
from tests.harness.process import until
from tests.harness.simulator import Simulator

# An own count is made from bytes, at four to a token until reports have taught better; the simulator's tokens have six and a half.
# So far may it be off, as a share of the output, and by this many tokens.
_OVER, _UNDER = 0.8, 0.35
_TOKENS = 12


class Tokens(NamedTuple):
    input: int
    output: int


class Attempt(NamedTuple):
    """One call in the simulator's bill. `reported` is what it said it cost, `generated` what it did."""

    outcome: str
    generated: Tokens
    reported: Tokens | None

    @property
    def cost(self) -> int:
        return cost(self.reported or self.generated)


class Request(NamedTuple):
    """A hold and its ending in the ledger, and what the upstream did for it. `unread`: the client read less than the upstream generated."""

    id: str
    account: str
    model: str
    hold: int
    ending: str
    status: int
    charge: int
    loss: int
    estimated: bool
    usage: Tokens
    tries: int
    attempts: tuple[Attempt, ...]
    unread: bool

    @property
    def bill(self) -> int:
        return sum(attempt.cost for attempt in self.attempts)

    @property
    def most_counted(self) -> float:
        """The largest output that an own count may come to. Reports teach it, also those of a provider that reports ten times the truth."""
        generated = max((attempt.generated.output for attempt in self.attempts), default=0)
        return (1 + _OVER) * generated * (10 if "wrong-usage" in self.model else 1) + _TOKENS


class Audited(NamedTuple):
    """What a campaign came to, nano-dollars."""

    requests: tuple[Request, ...]

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


def cost(tokens: Tokens) -> int:
    """Each line is rounded once, halves up."""
    return sum(
        int((Decimal(usd) * count * 1000).quantize(Decimal(1), ROUND_HALF_UP))
        for usd, count in ((INPUT_USD, tokens.input), (OUTPUT_USD, tokens.output))
    )


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
    verified = gateway.cli("ledger", "verify", "--json", check=False)
    assert json.loads(verified.stdout)["differences"] == [], verified.stdout
    bill = _bill(simulator)
    requests = tuple(_requests(gateway, bill, unread, since))
    unknown = bill.keys() - {request.id for request in requests}
    assert not unknown, f"the upstream was asked without a record in the ledger: {sorted(unknown)[:3]}"
    for request in requests:
        _CHECKS[request.ending](request)
        assert 0 <= request.charge <= request.hold, f"charged more than was held: {request}"
    _check_accounts(gateway)
    found = Audited(requests)
    assert found.bill == sum(attempt.cost for attempts in bill.values() for attempt in attempts)
    return found


# ---- the settlement table, a second time -----------------------------------------------------------------------------------------------


def _priced(request: Request) -> None:
    """The final report, up to the hold; the operator pays what is above it and the attempts that delivered nothing."""
    last = request.attempts[-1]
    assert last.reported is not None, f"nothing was reported: {request}"
    assert request.usage == last.reported, f"the row's usage is not the report: {request}"
    assert not request.estimated, request
    assert request.charge == min(cost(last.reported), request.hold), f"charge is {request.charge}, report costs {last.cost}: {request}"
    assert request.loss == cost(last.reported) - request.charge, request
    assert all(attempt.outcome != "complete" for attempt in request.attempts[:-1]), f"a second attempt after a whole answer: {request}"


def _estimated(request: Request) -> None:
    """Own count of what was delivered, and it is near the truth."""
    assert request.estimated, request
    assert request.charge == min(cost(request.usage), request.hold), f"the charge is not that of the row's usage: {request}"
    generated = request.attempts[-1].generated.output if request.attempts else 0
    _near(request, generated)


def _near(request: Request, generated: int) -> None:
    counted = request.usage.output
    assert counted <= request.most_counted, f"counted {counted} tokens of {generated}: {request}"
    assert counted >= (1 - _UNDER) * generated - _TOKENS or request.unread, f"counted {counted} tokens of {generated}: {request}"


def _left(request: Request) -> None:
    if request.estimated:
        _estimated(request)
    else:
        _priced(request)


def _free(request: Request) -> None:
    assert request.charge == 0, f"a {request.ending} request is free: {request}"
    assert all(attempt.outcome != "complete" or request.status == 499 for attempt in request.attempts), f"delivered and free: {request}"


def _lost(request: Request) -> None:
    """Nothing for the customer; what is known of the cost stands in the row."""
    assert request.charge == 0, f"a {request.ending} request is free: {request}"
    assert request.loss == cost(request.usage), request
    if request.estimated and request.ending == "broke":
        _near(request, request.attempts[-1].generated.output)


def _crashed(request: Request) -> None:
    """The last progress record: never more than was generated, but for the error of an own count."""
    assert request.charge == min(cost(request.usage), request.hold), request
    assert request.usage.output <= request.most_counted, f"charged for more than was generated: {request}"


_CHECKS: Mapping[str, Callable[[Request], None]] = {
    "complete": _priced,
    "unreported": _estimated,
    "left": _left,
    "drained": _left,
    "failed": _free,
    "unusable": _lost,
    "broke": _lost,
    "crash": _crashed,
}


# ---- both sides ------------------------------------------------------------------------------------------------------------------------


@contextmanager
def rows(gateway: Gateway) -> Iterator[sqlite3.Connection]:
    """The store as a file, for reading only."""
    with closing(sqlite3.connect(f"file:{gateway.home / 'halley.db'}?mode=ro", uri=True, timeout=10.0)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def _missing(gateway: Gateway, simulator: Simulator, since: float) -> set[str]:
    """Requests that are known on one side and have not ended in the ledger."""
    asked = set(_bill(simulator))
    with rows(gateway) as connection:
        begun = {row["id"] for row in connection.execute("SELECT id FROM requests WHERE at >= ?", (since,))}
        query = "SELECT request FROM endings JOIN requests ON requests.id = request WHERE requests.at >= ?"
        ended = {row["request"] for row in connection.execute(query, (since,))}
    return (asked | begun) - ended


def _bill(simulator: Simulator) -> dict[str, tuple[Attempt, ...]]:
    """By Halley's request id; what the test itself asked the simulator is not Halley's."""
    found: defaultdict[str, list[Attempt]] = defaultdict(list)
    for row in simulator.bill()["attempts"]:
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


def _requests(gateway: Gateway, bill: Mapping[str, tuple[Attempt, ...]], unread: Container[str], since: float) -> Iterator[Request]:
    query = "SELECT * FROM requests LEFT JOIN endings ON endings.request = requests.id WHERE requests.at >= ?"
    with rows(gateway) as connection:
        for row in connection.execute(query, (since,)):
            usage: dict[str, Any] = json.loads(row["usage"])
            yield Request(
                row["id"],
                row["account"],
                row["model"],
                row["hold"],
                row["ending"],
                row["status"],
                row["charge"],
                row["loss"],
                bool(row["estimated"]),
                Tokens(usage.get("input", 0), usage.get("output", 0)),
                row["attempts"],
                bill.get(row["id"], ()),
                row["model"] in unread,
            )


def _check_accounts(gateway: Gateway) -> None:
    """Credit that came in is what is left, what is lent, and what was charged; nobody owes anything that was not given on credit."""
    charged: defaultdict[str, int] = defaultdict(int)
    with rows(gateway) as connection:
        charges = "SELECT account, SUM(charge) AS charge FROM endings JOIN requests ON requests.id = request GROUP BY account"
        charged.update({row["account"]: row["charge"] for row in connection.execute(charges)})
        balances = {row["ledger_account"]: row["amount"] for row in connection.execute("SELECT * FROM balances")}
        credited = connection.execute(
            "SELECT account, SUM(amount) AS amount FROM entries JOIN postings ON postings.id = entries.posting"
            " WHERE kind = 'credit' AND ledger_account LIKE 'available:%' GROUP BY account"
        )
        for row in credited:
            account = row["account"]
            available, held = balances.get(f"available:{account}", 0), balances.get(f"held:{account}", 0)
            assert available >= 0, f"{account} has a negative balance: {available}"
            assert held >= 0, f"{account} has lent out less than nothing: {held}"
            assert row["amount"] == available + held + charged[account], f"{account}: credit {row['amount']}, left {available} + {held}"
    assert balances.get("revenue", 0) == sum(charged.values())
