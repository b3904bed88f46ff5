"""Payments told of from outside: credited once, whoever tells it how often, and never on the word of somebody else."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.harness import payments
from tests.harness.gateway import Gateway
from tests.harness.payments import event
from tests.harness.process import until

OLD, NEW, OTHER = (base64.b64encode(bytes([letter]) * 32).decode() for letter in b"abc")
SETTINGS = f"""
[[accounts]]
name = "acme"

[[payments]]
name = "shop"
secrets = ["whsec_{OLD}", "whsec_{NEW}"]

[[payments]]
name = "bank"
secrets = ["whsec_{OTHER}"]
"""


class House(NamedTuple):
    gateway: Gateway

    @property
    def available(self) -> int:
        return self.gateway.cli_json("accounts", "show", "acme")["available_nano"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Gateway(tmp_path_factory.mktemp("payments"), SETTINGS, workers=2) as gateway:
        yield House(gateway)


def fields(body: bytes, secret: str = OLD, at: float | None = None, id: str = "msg_1") -> dict[str, str]:
    return payments.fields(body, secret, at, id)


def tell(house: House, body: bytes, head: dict[str, str] | None = None, way: str = "shop") -> tuple[int, dict[str, Any]]:
    with house.gateway.client() as client:
        reply = client.ask("POST", f"/api/payments/{way}", body, fields={"Content-Type": "application/json", **(head or fields(body))})
        assert reply.fields["x-request-id"].startswith("req_")
        return reply.status, reply.json()


def test_an_order_is_credited_once_however_often_it_is_told(house: House) -> None:
    before = house.available
    body = event("once")
    with ThreadPoolExecutor(25) as pool:
        told = list(pool.map(lambda number: tell(house, body, fields(body, id=f"msg_{number}")), range(100)))
    assert {status for status, _ in told} == {200}
    assert sum(answer["changed"] for _, answer in told) == 1
    assert house.available - before == 10_000_000_000


def test_both_secrets_of_a_change_are_good_and_amounts_are_exact(house: House) -> None:
    before = house.available
    body = event("exact", "0.000000001")
    assert tell(house, body, fields(body, NEW)) == (200, {"order": "exact", "state": "paid", "changed": True})
    both = fields(body)["webhook-signature"] + " " + fields(body, OTHER)["webhook-signature"]
    assert tell(house, body, fields(body) | {"webhook-signature": both})[1]["changed"] is False
    assert house.available - before == 1


def forged() -> Iterator[tuple[str, int, bytes, dict[str, str], str]]:
    """What it is, the status, the event, its head and the way that it comes by."""
    body = event("forged")
    good = fields(body)
    for name in good:
        yield f"without {name}", 401, body, {key: value for key, value in good.items() if key != name}, "shop"
        yield f"empty {name}", 401, body, good | {name: ""}, "shop"
    yield "another body", 401, event("forged", "11"), good, "shop"
    yield "another id", 401, body, good | {"webhook-id": "msg_2"}, "shop"
    yield "the other way's secret", 401, body, fields(body, OTHER), "shop"
    yield "at the other way", 401, body, good, "bank"
    yield "an empty secret", 401, body, fields(body, ""), "shop"
    yield "an unknown way", 404, body, good, "nobody"
    for at in (time.time() - 400, time.time() + 400, 0, 10**11):
        yield f"at {at}", 401, body, fields(body, at=at), "shop"
    for stamp in ("-1", "1e9", "٣", "1_000", " 1", "NaN", "0x10"):
        yield f"timestamp {stamp!r}", 401, body, good | {"webhook-timestamp": stamp.encode().decode("latin-1")}, "shop"
    for signature in ("v1,", "v2" + good["webhook-signature"][2:], good["webhook-signature"][3:], "v1a,AAAA", "v1," + "A" * 4000):
        yield f"signature {signature[:12]}", 401, body, good | {"webhook-signature": signature}, "shop"
    for amount in (
        "-5",
        "0",
        "0.0000000001",
        "1e3",
        "NaN",
        "Infinity",
        "1,000",
        "١٠",
        " 10",
        "10 ",
        "",
        "1" * 30,
        "+1",
        "0x10",
        10,
        10.5,
        None,
        True,
    ):
        signed = event("forged", amount)
        yield f"amount {amount!r}", 400, signed, fields(signed), "shop"
    for changes in (
        {"currency": "EUR"}, {"currency": "usd"}, {"currency": None}, {"account": ""}, {"account": 1}, {"order": ""}, {"order": "a b"},
        {"order": "x" * 201}, {"order": 7}, {"order": "a\u0000"},
    ):  # fmt: skip
        signed = event(**({"order": "forged"} | changes))  # type: ignore[arg-type]
        yield f"{changes}", 400, signed, fields(signed), "shop"
    signed = event("forged", account="nobody")
    yield "no account", 404, signed, fields(signed), "shop"
    for kind in ("settled", "PAID", "paid ", ""):
        signed = event("forged", kind=kind)
        yield f"type {kind!r}", 400, signed, fields(signed), "shop"
    twice = event("forged").replace(b'"amount": "10.00"', b'"amount": "10.00", "amount": "99"')
    for raw in (twice, b"", b"[]", b"{", b"null", b"\xff", b"[" * 2000, event("forged") + b"x", b'{"data": {}}', b"1" * 70_000):
        yield f"body {raw[:12]!r}", 413 if len(raw) > 65536 else 400, raw, fields(raw), "shop"


def test_nothing_is_credited_on_a_forged_event(house: House) -> None:
    before = house.available
    cases = list(forged())
    assert len(cases) >= 60
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda case: tell(house, *case[2:]), cases))
    wrong = [(case[0], case[1], status) for case, (status, _) in zip(cases, answers, strict=True) if status != case[1]]
    assert wrong == []
    assert all(answer["error"]["message"] for _, answer in answers)
    assert house.available == before
    assert OLD not in house.gateway.logs() and "whsec_" not in house.gateway.logs()


def test_an_order_has_one_way_one_account_and_one_amount(house: House) -> None:
    before = house.available
    assert tell(house, event("bound"))[0] == 200
    for body, secret, way in (
        (event("bound", "11"), OLD, "shop"),
        (event("bound", account="default"), OLD, "shop"),
        (event("bound"), OTHER, "bank"),
    ):
        status, answer = tell(house, body, fields(body, secret), way)
        assert (status, answer["error"]["code"]) == (409, "conflict")
    assert house.available - before == 10_000_000_000


def test_states_follow_each_other_and_a_refund_takes_back_what_is_left(house: House) -> None:
    before = house.available
    states = [
        tell(house, event("states", "3", kind))[1].get("changed") for kind in ("pending", "pending", "failed", "paid", "pending", "failed")
    ]
    assert states == [False, False, True, True, False, False]
    assert house.available - before == 3_000_000_000
    assert tell(house, event("states", "3", "refunded"))[1]["changed"] is True
    assert tell(house, event("states", "3", "paid"))[1]["changed"] is False
    assert house.available == before
    assert tell(house, event("never", "3", "refunded"))[0] == 409
    assert tell(house, event("spent", "4"))[0] == 200
    house.gateway.cli("credit", "acme", f"-{(house.available - 1_000_000_000) / 1e9:.9f}")
    status, answer = tell(house, event("spent", "4", "refunded"))
    assert status == 409 and "1.00 USD left" in answer["error"]["message"]


def test_a_killed_control_credits_once_when_it_is_told_again(house: House) -> None:
    before = house.available
    body = event("killed", "7")
    house.gateway.kill("control")
    status, _ = tell(house, body)
    assert status in (200, 503)
    until(lambda: tell(house, body)[0] == 200, lambda: "control did not come back")
    assert house.available - before == 7_000_000_000
    assert house.gateway.cli_json("ledger", "verify")["clean"] is True
