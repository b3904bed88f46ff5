"""The money of each ending at the relay: every dialect, every cancel rule, and what of an answer is no token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from halley import pricelist
from halley.money import Price
from halley.policy.snapshot import ModelRow, OfferRow, ProviderRow
from halley.secret import Secret
from halley.store.journal import Start
from tests.serve.rig import Client, Rig, rig, snapshot

PRICE = pricelist.of({"input": "1", "output": "2"})
COST = pricelist.of({"input": "0.5", "output": "1"})
REPORTED = 10 * 1000 + 20 * 2000
# Ten pieces of eight bytes are twenty tokens of four.
PIECES = 10


class Spoken(NamedTuple):
    """How one dialect is asked for a stream, and the stream: before its end, the end with a report and without, and a refusal."""

    kind: str
    path: bytes
    ask: dict[str, object]
    text: bytes
    end: bytes
    mute: bytes
    error: bytes
    heartbeat: bytes = b": ping\n\n"


def event(data: object, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def typed(data: dict[str, object]) -> bytes:
    return event(data, str(data["type"]))


def chat(delta: dict[str, str], finish: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def gemini(text: str, **more: object) -> bytes:
    return event({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}], **more})


DIALECTS = {
    "openai_chat": Spoken(
        "openai",
        b"/v1/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True},
        chat({"role": "assistant", "content": ""}) + chat({"content": "12345678"}) * PIECES,
        chat({}, "stop") + event({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 20}}) + b"data: [DONE]\n\n",
        chat({}, "stop") + b"data: [DONE]\n\n",
        event({"error": {"message": "x" * 500, "type": "server_error", "code": None}}),
    ),
    "openai_responses": Spoken(
        "openai",
        b"/v1/responses",
        {"model": "m", "input": "hi", "stream": True},
        typed({"type": "response.created", "response": {"id": "r", "status": "in_progress", "usage": None}})
        + typed({"type": "response.output_text.delta", "delta": "12345678"}) * PIECES,
        typed({"type": "response.completed", "response": {"status": "completed", "usage": {"input_tokens": 10, "output_tokens": 20}}}),
        typed({"type": "response.completed", "response": {"status": "completed", "usage": None}}),
        typed({"type": "error", "code": "server_error", "message": "x" * 500, "param": None}),
    ),
    "anthropic": Spoken(
        "anthropic",
        b"/v1/messages",
        {"model": "m", "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}], "stream": True},
        typed({"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 10, "output_tokens": 1}}})
        + typed({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        + typed({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "12345678"}}) * PIECES,
        typed({"type": "content_block_stop", "index": 0})
        + typed({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}})
        + typed({"type": "message_stop"}),
        typed({"type": "content_block_stop", "index": 0})
        + typed({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
        + typed({"type": "message_stop"}),
        typed({"type": "error", "error": {"type": "overloaded_error", "message": "x" * 500}}),
        typed({"type": "ping"}),
    ),
    "gemini": Spoken(
        "gemini",
        b"/v1beta/models/m:streamGenerateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        gemini("12345678") * PIECES,
        event(
            {
                "candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 20},
            }
        ),
        event({"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}]}),
        event({"error": {"code": 503, "message": "x" * 500, "status": "UNAVAILABLE"}}),
        b"",
    ),
}
RULES = ("stops_billing", "bills_to_end")


def relay(  # type: ignore[no-untyped-def]
    home: Path, spoken: Spoken, rule: str, price: Price = PRICE, provider: ProviderRow | None = None, **fields: object
):
    base = "http://first.test:9/v1beta" if spoken.kind == "gemini" else "http://first.test:9/v1"
    provider = provider or ProviderRow("first", spoken.kind, base, Secret("upstream-secret-one"), rule)
    model = ModelRow("m", "Sim", price, pricelist.version(price), (OfferRow("first", "m", cost=COST),), max_output=1000)
    return rig(home, snapshot(providers=(provider,), models=(model,), **fields))


def asked(found: Rig, spoken: Spoken, **more: object) -> Client:
    query = b"alt=sse" if spoken.kind == "gemini" else b""
    return found.post(json.dumps({**spoken.ask, **more}).encode(), path=spoken.path, query=query)


def complete(found: Rig, client: Client, spoken: Spoken) -> None:
    found.call.stream(spoken.text + spoken.end, done=True)


def unreported(found: Rig, client: Client, spoken: Spoken) -> None:
    found.call.stream(spoken.heartbeat * 9 + spoken.text + spoken.mute, done=True)


def failed(found: Rig, client: Client, spoken: Spoken) -> None:
    found.call.reply(503, json.dumps({"error": {"message": "no"}}).encode())


def failed_in_words(found: Rig, client: Client, spoken: Spoken) -> None:
    found.call.stream(spoken.heartbeat * 3 + spoken.error, done=True)


def broke(found: Rig, client: Client, spoken: Spoken) -> None:
    found.call.stream(spoken.text)
    found.call.fail("cut")


def broke_in_words(found: Rig, client: Client, spoken: Spoken) -> None:
    found.call.stream(spoken.text + spoken.error, done=True)


def left(found: Rig, client: Client, spoken: Spoken) -> None:
    found.call.stream(spoken.text)
    client.leave()
    if not found.call.aborted:
        found.call.stream(spoken.end, done=True)


def left_over_the_caps(found: Rig, client: Client, spoken: Spoken) -> None:
    found.gateway.drains._most = 0
    found.call.stream(spoken.text)
    client.leave()
    assert found.call.aborted


Script = Callable[[Rig, Client, Spoken], None]
# What happens, and by cancel rule: the ending, whether it is charged, whether it is an estimate.
TABLE: tuple[tuple[Script, dict[str, tuple[str, bool, bool]]], ...] = (
    (complete, dict.fromkeys(RULES, ("complete", True, False))),
    (unreported, dict.fromkeys(RULES, ("unreported", True, True))),
    (failed, dict.fromkeys(RULES, ("failed", False, False))),
    (failed_in_words, dict.fromkeys(RULES, ("failed", False, False))),
    (broke, dict.fromkeys(RULES, ("broke", False, True))),
    (broke_in_words, dict.fromkeys(RULES, ("broke", False, True))),
    (left, {"stops_billing": ("left", True, True), "bills_to_end": ("drained", True, False)}),
    (left_over_the_caps, dict.fromkeys(RULES, ("left", True, True))),
)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("script", "wanted"), TABLE, ids=[script.__name__ for script, _ in TABLE])
def test_every_ending_in_every_dialect_under_every_cancel_rule(
    tmp_path: Path, script: Script, wanted: dict[str, tuple[str, bool, bool]], dialect: str, rule: str
) -> None:
    spoken = DIALECTS[dialect]
    ending, charged, estimated = wanted[rule]
    with relay(tmp_path, spoken, rule) as found:
        script(found, asked(found, spoken), spoken)
        end = found.end
        assert (end.ending, end.estimated, end.cancel, end.provider) == (ending, estimated, rule, "first")
        if not charged:
            assert end.charge == 0
        elif not estimated:
            assert (end.charge, end.usage.input, end.usage.output) == (REPORTED, 10, 20)
        else:
            # Our own count: ten pieces of eight bytes, whatever the dialect wraps around them. Errors and heartbeats are none of it; the
            # frames that close a block are shorter than those with content, and take a little away.
            assert end.usage.output == 20 or (script is unreported and 15 <= end.usage.output < 20)
            assert end.charge == end.usage.input * 1000 + end.usage.output * 2000
        assert end.loss == (end.usage.input * 1000 + end.usage.output * 2000 if ending == "broke" else 0)
        assert end.cost == (0 if ending == "failed" else end.usage.input * 500 + end.usage.output * 1000)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_was_delivered_before_a_break_is_charged_if_the_operator_chose_so(tmp_path: Path, dialect: str) -> None:
    with relay(tmp_path, DIALECTS[dialect], "stops_billing", after_break="delivered") as found:
        broke(found, asked(found, DIALECTS[dialect]), DIALECTS[dialect])
        assert (found.end.ending, found.end.charge, found.end.loss) == ("broke", found.end.usage.input * 1000 + 20 * 2000, 0)


def test_an_attempt_that_came_to_nothing_is_the_operators_cost_on_the_row(tmp_path: Path) -> None:
    spoken = DIALECTS["anthropic"]
    with relay(tmp_path, spoken, "stops_billing") as found:
        asked(found, spoken)
        found.call.stream(spoken.text[: spoken.text.index(b"event: content_block_start")])
        found.call.fail("cut")
        assert (found.end.ending, found.end.charge, found.end.loss) == ("failed", 0, 0)
        assert found.end.cost == 10 * 500 + 1 * 1000


def test_a_cost_that_nobody_named_is_not_zero(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        found.ask()
        found.call.reply(200, json.dumps({"choices": [{}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).encode())
        assert found.end.cost is None


TOOLS = pricelist.of({"input": "1", "output": "2", "tool": {"web_search": "0.01", "source": "0.025", "grounded_answer": "0.035"}})
PROMPT = {"prompt_tokens": 10, "completion_tokens": 20}
INPUTS = {"input_tokens": 10, "output_tokens": 20}
SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}
OPENED = {"type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "x"}}
GROUNDED = {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a", "b"]}}
MARKET = {"promptTokenCount": 10, "candidatesTokenCount": 20}


@pytest.mark.parametrize(
    ("dialect", "ask", "answer", "tools"),
    [
        (
            "openai_chat",
            {"plugins": [{"id": "web"}]},
            {"choices": [{}], "usage": {**PROMPT, "server_tool_use": {"web_search_requests": 2}}},
            {"web_search": 2},
        ),
        ("openai_chat", {"web_search_options": {}}, {"choices": [{}], "usage": {**PROMPT, "num_search_queries": 3}}, {"web_search": 3}),
        ("openai_chat", {"search_parameters": {}}, {"choices": [{}], "usage": {**PROMPT, "num_sources_used": 4}}, {"source": 4}),
        ("openai_chat", {"web_search_options": {}}, {"choices": [{}], "usage": PROMPT}, {"web_search": 1}),
        ("openai_chat", {}, {"choices": [{}], "usage": PROMPT}, {}),
        (
            "openai_responses",
            {"tools": [{"type": "web_search"}]},
            {"output": [SEARCH, OPENED, SEARCH, {"type": "message"}], "usage": INPUTS},
            {"web_search": 2},
        ),
        (
            "anthropic",
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            {"content": [], "usage": {**INPUTS, "server_tool_use": {"web_search_requests": 2}}},
            {"web_search": 2},
        ),
        (
            "gemini",
            {"tools": [{"googleSearch": {}}]},
            {"candidates": [GROUNDED], "usageMetadata": MARKET},
            {"grounded_answer": 1, "web_search": 2},
        ),
    ],
)
def test_calls_of_hosted_tools_are_counted_and_charged(
    tmp_path: Path, dialect: str, ask: dict[str, object], answer: dict[str, object], tools: dict[str, int]
) -> None:
    spoken = DIALECTS[dialect]
    with relay(tmp_path, spoken, "stops_billing", TOOLS) as found:
        body = {name: value for name, value in {**spoken.ask, **ask}.items() if name != "stream"}
        found.post(json.dumps(body).encode(), path=spoken.path.replace(b":streamG", b":g"))
        found.call.reply(200, json.dumps(answer).encode())
        rates = {"web_search": 10_000_000, "source": 25_000_000, "grounded_answer": 35_000_000}
        assert found.end.usage.tools == tools
        assert found.end.charge == REPORTED + sum(rates[name] * count for name, count in tools.items())
        assert found.end.unpriced == ()


@pytest.mark.parametrize("reads", ["whole", "frame by frame"])
def test_searches_of_a_stream_are_counted_wherever_they_are_said(tmp_path: Path, reads: str) -> None:
    spoken = DIALECTS["gemini"]
    said = event({"candidates": [{**GROUNDED, "finishReason": None}], "usageMetadata": MARKET})
    with relay(tmp_path, spoken, "stops_billing", TOOLS) as found:
        asked(found, spoken)
        for frames in [spoken.text + said + spoken.end] if reads == "whole" else [spoken.text, said, spoken.end]:
            found.call.stream(frames)
        found.call.stream(b"", done=True)
        assert found.end.usage.tools == {"grounded_answer": 1, "web_search": 2}


def test_what_the_price_does_not_know_is_named_on_the_row(tmp_path: Path) -> None:
    answer = {"output": [SEARCH], "usage": INPUTS, "service_tier": "priority"}
    spoken = DIALECTS["openai_responses"]
    with relay(tmp_path, spoken, "stops_billing") as found:
        asked(found, spoken, stream=False)
        found.call.reply(200, json.dumps(answer).encode())
        assert (found.end.charge, found.end.unpriced) == (REPORTED, ("tool.web_search", "service_tier.priority"))


FLEX = pricelist.of({"input": "1", "output": "2", "service_tier": {"flex": "0.5", "priority": "2"}})
TIERS = {
    "openai_chat": {"choices": [{}], "usage": PROMPT, "service_tier": "flex"},
    "openai_responses": {"output": [], "usage": INPUTS, "service_tier": "flex"},
    "anthropic": {"content": [], "usage": {**INPUTS, "service_tier": "flex"}},
    "gemini": {"candidates": [{}], "usageMetadata": {**MARKET, "serviceTier": "FLEX"}},
}


@pytest.mark.parametrize("dialect", TIERS)
def test_the_service_tier_is_that_of_the_answer(tmp_path: Path, dialect: str) -> None:
    spoken = DIALECTS[dialect]
    with relay(tmp_path, spoken, "stops_billing", FLEX) as found:
        body = {name: value for name, value in spoken.ask.items() if name != "stream"}
        found.post(json.dumps(body).encode(), path=spoken.path.replace(b":streamG", b":g"))
        found.call.reply(200, json.dumps(TIERS[dialect]).encode())
        assert (found.end.charge, found.end.usage.service_tier) == (REPORTED // 2, "flex")


@pytest.mark.parametrize(("unasked", "times"), [("", 1), ("flex", 1), ("priority", 2)])
@pytest.mark.parametrize(("named", "its_own"), [(None, 0), ("auto", 0), ("default", 1), ("flex", 1), ("priority", 2)])
def test_a_hold_is_at_the_tier_that_will_answer(tmp_path: Path, named: str | None, its_own: int, unasked: str, times: int) -> None:
    """`unasked`: in which its provider answers a request that names none."""
    spoken = DIALECTS["openai_chat"]
    times = its_own or times
    provider = ProviderRow("first", spoken.kind, "http://first.test:9/v1", Secret("upstream-secret-one"), service_tier=unasked)
    with relay(tmp_path, spoken, "stops_billing", FLEX, provider=provider) as found:
        body = {**spoken.ask, "max_tokens": 100, **({"service_tier": named} if named else {})}
        found.post(json.dumps(body).encode())
        (start,) = found.records()
        assert isinstance(start, Start)
        assert start.hold == times * (len(json.dumps(body)) * 1000 + 100 * 2000)
        failed(found, Client(), spoken)


@pytest.mark.parametrize(
    ("tools", "calls"),
    [
        ([], 0),
        ([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}], 3),
        ([{"type": "web_search_20250305", "name": "web_search"}], 10),
        ([{"name": "mine", "description": "searches", "input_schema": {"type": "object"}}], 0),
        ([{"name": "mine", "description": 'as "web_search_20250305", but "max_uses": 1', "input_schema": {"type": "object"}}], 10),
    ],
)
def test_a_hold_has_room_for_the_tools_that_the_provider_may_call(tmp_path: Path, tools: list[object], calls: int) -> None:
    spoken = DIALECTS["anthropic"]
    with relay(tmp_path, spoken, "stops_billing", TOOLS) as found:
        body = {**spoken.ask, "tools": tools}
        found.post(json.dumps(body).encode(), path=spoken.path)
        (start,) = found.records()
        assert isinstance(start, Start)
        assert start.hold == len(json.dumps(body)) * 1000 + 500 * 2000 + calls * 10_000_000
        failed(found, Client(), spoken)


def test_a_model_that_is_priced_by_nothing_that_a_route_counts_is_not_free_there(tmp_path: Path) -> None:
    spoken = DIALECTS["openai_chat"]
    with relay(tmp_path, spoken, "stops_billing", pricelist.of({"per_second": "0.1"})) as found:
        client = asked(found, spoken)
        assert client.status == 400
        assert "no model for this" in client.error["message"]
