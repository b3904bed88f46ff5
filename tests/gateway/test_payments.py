"""Payments told of from outside: credited once, whoever tells it how often, and never on the word of somebody else."""

from __future__ import annotations

import base64
import gzip
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.harness import payments
from tests.harness.crowd import post
from tests.harness.gateway import Gateway
from tests.harness.payments import event
from tests.harness.postgres import Server, stored
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


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    server: Server | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with stored(Gateway(tmp_path_factory.mktemp("payments"), SETTINGS, workers=2), server) as gateway:
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


def smuggled() -> Iterator[tuple[str, bytes]]:
    """What it is, and the bytes of a request that hides something from whoever checks it."""
    body = event("smuggled")
    now, old = fields(body), fields(body, at=time.time() - 4000)
    nobody = {name: value for name, value in now.items() if name != "webhook-signature"}
    other = event("smuggled", "99")
    for name in now:
        # What is checked and what is counted may be two different lines.
        kept = _lines({each: value for each, value in old.items() if each != name})
        aside = "msg_2" if name == "webhook-id" else old[name]
        for first, second in ((aside, now[name]), (now[name], aside)):
            yield f"an old event, and {name} {first}, {second}", _told(f"{kept}{name}: {first}\r\n{name}: {second}\r\n", body)
    for spelling in (
        "webhook_timestamp",
        "webhook-timestamp ",
        " webhook-timestamp",
        "x-forwarded-webhook-timestamp",
        "webhook-timestamp\x00",
    ):
        yield f"an old event, and a new {spelling!r}", _told(_lines(old) + f"{spelling}: {now['webhook-timestamp']}\r\n", body)
    folded = f"webhook-timestamp: {old['webhook-timestamp']}\r\n {now['webhook-timestamp']}\r\n"
    yield "a folded timestamp", _told(_lines({name: value for name, value in old.items() if name != "webhook-timestamp"}) + folded, body)
    yield (
        "an old event, and a new timestamp in its trailer",
        _told(
            _lines(old) + "Transfer-Encoding: chunked\r\nTrailer: webhook-timestamp\r\n",
            b"%x\r\n%b\r\n0\r\nwebhook-timestamp: %b\r\n\r\n" % (len(body), body, now["webhook-timestamp"].encode()),
            length="",
        ),
    )
    yield "another event behind the signed one", _told(_lines(now), body + other, length=f"Content-Length: {len(body + other)}\r\n")
    yield "two lengths", _told(_lines(now) + f"Content-Length: {len(other)}\r\n", other)
    yield "a length and chunks", _told(_lines(now) + "Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(other), other))
    yield (
        "a signature in the address",
        _told(_lines(nobody), body, target=f"/api/payments/shop?webhook-signature={now['webhook-signature'].replace('+', '%2B')}"),
    )
    yield "a signature in a cookie", _told(_lines(nobody) + f"Cookie: webhook-signature={now['webhook-signature']}\r\n", body)
    yield "a secret as a key", _told(_lines(nobody) + f"Authorization: Bearer whsec_{OLD}\r\n", body)
    yield "a word of the other way", _told(_lines(now) + "X-Original-URL: /api/payments/bank\r\n", other)
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        yield f"{method}", _told(_lines(now), body, method=method)
    yield "POST by another method", _told(_lines(now) + "X-HTTP-Method-Override: POST\r\n", body, method="PUT")
    for place in ("shop/", "/shop", "bank/../shop", "%2e%2e/payments/shop", "SHOP"):
        yield f"at {place}", _told(_lines(now), other, target=f"/api/payments/{place}")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"):
        yield f"as {kind}", _told(_lines(now), other, kind=kind)
    yield "packed", _told(_lines(now) + "Content-Encoding: gzip\r\n", gzip.compress(other))
    hidden = _told(_lines(nobody), body)
    yield "inside the body of a chat", post("/v1/chat/completions", "Accept: */*", hidden)


def _lines(head: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in head.items())


def _told(
    lines: str,
    body: bytes,
    *,
    method: str = "POST",
    target: str = "/api/payments/shop",
    kind: str = "application/json",
    length: str | None = None,
) -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if length is None else length
    head = f"{method} {target} HTTP/1.1\r\nHost: halley.test\r\nContent-Type: {kind}\r\n{length}{lines}\r\n"
    return head.encode("latin-1") + body


def test_nothing_is_credited_on_an_event_that_hides_what_is_checked(house: House) -> None:
    before = house.available
    cases = list(smuggled())
    for name, data in cases:
        with house.gateway.client() as client:
            client.send(data)
            reply = client.reply()
            assert 400 <= reply.status < 500, f"{name}: {reply.status} {reply.body()!r}"
    assert house.available == before
    # What they hide is good where nothing is hidden, so that none of them is refused for another reason.
    body = event("smuggled")
    assert tell(house, body)[1]["changed"] is True
    assert len({name for name, _ in cases}) >= 30


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
