"""Whatever an upstream sends, the client gets an answer it can read, the gateway stays up, and the money is right."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator

import pytest

from tests.gateway.hostile import Hostile, Reply, said, said_and_closed, whole, without_end
from tests.harness.gateway import Gateway
from tests.harness.http import Client
from tests.harness.process import until

SECRET = "canary-upstream-credential"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def _answer(usage: object = None, text: str = "fine") -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "x", "object": "chat.completion", "choices": [choice], **({"usage": usage} if usage is not None else {})}


def _tokens(prompt: object, completion: object, **more: object) -> dict[str, object]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def _frame(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _delta(text: str, finish: str | None = None) -> bytes:
    return _frame(
        {"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
    )


GOOD = whole(_answer(_tokens(3, 1)))
DONE = b"data: [DONE]\n\n"

# Asked for whole, and 502 (or 504) is what the client gets.
USELESS: dict[str, Reply] = {
    "head-without-end": without_end(b"HTTP/1.1 200 OK\r\nx: ", b"a"),
    "fields-without-end": without_end(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    "interim-without-end": without_end(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "not-http": said(b"220 mail.test ESMTP ready\r\n"),
    "tls-alert": said_and_closed(b"\x15\x03\x01\x00\x02\x02\x28"),
    "closed": said_and_closed(b""),
    "half-a-head": said_and_closed(b"HTTP/1.1 200 OK\r\ncontent-ty"),
    "silent": said(b""),
    "silent-after-head": said(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"),
    "shorter-than-said": said_and_closed(GOOD[:-10]),
    "longer-than-said": said(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n", GOOD),
    "two-lengths": said(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 5\r\n\r\n{}xyz"),
    "length-and-chunks": said(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "negative-length": said(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}"),
    "chunk-garbage": said(CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n"),
    "chunk-too-long": said(CHUNKED, b"fffffffffffffffff\r\n"),
    "chunks-cut": said_and_closed(CHUNKED, b"5\r\n{}"),
    "trailers-without-end": without_end(CHUNKED + b"2\r\n{}\r\n0\r\n", b"x: y\r\n"),
    "switched": said(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
    "redirect": said(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
    "no-content": said(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "empty": said(whole(b"")),
    "null": said(whole(b"null")),
    "array": said(whole([1])),
    "html": said(whole(b"<html><script>alert(1)</script></html>", kind=b"text/html")),
    "html-error": said(whole(b"<html>Bad gateway</html>", status=b"500 Oops", kind=b"text/html")),
    "credential-refused": said(whole({"error": {"message": f"wrong key {SECRET}"}}, status=b"401 Unauthorized")),
    "gzip": said(whole(gzip.compress(json.dumps(_answer()).encode()), b"content-encoding: gzip")),
    "deep": said(whole(b'{"choices":' + b"[" * 200_000)),
    "stream-anyway-cut": said_and_closed(EVENTS, _delta("hi")),
    "stream-anyway-of-nothing": said_and_closed(EVENTS, DONE),
    "body-without-end": without_end(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", b" "),
    "unread-and-closed": said_and_closed(b""),
}

# Odd, and still an answer.
ODD: dict[str, Reply] = {
    "good": said(GOOD),
    "interim": said(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", GOOD),
    "closes-unsaid": said_and_closed(GOOD),
    "until-the-end": said_and_closed(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", json.dumps(_answer()).encode()),
    "two-replies": said(GOOD, GOOD),
    "usage-huge": said(whole(_answer(_tokens(10**18, 10**18)))),
    "usage-beyond-64-bits": said(whole(_answer(_tokens(10**30, 10**30)))),
    "usage-beyond-floats": said(
        whole(json.dumps(_answer(_tokens(1, 1))).replace('"prompt_tokens": 1', '"prompt_tokens": ' + "9" * 400).encode())
    ),
    "usage-negative": said(whole(_answer(_tokens(-5, -7)))),
    "usage-half": said(whole(_answer(_tokens(1.5, 2.5)))),
    "usage-text": said(whole(_answer(_tokens("1", "2")))),
    "usage-list": said(whole(_answer([1, 2]))),
    "usage-cached-more": said(whole(_answer(_tokens(1, 1, prompt_tokens_details={"cached_tokens": 10**12})))),
    "type-html": said(whole(_answer(_tokens(1, 1)), kind=b"text/html")),
    "long-request-id": said(whole(_answer(_tokens(1, 1)), b"x-request-id: " + b"a" * 30_000)),
    "limits": said(whole(_answer(_tokens(1, 1)), b"x-ratelimit-remaining-tokens: 5", b"set-cookie: a=b", b"server: secret-host")),
    "unread-early": said_and_closed(whole({"error": {"message": "too large", "type": "x"}}, b"connection: close", status=b"413 Too Large")),
}

# Asked for as streams.
STREAMS: dict[str, Reply] = {
    "s-good": said_and_closed(EVENTS, _delta("hi"), _delta("", "stop"), _frame({"choices": [], "usage": _tokens(3, 1)}), DONE),
    "s-after-done": without_end(EVENTS + _delta("hi", "stop") + DONE, b": still here\n\n"),
    "s-usage-huge": said_and_closed(EVENTS, _delta("hi", "stop"), _frame({"choices": [], "usage": _tokens(10**18, 10**25)}), DONE),
    "s-crlf": said_and_closed(EVENTS, (_delta("hi") + _delta("", "stop") + DONE).replace(b"\n", b"\r\n")),
}
BROKEN_STREAMS: dict[str, Reply] = {
    "s-cut": said_and_closed(EVENTS, _delta("hi")),
    "s-cut-inside": said_and_closed(EVENTS, _delta("hi"), b'data: {"choices":[{"index":0,"del'),
    "s-silent": said(EVENTS, _delta("hi")),
    "s-error-frame": said_and_closed(EVENTS, _delta("hi"), _frame({"error": {"message": f"overloaded {SECRET}", "type": "x"}})),
    "s-only-comments": said_and_closed(EVENTS, b": hello\n\n: hello\n\n"),
    "s-nothing": said_and_closed(EVENTS),
    "s-json-anyway": said(GOOD),
    "s-gzip": said_and_closed(
        EVENTS.replace(b"connection", b"content-encoding: gzip\r\nconnection"), gzip.compress(_delta("hi", "stop") + DONE)
    ),
    "s-binary": said_and_closed(EVENTS, bytes(range(256)) * 100),
}

ALL = {**USELESS, **ODD, **STREAMS, **BROKEN_STREAMS}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Hostile]:
    with Hostile(ALL) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Hostile) -> Iterator[Gateway]:
    place = tmp_path_factory.mktemp("hostile")
    models = "".join(
        f'[[models]]\nid = "{name}"\nmax_output = 1000\nprice = {{input = "1", output = "2"}}\noffers = [{{provider = "hostile"}}]\n'
        for name in ALL
    )
    settings = f"""
