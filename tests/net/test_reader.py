"""A head that a client says again is not parsed again; whatever comes, the answer is the one a new connection would have given."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halley.net.clock import Clock
from halley.net.listener import Listener
from halley.net.server import Guards
from tests.net.net_harness import Echo

HEAD = b"POST /a?b HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer one\r\nContent-Length: %d\r\nX: y\r\n\r\n"


class Transport:
    """As much of a transport as a connection asks for; what is written is kept, and closing is remembered."""

    def __init__(self) -> None:
        self.said = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.said += data

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name == "peername" else None

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


def asked(
    *reads: bytes, guards: Guards | None = None
) -> tuple[list[tuple[bytes, bytes, bytes, dict[bytes, bytes]]], list[tuple[int, bytes]], bool]:
    """What the application is asked on one connection, what is refused, and whether the connection is closed after it."""
    echo = Echo()
    connection = Listener(echo, guards or Guards(), Clock())._connection()
    transport = Transport()
    connection.connection_made(cast(asyncio.Transport, transport))
    for read in reads:
        if not transport.closed:
            connection.data_received(read)
    seen = [(request.method, request.path + request.query, request.body, request.fields) for request in echo.requests]
    connection.connection_lost(None)
    return seen, echo.refusals, transport.closed


def request(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


def parsed(monkeypatch: pytest.MonkeyPatch, *reads: bytes) -> int:
    """How many of the reads the parser was given."""
    from halley.net.reader import Reader

    count = 0
    parse = Reader.parse

    def counted(self: Reader, data: bytes) -> None:
        nonlocal count
        count += 1
        parse(self, data)

    monkeypatch.setattr(Reader, "parse", counted)
    seen, _, _ = asked(*reads)
    assert len(seen) == len(reads)
    return count


def test_the_same_head_with_another_length_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsed(monkeypatch, *(request(b"x" * size) for size in (1, 10, 999, 1000, 3))) == 1


def test_a_client_that_says_something_new_each_time_is_soon_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsed(monkeypatch, *(request(b"x", HEAD.replace(b"X: y", f"X: {turn}".encode())) for turn in range(30))) == 30


OTHERS: dict[str, bytes] = {
    "another key": request(b"xy", HEAD.replace(b"one", b"two")),
    "another target": request(b"xy", HEAD.replace(b"/a", b"/c")),
    "one more field": request(b"xy", HEAD.replace(b"X: y", b"X: y\r\nZ: z")),
    "one field less": request(b"xy", HEAD.replace(b"X: y\r\n", b"")),
    "two lengths": request(b"xy", HEAD.replace(b"X: y", b"Content-Length: 1")),
    "length with a sign": HEAD.replace(b"%d", b"+2") + b"xy",
    "length with a blank": HEAD.replace(b"%d", b"2 ") + b"xy",
    "length with an underscore": HEAD.replace(b"%d", b"1_0") + b"x" * 10,
    "length in another script": HEAD.replace(b"%d", "٢".encode()) + b"xy",
    "length of zeros": HEAD.replace(b"%d", b"0002") + b"xy",
    "no length": HEAD.replace(b"%d", b"") + b"xy",
    "empty": request(b""),
    "huge length": HEAD.replace(b"%d", b"99999999999") + b"xy",
    "over the limit": request(b"x" * ((1 << 20) + 1)),
    "two requests in one read": request(b"xy") + request(b"zzz"),
    "half a request": request(b"xyz")[:-1],
    "more than a request": request(b"xy") + b"POST",
    "chunked": HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked") + b"2\r\nxy\r\n0\r\n\r\n",
    "bare line feed": request(b"xy").replace(b"\r\nX", b"\nX"),
    "asks to close": request(b"xy", HEAD.replace(b"X: y", b"Connection: close")),
    "expects": request(b"xy", HEAD.replace(b"X: y", b"Expect: 100-continue")),
    "version 1.0": request(b"xy", HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_follows_a_remembered_head_is_read_as_on_a_new_connection(other: bytes) -> None:
    first = request(b"first")
    alone = asked(other)
    after = asked(first, request(b"again"), other)
    assert after[0][2:] == alone[0]
    assert after[1:] == alone[1:]
    # And the other way round: nothing odd is remembered.
    if not alone[2] and len(alone[0]) == 1 and not other.endswith(b"POST"):
        assert asked(other, other, first)[0][2:] == asked(first)[0]


_words = st.sampled_from(
    [b"Content-Length: %d", b"content-length:%d", b"X: y", b"Authorization: Bearer one", b"Connection: close", b"Expect: 100-continue"]
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.lists(_words, max_size=4), st.binary(max_size=6)), min_size=1, max_size=4))
def test_requests_in_reads_of_their_own_are_those_of_connections_of_their_own(asks: list[tuple[list[bytes], bytes]]) -> None:
    reads: list[bytes] = []
    for words, body in asks:
        lines = b"\r\n".join([b"POST / HTTP/1.1", b"Host: h", *words])
        count = lines.count(b"%d")
        reads.append((lines % ((len(body),) * count) if count else lines) + b"\r\n\r\n" + (body if count else b""))
    together: Any = ([], [])
    for read in reads:
        seen, refused, closed = asked(read)
        together[0].extend(seen)
        together[1].extend(refused)
        if closed:
            break
    assert asked(*reads)[:2] == together
