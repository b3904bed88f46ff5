"""A quote is what the request would be held and charged for, and leaves no trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from halley import pricelist
from halley.policy.snapshot import ModelRow, OfferRow
from halley.store.journal import Start
from tests.serve.rig import Client, Rig, make_key, rig, snapshot
from tests.serve.test_settle import DIALECTS, relay

PRICE = pricelist.of({"input": "1", "output": "2", "per_request": "0.001", "tool": {"web_search": "0.01"}})


def quoted(found: Rig, body: object, path: bytes = b"/v1/chat/completions", **fields: Any) -> Client:
    return found.post(json.dumps(body).encode(), path=b"/api/quote", query=b"path=" + path.replace(b"/", b"%2F"), **fields)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_quote_of_every_dialect_is_the_hold_of_the_same_request(tmp_path: Path, dialect: str) -> None:
    spoken = DIALECTS[dialect]
    with relay(tmp_path, spoken, "stops_billing", PRICE) as found:
        client = quoted(found, spoken.ask, spoken.path)
        assert client.status == 200, client.body
        quote = json.loads(client.body)
        assert found.records() == [] and not found.calls
        query = b"alt=sse" if spoken.kind == "gemini" else b""
        found.post(json.dumps(spoken.ask).encode(), path=spoken.path, query=query)
        (start,) = found.records()
        assert isinstance(start, Start)
        assert (quote["worst"]["nano_dollars"], quote["price_version"]) == (start.hold, start.price_version)
        assert sum(line["nano_dollars"] for line in quote["worst"]["lines"]) == start.hold
        assert (quote["model"], quote["path"]) == ("m", spoken.path.decode())
        expected = quote["expected"]
        assert expected["nano_dollars"] == expected["input_tokens"] * 1000 + expected["output_tokens"] * 2000 + 1_000_000
        assert 0 < expected["nano_dollars"] < quote["worst"]["nano_dollars"]
        found.call.reply(503, b'{"error":{"message":"no"}}')


def test_what_is_expected_is_learned_from_answers(tmp_path: Path) -> None:
    spoken = DIALECTS["openai_chat"]
    with relay(tmp_path, spoken, "stops_billing") as found:
        before = json.loads(quoted(found, spoken.ask).body)["expected"]["output_tokens"]
        found.post(json.dumps(spoken.ask).encode())
        found.call.stream(spoken.text + spoken.end, done=True)
        after = json.loads(quoted(found, spoken.ask).body)["expected"]["output_tokens"]
        assert (before, after) == (256, 20)


def test_a_quote_holds_for_the_tools_that_may_be_called(tmp_path: Path) -> None:
    spoken = DIALECTS["anthropic"]
    with relay(tmp_path, spoken, "stops_billing", PRICE) as found:
        body = {**spoken.ask, "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 4}]}
        lines = json.loads(quoted(found, body, spoken.path).body)["worst"]["lines"]
        assert {line["unit"]: line["usd"] for line in lines}["per_request"] == "0.041"


@pytest.mark.parametrize(
    ("body", "path", "fields", "status"),
    [
        ({"model": "nope", "messages": [{"role": "user", "content": "hi"}]}, b"/v1/chat/completions", {}, 404),
        ({"model": "sim/echo"}, b"/v1/chat/completions", {}, 400),
        ({"model": "sim/echo", "messages": []}, b"/v1/nothing", {}, 400),
        ({"model": "sim/echo", "messages": []}, b"/v1/chat/completions", {"key": b"sk-wrong"}, 401),
        ({"model": "sim/echo", "messages": []}, b"/v1/chat/completions", {"key": None}, 401),
        ({"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}, b"/v1/chat/completions", {"key": make_key("narrow")}, 403),
        ({"model": "sim/echo", "messages": [{"role": "user", "content": "x" * 600_000}]}, b"/v1/chat/completions", {}, 413),
    ],
)
def test_a_quote_is_refused_as_the_request_would_be(tmp_path: Path, body: object, path: bytes, fields: Any, status: int) -> None:
    with rig(tmp_path) as found:
        client = quoted(found, body, path, **fields)
        assert (client.status, set(client.error) >= {"message", "type", "code"}) == (status, True), client.body
        assert found.records() == []


def test_a_quote_takes_nothing_of_a_limit_or_a_balance(tmp_path: Path) -> None:
    model = ModelRow("sim/echo", "Sim", PRICE, "price_1", (OfferRow("first", "sim/echo"),), max_output=1000)
    with rig(tmp_path, snapshot(unlimited=False, models=(model,))) as found:
        body = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}
        assert {quoted(found, body, key=make_key("slow")).status for _ in range(5)} == {200}
        assert not found.said
