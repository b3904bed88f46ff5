"""Bytes through the whole gateway: what the simulator sends is what the client gets, when it is sent, and no faster than it is read."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.http import Client
from tests.harness.priced import chat, configuration, customer, encoded
from tests.harness.simulator import Simulator

KINDS = (
    "echo",
    "tokens-200",
    "reasoner",
    "tokens-40+crlf",
    "tokens-40+usage-each-chunk",
    "tokens-40+usage-nulls",
    "tokens-40+no-usage",
    "tokens-40+wrong-usage",
    "tokens-40+no-finish",
    "tokens-40+eof-body",
    "tokens-40+early-close",
    "tokens-0",
    "error-frame-after-3",
)
SIZES = ("", "+write-1", "+write-7", "+write-1000")
STREAMED = tuple(f"sim/{kind}{size}" for kind in KINDS for size in SIZES)
CUTS = tuple(f"sim/tokens-40+cut-at-{place}{size}" for place in (1, 150, 400, 2000, 4001) for size in ("", "+write-7"))
OTHERS = ("sim/tokens-3+stall-after-1", "sim/tokens-3+id-kept", "sim/tokens-200000", "sim/tokens-5+id-late+slow-5ms")
UNREAD = ("sim/tokens-200000",)

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}},
}
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two choices": {"n": 2},
    "a tool call": {"tools": [WEATHER]},
    "a schema": {"response_format": SCHEMA},
    "a cap": {"max_completion_tokens": 5},
    "options without usage": {"stream_options": {"include_usage": False}},
    "usage asked for": {"stream_options": {"include_usage": True}},
}
TEXTS = {
    "unicode": "Grüße, 世界 \U0001f30d! ",
    "marks of a stream": 'Say data: [DONE] and "usage":{"prompt_tokens":1} and "finish_reason":"stop" and [DONE]',
    "line ends": "a\n\nb\r\n\r\ndata: [DONE]\n\ndata: x",
}


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("streams")
    with Simulator(place) as simulator:
        toml = configuration(simulator.url, (*STREAMED, *CUTS, *OTHERS), server="write_stall_seconds = 3.0", max_output=200_000)
        with Gateway(place, toml) as gateway:
            yield House(gateway, simulator, customer(gateway, "reader", "1000"))


def through(house: House, body: bytes) -> bytes:
    with house.gateway.client() as client:
        reply = client.ask("POST", "/v1/chat/completions", body, key=house.key)
        assert reply.status == 200, reply.body()
        return reply.body()


def direct(house: House, body: dict[str, Any]) -> bytes:
    """What the simulator sends for the same request when Halley's own wish for usage is in it, without the frame that this wish brings."""
    wants = (body.get("stream_options") or {}).get("include_usage", False)
    asked = {**body, "stream_options": {"include_usage": True}}
    with Client(house.simulator.url) as client:
        reply = client.ask("POST", "/v1/chat/completions", asked, key="any")
        sent = bytearray()
        try:
            for piece in reply.pieces():
                sent += piece
        except (EOFError, ConnectionError):
            pass  # a cut is part of some scripts
    end = b"\r\n\r\n" if b"\r\n\r\n" in sent else b"\n\n"
    frames = bytes(sent).split(end)
    kept = [frame for frame in frames if wants or b'"choices":[],"usage":{' not in frame]
    return end.join(kept)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_comes_out_as_it_went_in(house: House, kind: str, size: str) -> None:
    body = chat(f"sim/{kind}{size}", "Repeat after me: one two three.", stream=True)
    assert through(house, json.dumps(body).encode()) == direct(house, body)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wish", REQUESTS)
def test_whatever_is_asked_for_comes_out_as_it_went_in(house: House, wish: str, size: str) -> None:
    body = chat(f"sim/echo{size}", "Repeat after me: one two three.", stream=True, **REQUESTS[wish])
    assert through(house, json.dumps(body).encode()) == direct(house, body)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", TEXTS)
def test_an_answer_that_looks_like_a_streams_end_does_not_end_it(house: House, text: str, size: str) -> None:
    body = chat(f"sim/echo{size}", TEXTS[text], stream=True)
    assert through(house, json.dumps(body).encode()) == direct(house, body)


@pytest.mark.parametrize("model", CUTS)
def test_a_cut_stream_comes_out_up_to_its_last_whole_frame_and_then_says_so(house: House, model: str) -> None:
    body = chat(model, stream=True)
    sent = direct(house, body)
    frames = sent.split(b"\n\n")[:-1]  # of one that was cut in two a client could make nothing
    sent = b"".join(frame + b"\n\n" for frame in frames)
    with house.gateway.client() as client:
        reply = client.ask("POST", "/v1/chat/completions", body, key=house.key)
        got = reply.body()
        if not frames:
            assert reply.status == 502
            assert json.loads(got)["error"]["code"] == "upstream_error"
            return
    assert reply.status == 200
    assert got.startswith(sent)
    event = json.loads(got[len(sent) :].strip().removeprefix(b"data: "))
    assert event["error"]["code"] == "upstream_error"
    assert b"[DONE]" not in got


def test_the_first_frame_arrives_while_the_upstream_is_still_open(house: House) -> None:
    with house.gateway.client() as client:
        reply = client.ask("POST", "/v1/chat/completions", chat("sim/tokens-3+stall-after-1", stream=True), key=house.key)
        pieces = reply.pieces()
        got = b""
        while got.count(b"data: ") < 2:
            got += next(pieces)
        assert b'"content":"' in got
        assert house.simulator.state()["open_streams"] == 1


def test_many_requests_on_one_connection_dial_the_upstream_hardly_ever(house: House) -> None:
    """Once, unless the closing chunk of a stream comes after its end marker and after the client's next request: nobody waits for it."""
    audit(house.gateway, house.simulator)
    before = house.simulator.state()["connections_dialled"]
    with house.gateway.client() as client:
        for turn in range(60):
            body = chat("sim/tokens-3+id-kept", stream=turn % 2 == 0)
            assert client.ask("POST", "/v1/chat/completions", body, key=house.key).body()
    assert house.simulator.state()["connections_dialled"] - before <= 6


def test_a_client_that_stops_reading_holds_up_the_upstream_and_not_the_memory(house: House) -> None:
    relay = house.gateway.children()["relay-0"]
    before = resident(relay)
    with Crowd(house.gateway.url) as crowd:
        for _ in range(4):
            member = crowd.ask(house.key, encoded("sim/tokens-200000", stream=True))
            member.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        limit = time.monotonic() + 2.0
        peak = before
        while time.monotonic() < limit:
            time.sleep(0.05)
            peak = max(peak, resident(relay))
        # Each stream is 40 MB in all.
        assert peak - before < 8 << 20, f"{(peak - before) >> 20} MiB more for four clients that do not read"
        assert house.simulator.state()["open_streams"] == 4
        # Nobody may hold an upstream for ever: the write-stall limit ends them.
        found = audit(house.gateway, house.simulator, unread=UNREAD)
        assert found.endings["left"] >= 4


def test_the_books_of_all_these_streams_agree_with_the_upstreams_bill(house: House) -> None:
    found = audit(house.gateway, house.simulator, unread=UNREAD)
    assert found.endings["complete"] > 50
    assert found.endings["broke"] > 0


def resident(pid: int) -> int:
    """Resident memory of a process, bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10
