"""Large asks for a provider of another dialect: written by another process, while clients may leave and the relay may end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from halley.errors import Condition, Refused
from halley.policy.snapshot import OfferRow, ProviderRow
from halley.secret import Secret
from halley.serve import lectern
from halley.serve.crossing import SMALL_BYTES, SMALL_OBJECTS
from halley.serve.lectern import Lectern
from tests.serve.rig import Client, Rig, rig, snapshot

LIMIT_S = 20.0
MANY = [{"role": ("user", "assistant")[number % 2], "content": [{"type": "text", "text": f"{number}"}]} for number in range(SMALL_OBJECTS)]
TO_MESSAGES = snapshot(
    offers=(OfferRow("messages", "claude-x"), OfferRow("first", "sim/echo", priority=1)),
    providers=(
        ProviderRow("messages", "anthropic", "http://messages.test:9/v1", Secret("upstream-secret-three")),
        ProviderRow("first", "openai-compatible", "http://first.test:9/v1", Secret("upstream-secret-one")),
        ProviderRow("second", "openai-compatible", "http://second.test:9/v1", Secret("upstream-secret-two"), "bills_to_end"),
    ),
)
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 2},
}  # fmt: skip


def with_lector(place: Path, work: Callable[[Rig], Awaitable[None]], rows: Any = None) -> None:
    with rig(place, rows or snapshot(providers=TO_MESSAGES.providers, offers=(OfferRow("messages", "claude-x"),))) as found:

        async def inside() -> None:
            found.gateway.lectern = Lectern(asyncio.get_running_loop())
            try:
                await work(found)
            finally:
                found.gateway.lectern.close()

        asyncio.run(inside())


async def until(condition: Callable[[], bool], found: Rig) -> None:
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit
        await asyncio.sleep(0.002)
        found.flush()


def large(found: Rig, **body: Any) -> Client:
    return found.ask(**{"messages": MANY, **body})


@pytest.mark.parametrize("body", [{"messages": MANY}, {"messages": [{"role": "user", "content": "x" * SMALL_BYTES}]}], ids=["many", "long"])
def test_a_large_ask_is_translated_as_a_small_one_would_be(body: dict[str, Any], tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        client = found.ask(**body, max_tokens=7, seed=5)
        assert not found.calls and found.gateway.lectern.open == 1
        await until(lambda: bool(found.calls), found)
        sent = json.loads(found.call.body)
        assert (sent["model"], sent["max_tokens"], len(sent["messages"])) == ("claude-x", 7, len(body["messages"]))
        found.call.reply(200, json.dumps(ANSWER).encode())
        found.flush()
        answer = json.loads(client.body)
        assert (answer["object"], answer["choices"][0]["message"]["content"]) == ("chat.completion", "hello")
        assert (client.field("x-halley-lost"), client.field("x-halley-attempts")) == ("seed", "1")
        assert found.end.ending == "complete"

    with_lector(tmp_path, work)


def test_what_a_large_ask_cannot_say_is_refused(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        for asked, words in (({"seed": 1}, "seed"), ({"tools": [{"type": "hologram"}]}, "hologram")):
            client = found.ask(messages=MANY, fields={b"x-halley-strict": b"1"}, **asked)
            await until(lambda client=client: client.finished, found)
            assert (client.status, words in client.error["message"]) == (400, True)
        assert not found.calls and {end.ending for end in found.ends()} == {"failed"}

    with_lector(tmp_path, work)


def test_the_answer_to_a_large_ask_knows_its_tools_and_instructions(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        items = [{"role": turn["role"], "content": turn["content"][0]["text"]} for turn in MANY for _ in range(2)]
        tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}
        body = {"model": "sim/echo", "input": items, "instructions": "Be brief.", "tools": [tool]}
        client = found.post(json.dumps(body).encode(), path=b"/v1/responses")
        await until(lambda: bool(found.calls), found)
        found.call.reply(200, json.dumps(ANSWER).encode())
        found.flush()
        answer = json.loads(client.body)
        assert (answer["instructions"], answer["tools"][0]["name"]) == ("Be brief.", "look")

    with_lector(tmp_path, work)


def test_a_client_that_leaves_meanwhile_is_asked_nothing_for(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        for stream in (True, False):
            large(found, stream=stream).leave()
        await until(lambda: found.gateway.lectern.open == 0 and not found.gateway.runs, found)
        assert not found.calls
        assert [(end.ending, end.status) for end in found.ends()] == [("failed", 499)] * 2

    with_lector(tmp_path, work)


def test_who_waits_for_a_translation_is_answered_when_the_process_ends(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        clients = [large(found) for _ in range(3)]
        for run in list(found.gateway.runs):
            run.expel(Refused(Condition.OVERLOADED, "restarting"))
        found.flush()
        assert [(client.status, client.error["message"]) for client in clients] == [(503, "restarting")] * 3
        await until(lambda: found.gateway.lectern.open == 0, found)
        assert not found.calls and {end.ending for end in found.ends()} == {"failed"}

    with_lector(tmp_path, work)


def test_a_lector_that_is_lost_costs_one_translation(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        first, second = large(found), large(found)
        desk: Any = found.gateway.lectern
        desk._process.kill()
        await until(lambda: first.finished and bool(found.calls), found)
        assert first.status == 503
        found.call.reply(200, json.dumps(ANSWER).encode())
        found.flush()
        assert second.status == 200

    with_lector(tmp_path, work)


def test_where_too_many_wait_another_offer_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lectern, "MOST_WAITING", 0)

    async def work(found: Rig) -> None:
        client = large(found)
        assert found.call.pool == "first.test"
        found.call.fail("connect", written=False)
        found.flush()
        assert client.status == 502

    with_lector(tmp_path, work, TO_MESSAGES)