[upstream]
first_byte_seconds = 2.0
idle_seconds = 2.0
[[providers]]
name = "hostile"
kind = "openai-compatible"
base_url = "{upstream.url}"
api_key = "{SECRET}"
{models}
"""
    with Gateway(place, settings) as gateway:
        yield gateway


def _ask(gateway: Gateway, model: str, *, stream: bool = False) -> tuple[int, dict[str, str], bytes]:
    question = {"model": model, "stream": stream, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
    if model.startswith("unread"):
        question["messages"] = [{"role": "user", "content": "a" * 8_000_000}]
    began = time.monotonic()
    with Client(gateway.url) as client:
        reply = client.ask("POST", "/v1/chat/completions", question, key=gateway.key())
        body = reply.body()
    assert time.monotonic() - began < 15
    assert SECRET.encode() not in body
    assert "x-request-id" in reply.fields
    return reply.status, reply.fields, body


def _still_good(gateway: Gateway) -> None:
    status, _, body = _ask(gateway, "good")
    assert (status, body) == (200, GOOD.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("model", USELESS)
def test_a_useless_reply_is_an_error_in_json(gateway: Gateway, model: str) -> None:
    status, fields, body = _ask(gateway, model)
    assert status == (504 if model.startswith("silent") else 502), body
    assert fields["content-type"] == "application/json"
    assert json.loads(body)["error"]["message"]
    _still_good(gateway)


@pytest.mark.parametrize("model", ODD)
def test_an_odd_reply_is_passed_on_without_what_is_odd(gateway: Gateway, model: str) -> None:
    status, fields, body = _ask(gateway, model)
    assert status == (413 if model == "unread-early" else 200), body
    assert fields["content-type"] == "application/json"
    assert isinstance(json.loads(body), dict)
    assert not {"set-cookie", "server", "x-ratelimit-remaining-tokens"} & fields.keys()
    assert len(fields["x-request-id"]) == 30
    _still_good(gateway)


@pytest.mark.parametrize("model", STREAMS)
def test_a_stream_ends_with_its_end_marker(gateway: Gateway, upstream: Hostile, model: str) -> None:
    status, fields, body = _ask(gateway, model, stream=True)
    assert (status, fields["content-type"]) == (200, "text/event-stream")
    assert b"\ndata: [DONE]" in body.replace(b"\r\n", b"\n")
    _still_good(gateway)
    until(lambda: not upstream.writing, lambda: f"still read from: {upstream.writing}", 10)


@pytest.mark.parametrize("model", BROKEN_STREAMS)
def test_a_broken_stream_ends_with_an_error_or_never_begins(gateway: Gateway, model: str) -> None:
    status, fields, body = _ask(gateway, model, stream=True)
    if status == 200:
        assert fields["content-type"] == "text/event-stream"
        last = body.rstrip().rpartition(b"\n")[2]
        assert last.startswith(b"data: {"), body[-200:]
        assert json.loads(last[6:])["error"]["message"]
        assert b"[DONE]" not in body
    else:
        assert status in (502, 504)
        assert json.loads(body)["error"]["message"]
    _still_good(gateway)


def test_after_all_of_them_every_hold_has_ended_and_the_books_agree(gateway: Gateway) -> None:
    with Client(gateway.url) as client:

        def open_holds() -> bool:
            figures = client.ask("GET", "/metrics").body().decode()
            return "halley_open_holds 0\n" not in figures or "halley_open_requests 0\n" not in figures

        until(lambda: not open_holds(), lambda: client.ask("GET", "/metrics").body().decode())
    verified = gateway.cli_json("ledger", "verify")
    assert verified["clean"], verified
    assert verified["requests"] > len(ALL)
    assert '"level":"error"' not in gateway.logs(), gateway.logs()
    assert SECRET not in gateway.logs()
    for path in gateway.home.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
