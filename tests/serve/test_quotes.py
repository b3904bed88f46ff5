"""A quote is what the request would be held and charged for, and leaves no trace."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from halley import pricelist
from halley.money import Price
from halley.policy import catalogue
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


EVERY = pricelist.of(
    {
        "input": "1",
        "output": "10",
        "audio_in": "4",
        "image_out": "30",
        "per_image": "0.04",
        "image": {"1024x1024/high": "0.167"},
        "per_second": "0.10",
        "per_character": "0.000015",
        "per_page": "0.001",
        "tool": {"web_search": "0.01"},
        "vendor": {"credits": "0.005"},
        "service_tier": {"flex": "0.5"},
    }
)


def priced(tmp_path: Path, price: Price) -> AbstractContextManager[Rig]:
    model = ModelRow("studio", "Sim", price, "price_7", (OfferRow("first", "studio"),))
    return rig(tmp_path, snapshot(models=(model,)))


@pytest.mark.parametrize(
    ("units", "usd"),
    [
        ({"images": 3}, "0.12"),
        ({"image": {"1024x1024/High": 2}}, "0.334"),
        ({"images": 3, "image": {"1024x1024/high": 2}}, "0.374"),
        ({"seconds": 8.5}, "0.85"),
        ({"seconds": 0.0004}, "0.0001"),
        ({"characters": 1000}, "0.015"),
        ({"pages": 12}, "0.012"),
        ({"vendor": {"credits": 7}}, "0.035"),
        ({"tool": {"web_search": 3}}, "0.03"),
        ({"input": 1000, "audio_in": 400, "output": 100, "image_out": 100}, "0.0052"),
        ({"input": 1000, "output": 100, "service_tier": "flex"}, "0.001"),
        ({}, "0.00"),
    ],
)
def test_units_of_every_kind_are_quoted_at_what_they_are_charged(tmp_path: Path, units: dict[str, Any], usd: str) -> None:
    with priced(tmp_path, EVERY) as found:
        client = found.post(json.dumps({"model": "studio", "units": units}).encode(), path=b"/api/quote/units")
        assert client.status == 200, client.body
        quote = json.loads(client.body)
        assert (quote["usd"], quote["price_version"], quote["model"]) == (usd, "price_7", "studio")
        assert sum(line["nano_dollars"] for line in quote["lines"]) == quote["nano_dollars"] and found.records() == []


def test_a_minute_is_quoted_by_the_millisecond(tmp_path: Path) -> None:
    with priced(tmp_path, pricelist.of({"per_minute": "0.006"})) as found:
        client = found.post(b'{"model": "studio", "units": {"seconds": 90}}', path=b"/api/quote/units")
        assert json.loads(client.body)["usd"] == "0.009"


@pytest.mark.parametrize(
    ("price", "units", "named"),
    [
        ({"per_image": "0.04"}, {"seconds": 5}, "milliseconds"),
        ({"per_image": "0.04"}, {"input": 5}, "input"),
        ({"image": {"1024x1024": "0.04"}}, {"images": 1}, "image"),
        ({"image": {"1024x1024": "0.04"}}, {"image": {"512x512": 1}}, "image.512x512"),
        ({"input": "1", "output": "2"}, {"input": 5, "tool": {"web_search": 1}}, "tool.web_search"),
        ({"per_request": "1"}, {"vendor": {"credits": 1}}, "vendor.credits"),
        ({"input": "1", "output": "2"}, {"input": 5, "service_tier": "flex"}, "service_tier.flex"),
        ({"per_second": "1"}, {"characters": 1, "pages": 1}, "characters, pages"),
        ({"per_second": "1"}, {"hours": 1}, "hours"),
        ({"per_second": "1"}, {"seconds": "NaN"}, "float"),
        ({"per_second": "1"}, {"seconds": -1}, ">= 0"),
    ],
)
def test_what_a_price_does_not_count_is_refused_and_never_free(
    tmp_path: Path, price: dict[str, Any], units: dict[str, Any], named: str
) -> None:
    with priced(tmp_path, pricelist.of(price)) as found:
        client = found.post(json.dumps({"model": "studio", "units": units}).encode(), path=b"/api/quote/units")
        assert (client.status, client.error["param"]) == (400, "units") and named in client.error["message"], client.body


@pytest.mark.parametrize(
    ("model", "fields", "status"),
    [("studoi", {}, 404), ("studio", {"key": make_key("narrow")}, 403), ("studio", {"key": b"sk-wrong"}, 401)],
)
def test_units_are_quoted_to_whom_may_use_the_model(tmp_path: Path, model: str, fields: Any, status: int) -> None:
    with priced(tmp_path, EVERY) as found:
        client = found.post(json.dumps({"model": model, "units": {}}).encode(), path=b"/api/quote/units", **fields)
        assert client.status == status, client.body


def test_what_costs_so_much_a_request_has_it_whole_and_what_is_free_stays_free(tmp_path: Path) -> None:
    for price, usd in (({"per_request": "0.056"}, "0.056"), ({"input": "0", "output": "0"}, "0.00")):
        with priced(tmp_path, pricelist.of(price)) as found:
            client = found.post(b'{"model": "studio", "units": {"images": 4, "seconds": 9}}', path=b"/api/quote/units")
            assert json.loads(client.body)["usd"] == usd


def test_a_model_that_no_route_serves_yet_is_quoted_and_shown_as_upcoming_and_not_called(tmp_path: Path) -> None:
    media = [model for model in catalogue.packaged().models if model.id == "whisper-1"]
    (row,) = [ModelRow(each.id, each.owner, pricelist.read(each.cost), "price_9", (OfferRow("first", each.id),)) for each in media]
    with rig(tmp_path, snapshot(models=(row,))) as found:
        quote = json.loads(found.post(b'{"model": "whisper-1", "units": {"seconds": 90}}', path=b"/api/quote/units").body)
        assert (quote["usd"], [line["unit"] for line in quote["lines"]]) == ("0.009", ["per_minute"])
        assert json.loads(found.post(b"", path=b"/v1/models", method=b"GET").body)["data"] == []
        (shown,) = json.loads(found.post(b"", path=b"/api/models", method=b"GET").body)["data"]
        assert (shown["upcoming"], shown["pricing"]["per_minute"]) == (True, 0.006)
        refused = found.post(json.dumps({"model": "whisper-1", "messages": [{"role": "user", "content": "hi"}]}).encode())
        assert (refused.status, refused.error["param"]) == (400, "model") and found.records() == []
