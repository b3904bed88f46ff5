"""A client that waits for a stream hears that its request is alive, in its dialect's own form; text, grammar and money stay as they are.

All requests run side by side, because each of them waits for seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

PROVIDERS = {
    "chat": ("openai-compatible", "/v1"),
    "responses": ("openai-responses", "/v1"),
    "messages": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
}
# A provider that is long in coming, and one that is silent between two pieces.
LATE, SLOW = "tokens-5+head-delay-3200ms", "tokens-3+slow-2200ms"
REFUSED, WHOLE = "status-429+head-delay-2500ms", "tokens-3+json-anyway+head-delay-2500ms"
SCRIPTS = (LATE, SLOW, REFUSED, WHOLE)
BEATS = {
    "chat": b": keep-alive\n\n",
    "responses": b": keep-alive\n\n",
    "messages": b'event: ping\ndata: {"type": "ping"}\n\n',
    "completions": b": keep-alive\n\n",
}
PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "completions": "/v1/completions",
    "gemini": "/v1beta/models/MODEL:streamGenerateContent?alt=sse",
    "array": "/v1beta/models/MODEL:streamGenerateContent",
}
ASKED = [(client, provider, script) for client in PATHS for provider in PROVIDERS for script in SCRIPTS if client != "completions"]
ASKED += [("completions", "chat", script) for script in SCRIPTS]


class Heard(NamedTuple):
    """`pieces`: the chunks of a stream as they came."""

    status: int
    pieces: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str
    heard: dict[tuple[str, str, str], Heard]


def ask(gateway: Gateway, key: str, client: str, model: str, stream: bool = True) -> Heard:
    text = "Hello."
    body: dict[str, Any] = {
        "chat": {"messages": [{"role": "user", "content": text}], "max_tokens": 900},
        "responses": {"input": text, "max_output_tokens": 900, "store": False},
        "messages": {"messages": [{"role": "user", "content": text}], "max_tokens": 900},
        "completions": {"prompt": text, "max_tokens": 900},
    }.get(client, {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": {"maxOutputTokens": 900}})
    if "contents" not in body:
        body |= {"model": model, "stream": stream}
    path = PATHS[client].replace("MODEL", model)
    with gateway.client() as connection:
        reply = connection.ask("POST", path, body, fields={"Authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"})
        return Heard(reply.status, list(reply.pieces()))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("heartbeats")
    with Simulator(place) as simulator:
        toml = ["[server]\nheartbeat_seconds = 1\n"]
        toml += [
            f'[[providers]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{simulator.url}{base}"\napi_key = "sk-any"\n'
            for name, (kind, base) in PROVIDERS.items()
        ]
        price = 'price = { input = "0.1505", output = "0.6015" }\n'
        toml += [
            f'[[models]]\nid = "{name}/{script}"\nmax_output = 4000\n{price}offers = [{{ provider = "{name}", model = "sim/{script}" }}]\n'
            for name in PROVIDERS
            for script in SCRIPTS
        ]
        # Where the first offer refuses, there would be another one.
        toml.append(
            f'[[models]]\nid = "two"\nmax_output = 4000\n{price}offers = ['
            f'{{ provider = "chat", model = "sim/{REFUSED}" }}, {{ provider = "messages", model = "sim/echo", priority = 2 }}]\n'
        )
        with Gateway(place, "\n".join(toml)) as gateway, ThreadPoolExecutor(len(ASKED)) as pool:
            gateway.cli("credit", "default", "1000")
            key = gateway.key()
            asked = {(c, p, s): pool.submit(ask, gateway, key, c, f"{p}/{s}") for c, p, s in ASKED}
            yield House(gateway, simulator, key, {each: heard.result() for each, heard in asked.items()})


def without(client: str, heard: Heard) -> bytes:
    """The stream without its heartbeats, each of which came alone."""
    beat = BEATS[client]
    assert all(piece == beat for piece in heard.pieces if beat in piece)
    return b"".join(piece for piece in heard.pieces if piece != beat)


def text(client: str, raw: bytes) -> str:
    """What a whole stream says."""
    if client == "array":
        data = json.loads(raw)
    else:
        frames = [frame for frame in raw.decode().split("\n\n") if frame]
        data = [json.loads(frame.rpartition("data: ")[2]) for frame in frames if not frame.endswith("[DONE]")]
    match client:
        case "chat":
            assert raw.endswith(b"data: [DONE]\n\n")
            return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in data if chunk["choices"])
        case "completions":
            assert raw.endswith(b"data: [DONE]\n\n")
            return "".join(chunk["choices"][0]["text"] for chunk in data if chunk["choices"])
        case "responses":
            assert data[-1]["type"] == "response.completed"
            return "".join(event["delta"] for event in data if event["type"] == "response.output_text.delta")
        case "messages":
            assert (data[0]["type"], data[-1]["type"]) == ("message_start", "message_stop")
            return "".join(event["delta"].get("text", "") for event in data if event["type"] == "content_block_delta")
        case _:
            assert data[-1]["candidates"][0]["finishReason"] == "STOP"
            parts = [part for chunk in data for part in chunk["candidates"][0].get("content", {}).get("parts", ())]
            return "".join(part["text"] for part in parts)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", ["chat", "responses", "messages"])
@pytest.mark.parametrize(("script", "words"), [(LATE, 5), (SLOW, 3)])
def test_a_silent_stream_has_heartbeats_and_the_same_words(house: House, client: str, provider: str, script: str, words: int) -> None:
    heard = house.heard[client, provider, script]
    assert heard.status == 200
    assert heard.pieces.count(BEATS[client]) >= 2
    assert script == SLOW or heard.pieces[0] == BEATS[client]
    assert len(text(client, without(client, heard)).split()) == words


def test_so_has_a_stream_of_completions(house: House) -> None:
    heard = house.heard["completions", "chat", LATE]
    assert heard.pieces[0] == BEATS["completions"] and len(text("completions", without("completions", heard)).split()) == 5


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", ["gemini", "array"])
@pytest.mark.parametrize(("script", "words"), [(LATE, 5), (SLOW, 3)])
def test_clients_that_fail_on_comments_get_none(house: House, client: str, provider: str, script: str, words: int) -> None:
    heard = house.heard[client, provider, script]
    assert heard.status == 200 and b"keep-alive" not in heard.body and b"ping" not in heard.body
    assert len(text(client, heard.body).split()) == words


@pytest.mark.parametrize(
    ("client", "provider"), [("completions", "chat"), *((c, p) for c in ("chat", "responses", "messages") for p in PROVIDERS)]
)
def test_a_refusal_after_a_heartbeat_is_the_last_event(house: House, client: str, provider: str) -> None:
    heard = house.heard[client, provider, REFUSED]
    assert heard.status == 200 and heard.pieces[0] == BEATS[client]
    frames = without(client, heard).decode().removesuffix("\n\n").split("\n\n")
    last = json.loads(frames[-1].rpartition("data: ")[2])
    match client:
        case "chat" | "completions":
            assert last["error"]["code"] == "rate_limit_exceeded" and "[DONE]" not in frames[-1]
        case "responses":
            assert last["type"] == "response.failed" and last["response"]["error"]["code"] == "rate_limit_exceeded"
        case _:
            assert frames[-1].startswith("event: error\n") and last["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("client", ["gemini", "array"])
def test_a_refusal_without_a_heartbeat_has_its_status(house: House, client: str) -> None:
    heard = house.heard[client, "gemini", REFUSED]
    assert heard.status == 429
    assert json.loads(heard.body)["error"]["status"] == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("client", ["chat", "responses", "messages"])
def test_an_answer_that_is_no_stream_is_an_error_event(house: House, client: str) -> None:
    heard = house.heard[client, "chat", WHOLE]
    assert heard.status == 200 and heard.pieces[0] == BEATS[client]
    assert b"instead of the stream that was asked for" in without(client, heard)


def test_from_the_first_heartbeat_on_no_other_offer_is_tried(house: House) -> None:
    before = house.simulator.state()["requests"]
    heard = ask(house.gateway, house.key, "chat", "two")
    assert heard.status == 200 and b'"rate_limit_exceeded"' in heard.pieces[-1]
    assert house.simulator.state()["requests"] - before == 1


def test_whole_answers_have_none(house: House) -> None:
    heard = ask(house.gateway, house.key, "chat", f"chat/{LATE}", stream=False)
    assert heard.status == 200 and len(json.loads(heard.body)["choices"][0]["message"]["content"].split()) == 5


def test_the_books_add_up(house: House) -> None:
    found = audit(house.gateway, house.simulator)
    assert found.endings["complete"] >= 2 * 4 * 5 and found.endings["failed"] >= 4 * 5
    assert all(request.charge == 0 for request in found.requests if request.ending == "failed")
