"""The general rule for every bad request of every class: a right status in the dialect of its path, an id, and no trace anywhere.

The corpus has examples; here each trick stands in each place. Nothing of it may reach the provider, the ledger or the log.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import pytest

from tests.gateway import bad_classes
from tests.gateway.bad_classes import Bad
from tests.harness.gateway import Gateway
from tests.harness.http import Client, Reply
from tests.harness.priced import configuration, customer
from tests.harness.simulator import Simulator


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str
    other: str


CLASSES: dict[str, Callable[[House], Iterable[Bad]]] = {
    "fields": lambda _: bad_classes.fields(),
    "not-json": lambda _: bad_classes.not_json(),
    "two-readings": lambda _: bad_classes.two_readings(),
    "bombs": lambda _: bad_classes.bombs(),
    "types": lambda _: bad_classes.types(),
    "credentials": lambda house: bad_classes.credentials(house.key, house.other),
    "paths": lambda _: bad_classes.paths(),
    "methods": lambda _: bad_classes.methods(),
    "framing": lambda _: bad_classes.framing(),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("classes")
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, (bad_classes.MODEL,))) as gateway:
        yield House(gateway, simulator, customer(gateway, "bad", "100"), customer(gateway, "other", "100"))


@pytest.mark.parametrize("name", CLASSES)
def test_every_bad_request_of_a_class_is_refused_in_its_dialect_without_a_trace(house: House, name: str) -> None:
    before = house.simulator.state()["requests"]
    faults: list[str] = []
    client = house.gateway.client()
    asked = 0
    for bad in CLASSES[name](house):
        asked += 1
        with contextlib.suppress(OSError):  # refused before all of it was read
            client.send(_request(bad, house))
        reply = client.reply(bad.method)
        body = reply.body()
        try:
            _check(bad, reply, body, house)
        except AssertionError as fault:
            faults.append(f"{bad.id}: {fault}\n{bad.method} {bad.path} {bad.body[:300]!r}\n{reply.status} {body[:300]!r}")
        if reply.fields.get("connection") == "close":
            client.close()
            client = house.gateway.client()
    client.close()
    assert not faults, f"{len(faults)} of {asked}:\n" + "\n\n".join(faults[:20])
    assert house.simulator.state()["requests"] == before
    _served(house, json.dumps(bad_classes.GOOD).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"mod\\u0065l":"sim/tokens-3","messages":[{"role":"user","content":"hi"}],"max_tokens":5}',
        b' \r\n\t{"model":"sim/tokens-3","messages":[{"role":"user","content":"hi"}],"max_tokens":5} \n',
        b'{"model":"sim/tokens-3","messages":[{"role":"user","content":""}],"max_tokens":5}',
        b'{"model":"sim/tokens-3","messages":[{"role":"user","content":"\\u0000 \\ud83d\\ude00 \xf0\x9f\x98\x80"}],"max_tokens":5}',
        b'{"model":"sim/tokens-3","messages":[{"role":"user","content":"hi"}],"max_tokens":5,"temperature":-0.0,"top_p":1,"n":1,"stream":null}',
        b'{"model":"sim/tokens-3","messages":[{"role":"user","content":"hi"}],"max_tokens":null,"n":null,"stream_options":null}',
        b'{"model":"sim/tokens-3","messages":[{"role":"user","content":"hi"}],"max_tokens":5,"seed":123456789012345678901234567890}',
        b'{"model":"sim/tokens-3","messages":[{"role":"user","content":"hi"}],"max_tokens":5,"metadata":{"a":1,"A":2},"Custom":1}',
        b'{"model":"sim/tokens-3","messages":[{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"hi"}],"max_tokens":5}',
    ],
)
def test_what_is_odd_and_right_is_served(house: House, body: bytes) -> None:
    _served(house, body)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("also", ["", "x-api-key", "x-goog-api-key"])
def test_a_key_is_taken_whatever_the_case_of_its_scheme_and_in_two_fields_if_it_is_the_same(house: House, scheme: str, also: str) -> None:
    fields = {"Authorization": f"{scheme} {house.key}", **({also: house.key} if also else {})}
    with house.gateway.client() as client:
        assert client.ask("GET", "/v1/models", fields=fields).status == 200


def test_afterwards_only_what_was_served_is_in_the_books_and_nothing_in_the_log(house: House) -> None:
    served = house.simulator.state()["requests"]
    verified = house.gateway.cli_json("ledger", "verify")
    assert verified["clean"]
    assert verified["requests"] <= served
    logs = house.gateway.logs()
    assert '"level":"error"' not in logs
    assert "Traceback" not in logs
    assert house.key not in logs
    assert house.other not in logs


def _request(bad: Bad, house: House) -> bytes:
    head = {"Host": ("halley.test",), "Authorization": (f"Bearer {house.key}",), "Content-Type": ("application/json",)}
    if bad.method not in ("GET", "HEAD") or bad.body:
        head["Content-Length"] = (str(len(bad.body)),)
    head |= dict(bad.fields)
    lines = [f"{bad.method} {bad.path} HTTP/1.1", *(f"{name}: {value}" for name, values in head.items() for value in values)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + bad.body


def _check(bad: Bad, reply: Reply, body: bytes, house: House) -> None:
    assert reply.status in bad.statuses, f"status {reply.status}, not {bad.statuses}"
    assert reply.fields["content-type"] == "application/json"
    assert reply.fields["x-request-id"].startswith("req_")
    assert house.key not in body.decode()
    if reply.status == 405:
        assert reply.fields["allow"]
        assert bad.method not in reply.fields["allow"].split(", ")
    if bad.method == "HEAD":
        assert body == b""
        return
    error = json.loads(body)
    match bad.dialect:
        case "anthropic":
            assert (error["type"], set(error["error"])) == ("error", {"type", "message"})
            assert reply.fields["request-id"] == error["request_id"] == reply.fields["x-request-id"]
            detail = error["error"]
        case "gemini":
            detail = error["error"]
            assert (set(detail), detail["code"]) == ({"code", "message", "status"}, reply.status)
        case _:
            detail = error["error"]
            assert set(detail) == {"message", "type", "param", "code"}
            assert not bad.param or str(detail["param"]).startswith(bad.param), f"param {detail['param']}"
    assert detail["message"]


def _served(house: House, body: bytes) -> None:
    with Client(house.gateway.url) as client:
        reply = client.ask("POST", "/v1/chat/completions", body, key=house.key)
        assert reply.status == 200, reply.body()
        reply.body()
