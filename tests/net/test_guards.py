"""Every guard of the listener, over real sockets and on both loops."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from net_harness import raw, run, serving, until

from halley.net import server as server_module
from halley.net.server import Guards

FIXTURES = Path(__file__).parent / "fixtures"
AFTER = b"GET /canary HTTP/1.1\r\nHost: a\r\n\r\n"

REFUSED = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "host with user": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "host with blank": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "host with slash": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "host with bad port": (b"GET / HTTP/1.1\r\nHost: a:port\r\n\r\n", 400),
    "http 2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
    "http 0.9": (b"GET /\r\n\r\n", 400),
    "http 1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    "unknown method": (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "connect": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "target is no path": (b"GET canary HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "length and chunked": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked and length": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "gzip, chunked": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked on 1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "same length twice": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400),
    "length list": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab", 400),
    "length with sign": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nab", 400),
    "length hex": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\nab", 400),
    "folded line": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "bare CR": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    "NUL": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    "blank before colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "two authorizations": (b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: a\r\n\r\n", 401),
    "two x-api-keys": (b"GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: a\r\nx-api-key: b\r\n\r\n", 401),
    "two goog keys": (b"GET / HTTP/1.1\r\nHost: a\r\nx-goog-api-key: a\r\nx-goog-api-key: b\r\n\r\n", 401),
    "two content types": (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Type: a\r\nContent-Type: a\r\n\r\n", 400),
    "content encoding": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab", 415),
    "other expectation": (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 2\r\n\r\n", 417),
    "upgrade with body": (b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 33\r\n\r\n" + AFTER, 426),
    "declared body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 413),
    "huge declared body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
    "long target": (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "longer target": (b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "head one byte over": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 32768 + b"\r\n\r\n", 431),
    "101 fields": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d: 1\r\n" % i for i in range(100)) + b"\r\n", 431),
    "101 equal fields": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: 1\r\n" * 100 + b"\r\n", 431),
    "endless trailer": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: " + b"a" * 200000,
        400,
    ),
    "endless extension": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=" + b"a" * 200000, 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_guarded_request_is_refused_and_the_connection_closed(case: str, loop: str) -> None:
    data, status = REFUSED[case]

    async def work() -> None:
        async with serving() as server:
            said = await raw(server.port, data + AFTER)
            assert said.startswith(b"HTTP/1.1 %d " % status), said[:200]
            assert b"connection: close\r\n" in said
            assert said.count(b"\r\ncontent-length: ") == 1
            assert server.echo.requests == []
            assert [status for status, _ in server.echo.refusals] == [status]

    run(loop, work)


SMUGGLING = [json.loads(line) for line in (FIXTURES / "smuggling.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("line", SMUGGLING, ids=[line["id"] for line in SMUGGLING])
def test_a_smuggling_attempt_never_makes_a_third_request(line: dict[str, str], loop: str) -> None:
    async def work() -> None:
        async with serving(Guards(idle_seconds=0.1, head_seconds=0.3, body_seconds=0.3)) as server:
            said = await raw(server.port, base64.b64decode(line["raw_b64"]) + AFTER)
            seen = [request.path for request in server.echo.requests]
            assert set(seen) <= {b"/", b"/canary"}
            if line["id"] == "http-h1-get_body_smug":  # an honest GET with a body
                assert seen == [b"/", b"/canary"]
            else:
                assert said.split(b" ")[1] == b"400"
                assert seen == []

    run(loop, work)


@pytest.mark.parametrize("size", [1, 700, 5000])
def test_a_large_head_is_refused_also_when_it_trickles_in(size: int, loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            head = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (60000 if size > 1 else 3000)
            if size == 1:
                head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 120 + b"\r\n"
            for start in range(0, len(head), size):
                writer.write(head[start : start + size])
                await asyncio.sleep(0)
            assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
            writer.close()

    run(loop, work)


def test_a_chunked_body_is_counted_while_it_comes(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            server.echo.body_limit = 1000
            chunk = b"64\r\n" + b"a" * 100 + b"\r\n"
            said = await raw(server.port, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 11)
            assert said.startswith(b"HTTP/1.1 413 ")
            within = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 10 + b"0\r\n\r\n"
            assert (await raw(server.port, within)).startswith(b"HTTP/1.1 200 ")

    run(loop, work)


def test_a_refused_body_that_is_still_being_sent_does_not_destroy_the_answer(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            said = await raw(server.port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + b"a" * 200000)
            assert said.startswith(b"HTTP/1.1 413 ")
            assert said.endswith(b"larger than 1048576 bytes")

    run(loop, work)


def test_a_refused_client_that_sends_its_whole_body_before_it_reads_has_its_answer(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000000\r\n\r\n")
            for _ in range(16):
                writer.write(b"a" * 1_000_000)
                await writer.drain()
                await asyncio.sleep(0.01)
            assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
            writer.close()

    run(loop, work)


@pytest.mark.parametrize("step_s", [0.05, 0.6])
def test_a_refused_client_that_never_stops_or_falls_silent_is_cut_off(loop: str, step_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LINGER_SECONDS", 0.3)
    monkeypatch.setattr(server_module, "LINGER_MOST_SECONDS", 1.0)

    async def work() -> None:
        async with serving() as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000000\r\n\r\n")
            sent = 0
            with pytest.raises(ConnectionError):
                while sent * step_s < 30:
                    writer.write(b"a" * 1000)
                    await writer.drain()
                    await asyncio.sleep(step_s)
                    sent += 1
            assert sent >= (2 if step_s < 0.3 else 1)

    run(loop, work)


def test_a_head_a_body_and_an_idle_connection_have_their_time(loop: str) -> None:
    async def work() -> None:
        guards = Guards(head_seconds=0.3, body_seconds=0.3, idle_seconds=0.3)
        async with serving(guards) as server:
            silent, head, body, idle = await asyncio.gather(
                raw(server.port, b""),
                raw(server.port, b"GET / HTTP/1.1\r\nHo"),
                raw(server.port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"),
                raw(server.port, AFTER),
            )
            assert silent == b""
            assert head.startswith(b"HTTP/1.1 408 ")
            assert body.startswith(b"HTTP/1.1 408 ")
            assert idle.startswith(b"HTTP/1.1 200 ")
            assert idle.count(b"HTTP/1.1") == 1

    run(loop, work)


def test_a_dribbled_head_does_not_earn_time_and_a_flowing_body_does(loop: str) -> None:
    async def dribble(port: int, start: bytes, step: bytes, steps: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        try:
            for _ in range(steps):
                await asyncio.sleep(0.04)
                writer.write(step)
        finally:
            said = await reader.read(12)
            writer.close()
        return said

    async def work() -> None:
        async with serving(Guards(head_seconds=0.4, body_seconds=0.2, body_rate=1000)) as server:
            head, body = await asyncio.gather(
                dribble(server.port, b"GET / HTTP/1.1\r\n", b"a: b\r\n", 20),
                dribble(server.port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\n\r\n", b"x" * 400, 15),
            )
            assert head == b"HTTP/1.1 408"
            assert body == b"HTTP/1.1 200"

    run(loop, work)


def test_a_client_that_takes_nothing_is_dropped_and_its_owner_told(loop: str) -> None:
    async def work() -> None:
        async with serving(Guards(write_stall_seconds=0.3)) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
            writer.write(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: bool(server.echo.held) and server.echo.held[0].gone)
            held = server.echo.held[0]
            assert held.slow_times >= 1
            assert held.flooded < 16 << 20  # what kernel buffers and the high-water mark hold, not the whole flood
            writer.close()

    run(loop, work)
