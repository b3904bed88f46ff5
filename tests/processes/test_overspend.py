"""Credit that covers a certain number of worst cases admits exactly that many at a time, however many ask at once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.harness.audit import Tokens, audit, cost
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.priced import chat, configuration, customer, encoded
from tests.harness.settlement import worst
from tests.harness.simulator import Simulator

MODEL = "sim/tokens-60+slow-50ms"
QUICK = "sim/tokens-400"
CAP = 1000
COVERED = 5
ASKING = 60


def test_credit_for_five_worst_cases_admits_five_of_sixty(tmp_path: Path) -> None:
    body = encoded(MODEL, stream=True, max_tokens=CAP)
    with Simulator(tmp_path) as simulator, Gateway(tmp_path, configuration(simulator.url, (MODEL, QUICK)), workers=2) as gateway:
        credit = COVERED * worst(body, CAP)
        key = customer(gateway, "thrifty", str(Decimal(credit).scaleb(-9)))
        running: list[int] = []
        with Crowd(gateway.url) as crowd:
            statuses = crowd.rush(key, body, ASKING, lambda: running.append(simulator.state()["open_streams"]))
        assert running == [COVERED] and statuses == [200] * COVERED + [402] * (ASKING - COVERED)
        found = audit(gateway, simulator)
        assert found.endings == {"complete": COVERED}
        assert balance(gateway) == credit - found.charges
        # What was held and not spent is free again, whichever relay it was lent to.
        with gateway.client() as client:
            assert client.ask("POST", "/v1/chat/completions", chat(MODEL, max_tokens=CAP), key=key).status == 200
        found = audit(gateway, simulator)
        assert balance(gateway) == credit - found.charges
        spend_to_the_end(gateway, simulator, key)


def spend_to_the_end(gateway: Gateway, simulator: Simulator, key: str) -> None:
    """Calls one after the other until the credit is used up: the balance never falls below zero, and the last answer is 402."""
    statuses: list[int] = []
    with gateway.client() as client:
        while len(statuses) < 100 and (not statuses or statuses[-1] == 200):
            reply = client.ask("POST", "/v1/chat/completions", chat(QUICK, max_tokens=400), key=key)
            statuses.append(reply.status)
            reply.body()
    assert statuses[-1] == 402
    assert len(statuses) > 5
    assert audit(gateway, simulator).loss == 0
    assert 0 <= balance(gateway) < cost(Tokens(200, 400))


def balance(gateway: Gateway) -> int:
    """Credit that is left, free or lent to relays, nano-dollars."""
    account = next(row for row in gateway.cli_json("accounts", "list")["accounts"] if row["account"] == "thrifty")
    return int(account["available_nano"]) + int(account["held_nano"])
