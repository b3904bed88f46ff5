"""Every client dialect against every provider dialect over real sockets: text, streams, pictures, tools, sealed thoughts, each billed once.

Asks and answers are written and read here without the gateway's own codecs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.dialects import CLIENTS, PICTURE, PROVIDERS, ask
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

SCRIPTS = (
    "tokens-5",
    "echo",
    "tool-weather+echo",
    "think-6+tool-weather+echo",
    "error-frame-after-2",
    "cut-after-2",
    "length",
    "refusal",
    "status-429",
)


class Said(NamedTuple):
    """What an answer says, whatever its dialect: text, calls as (id, name, arguments), what a client gives back of it, and how it ended."""

    text: str
    calls: list[tuple[str, str, dict[str, Any]]]
    turn: Any
    finish: str


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with furnished(tmp_path_factory.mktemp("crossings"), SCRIPTS) as made:
        yield made


@contextmanager
def furnished(place: Path, scripts: Iterable[str]) -> Iterator[House]:
    """A gateway with a provider of each dialect, which has a model for each script of the simulator's."""
    with Simulator(place) as simulator:
        providers = [
            f'[[providers]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{simulator.url}{base}"\napi_key = "sk-any"\n'
            for name, (kind, base) in PROVIDERS.items()
        ]
        models = [
            f'[[models]]\nid = "{name}/{script}"\nmax_output = 4000\noffers = [{{ provider = "{name}", model = "sim/{script}" }}]\n'
            'price = { input = "0.1505", output = "0.6015" }\n'
            for name in PROVIDERS
            for script in scripts
        ]
        with Gateway(place, "\n".join([*providers, *models])) as gateway:
            gateway.cli("credit", "default", "1000")
            yield House(gateway, simulator, gateway.key())


# ---- the four dialects as a client reads them -------------------------------------------------------------------------------


def results(dialect: str, calls: list[tuple[str, str, dict[str, Any]]], text: str) -> list[Any]:
    match dialect:
        case "chat":
            return [{"role": "tool", "tool_call_id": id, "content": text} for id, _, _ in calls]
        case "responses":
            return [{"type": "function_call_output", "call_id": id, "output": text} for id, _, _ in calls]
        case "messages":
            return [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": text} for id, _, _ in calls]}]
        case _:
            parts = [{"functionResponse": {"id": id, "name": name, "response": {"result": text}}} for id, name, _ in calls]
            return [{"role": "user", "parts": parts}]


def answer(dialect: str, body: dict[str, Any]) -> Said:
    match dialect:
        case "chat":
            choice = body["choices"][0]
            message = choice["message"]
            calls = [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in message.get("tool_calls") or ()]
            kept = {name: value for name, value in message.items() if value is not None}
            return Said(message.get("content") or "", calls, [{"content": None, **kept}], choice["finish_reason"])
        case "responses":
            items = body["output"]
            text = "".join(part["text"] for item in items if item["type"] == "message" for part in item["content"] if "text" in part)
            calls = [(i["call_id"], i["name"], json.loads(i["arguments"])) for i in items if i["type"] == "function_call"]
            return Said(text, calls, items, body["status"])
        case "messages":
            blocks = body["content"]
            calls = [(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]
            text = "".join(block["text"] for block in blocks if block["type"] == "text")
            return Said(text, calls, [{"role": "assistant", "content": blocks}], body["stop_reason"])
        case _:
            candidate = body["candidates"][0]
            parts = candidate["content"]["parts"]
            calls = [
                (p["functionCall"].get("id", ""), p["functionCall"]["name"], p["functionCall"].get("args", {}))
                for p in parts
                if "functionCall" in p
            ]
            text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
            return Said(text, calls, [candidate["content"]], candidate["finishReason"])


def streamed(dialect: str, raw: bytes) -> str:
    """The text of a stream, its grammar checked as far as clients depend on it."""
    frames = [frame for frame in raw.decode().split("\n\n") if frame]
    data = [json.loads(frame.rpartition("data: ")[2]) for frame in frames if not frame.endswith("[DONE]")]
    match dialect:
        case "chat":
            assert frames[-1] == "data: [DONE]"
            assert data[0]["choices"][0]["delta"]["role"] == "assistant"
            assert data[-1]["choices"] == [] and data[-1]["usage"]["completion_tokens"] > 0
            return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in data[:-1])
        case "responses":
            assert [event["sequence_number"] for event in data] == list(range(len(data)))
            assert (data[0]["type"], data[-1]["type"]) == ("response.created", "response.completed")
            assert data[-1]["response"]["usage"]["output_tokens"] > 0
            return "".join(event["delta"] for event in data if event["type"] == "response.output_text.delta")
        case "messages":
            assert all(frame.startswith(f"event: {event['type']}\n") for frame, event in zip(frames, data, strict=True))
            assert (data[0]["type"], data[-1]["type"]) == ("message_start", "message_stop")
            assert data[-2]["usage"]["output_tokens"] > 0
            return "".join(event["delta"].get("text", "") for event in data if event["type"] == "content_block_delta")
        case _:
            assert all(frame.startswith("data: {") for frame in frames)
            assert data[-1]["candidates"][0]["finishReason"] == "STOP"
            assert data[-1]["usageMetadata"]["candidatesTokenCount"] > 0
            parts = [part for chunk in data for candidate in chunk["candidates"] for part in candidate.get("content", {}).get("parts", ())]
            return "".join(part.get("text", "") for part in parts if not part.get("thought"))


def send(house: House, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    with house.gateway.client() as client:
        reply = client.ask("POST", path, body, fields={"Authorization": f"Bearer {house.key}", "anthropic-version": "2023-06-01"})
        return reply.status, dict(reply.fields), reply.body()


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_text_and_pictures_arrive_whole_and_streamed(house: House, client: str, provider: str) -> None:
    status, _, raw = send(house, *ask(client, f"{provider}/tokens-5", ["Hello."]))
    assert status == 200, raw
    said = answer(client, json.loads(raw))
    assert len(said.text.split()) == 5
    status, _, raw = send(house, *ask(client, f"{provider}/tokens-5", ["Hello."], stream=True))
    assert status == 200, raw
    assert streamed(client, raw) == said.text
    status, _, raw = send(house, *ask(client, f"{provider}/echo", [PICTURE]))
    assert status == 200, raw
    assert hashlib.sha256(PICTURE).hexdigest()[:16] in answer(client, json.loads(raw)).text


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("script", ["tool-weather+echo", "think-6+tool-weather+echo"])
def test_a_loop_of_tools_comes_to_its_end_with_its_thoughts(house: House, client: str, provider: str, script: str) -> None:
    think = script.startswith("think")
    turns: list[Any] = ["Weather?"]
    status, _, raw = send(house, *ask(client, f"{provider}/{script}", turns, tools=True, think=think))
    assert status == 200, raw
    said = answer(client, json.loads(raw))
    assert [name for _, name, _ in said.calls] == ["weather"]
    turns += [said.turn, results(client, said.calls, "21 degrees in the shade")]
    status, _, raw = send(house, *ask(client, f"{provider}/{script}", turns, tools=True, think=think))
    assert status == 200, raw
    assert "21 degrees in the shade" in answer(client, json.loads(raw)).text


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", ["chat", "gemini"])
def test_a_client_that_keeps_no_thoughts_comes_to_the_end_too(house: House, client: str, provider: str) -> None:
    """As most of what speaks Chat, and Gemini CLI."""
    model = f"{provider}/think-6+tool-weather+echo"
    _, _, raw = send(house, *ask(client, model, ["Weather?"], tools=True, think=True))
    said = answer(client, json.loads(raw))
    (turn,) = said.turn
    kept = {"role": "model", "parts": [part for part in turn.get("parts", ()) if not part.get("thought")]}
    if client == "chat":
        kept = {"role": "assistant", "content": None, "tool_calls": turn["tool_calls"]}
    turns = ["Weather?", [kept], results(client, said.calls, "21 degrees in the shade")]
    status, _, raw = send(house, *ask(client, model, turns, tools=True, think=True))
    assert status == 200, raw
    assert "21 degrees in the shade" in answer(client, json.loads(raw)).text


@pytest.mark.parametrize("script", ["tokens-5", "status-429", "refused"])
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_head_has_our_id_where_the_client_looks_and_nothing_of_another_dialect(
    house: House, client: str, provider: str, script: str
) -> None:
    path, body = ask(client, f"{provider}/{script}" if script != "refused" else "nobody/nothing", ["Hello."])
    _, fields, raw = send(house, path, body)
    own = fields["x-request-id"]
    assert own.startswith("req_") and own not in ("req_of_the_simulator", "")
    assert fields.get("request-id") == (own if client == "messages" else None), raw
    assert not [name for name in fields if name.startswith(("openai-", "anthropic-"))]


def elements(house: House, provider: str, script: str, query: str = "") -> tuple[dict[str, str], Any]:
    path, body = ask("gemini", f"{provider}/{script}", ["Hello."], stream=True)
    status, fields, raw = send(house, path.removesuffix("?alt=sse") + query, body)
    assert status == 200, raw
    assert fields["content-type"] == "application/json"
    return fields, json.loads(raw)


def text(found: list[Any]) -> str:
    return "".join(part.get("text", "") for each in found for part in each["candidates"][0].get("content", {}).get("parts", ()))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_alt_sse_a_gemini_client_gets_one_array(house: House, provider: str) -> None:
    _, found = elements(house, provider, "tokens-5")
    assert len(found) > 1 and len(text(found).split()) == 5
    assert found[-1]["candidates"][0]["finishReason"] == "STOP" and found[-1]["usageMetadata"]["candidatesTokenCount"] == 5
    _, found = elements(house, provider, "tokens-5", "?alt=json")
    assert len(text(found).split()) == 5


@pytest.mark.parametrize("script", ["error-frame-after-2", "cut-after-2"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_that_fails_ends_its_array_with_the_error(house: House, provider: str, script: str) -> None:
    _, found = elements(house, provider, script)
    assert [*found[-1]] == ["error"] and all("candidates" in each for each in found[:-1])
    assert found[-1]["error"]["message"] and found[-1]["error"]["status"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    ("version", "status"), [(None, 200), ("2023-06-01", 200), ("2026-10-21", 200), ("latest", 400), ("2023-6-1", 400), ("", 400)]
)
def test_a_version_is_followed_and_nonsense_is_none(house: House, path: str, version: str | None, status: int) -> None:
    _, body = ask("messages", "messages/tokens-5", ["Hello."])
    before = house.simulator.state()["requests"]
    with house.gateway.client() as client:
        fields = {} if version is None else {"anthropic-version": version}
        reply = client.ask(
            "POST",
            path,
            body if path == "/v1/messages" else {"model": body["model"], "messages": body["messages"]},
            key=house.key,
            fields=fields,
        )
        raw = reply.body()
    assert reply.status == status, raw
    if status == 400:
        assert json.loads(raw)["error"]["type"] == "invalid_request_error" and b"anthropic-version" in raw
        assert house.simulator.state()["requests"] == before


@pytest.mark.parametrize("provider", ["chat", "responses", "messages", "gemini"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_request_of_many_objects_is_answered_whatever_its_dialect(house: House, client: str, provider: str) -> None:
    """More objects than are translated on the relay's loop, and more than were once translated at all."""
    path, body = ask(client, f"{provider}/tokens-5", [f"a{number}" for number in range(21_000)])
    status, _, raw = send(house, path, body)
    assert status == 200, raw
    assert answer(client, json.loads(raw)).text


def test_afterwards_the_books_agree(house: House) -> None:
    found = audit(house.gateway, house.simulator)
    assert set(found.endings) == {"complete", "failed", "broke"}  # what was refused before it was sent has failed
