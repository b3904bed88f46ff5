"""How many connections there may be: more clients than are taken, no descriptors left, more calls than an upstream is given."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import time

import pytest
from net_harness import raw, read_request, run, serving, until, upstream

from halley.net.server import Guards

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_a_connection_over_the_limit_is_told_so_and_the_others_go_on(loop: str) -> None:
    async def work() -> None:
        async with serving(Guards(connections=2)) as server:
            kept = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
            await until(lambda: server.listener.open == 2)
            for _ in range(3):
                said = await raw(server.port, b"")
                assert said.startswith(b"HTTP/1.1 503 ") and b"as many connections as it takes" in said
            await until(lambda: server.listener.open == 2)
            for reader, writer in kept:
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert await reader.readuntil(b"GET / ")
            kept[0][1].close()
            await until(lambda: server.listener.open == 1)
            assert (await raw(server.port, GET)).startswith(b"HTTP/1.1 200 ")
            kept[1][1].close()

    run(loop, work)


def test_a_flood_of_connections_over_the_limit_is_closed_without_a_word(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halley.net.server.TURNED_AWAY", 0)

    async def work() -> None:
        async with serving(Guards(connections=1)) as server:
            kept = await asyncio.open_connection("127.0.0.1", server.port)
            await until(lambda: server.listener.open == 1)
            for _ in range(5):
                assert await raw(server.port, b"") == b""
            assert server.echo.refusals == []
            kept[1].close()

    run(loop, work)


def test_no_descriptors_left_neither_ends_nor_occupies_the_listener(loop: str) -> None:
    """Clients that cannot be accepted wait or are closed; when there is room again, the listener serves."""

    async def work() -> None:
        async with serving() as server:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            clients = [socket.socket() for _ in range(20)]
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 3, hard))
            taken: list[int] = []
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            for _ in range(2):
                os.close(taken.pop())
            try:
                for client in clients:
                    client.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        client.connect(("127.0.0.1", server.port))
                busy = time.process_time()
                await asyncio.sleep(0.5)
                assert time.process_time() - busy < 0.25, "it spins"
                assert server.listener.open < 20
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for client in clients:
                    client.close()
                for descriptor in taken:
                    os.close(descriptor)
            await until(lambda: server.listener.open == 0)
            assert (await raw(server.port, GET)).startswith(b"HTTP/1.1 200 ")

    run(loop, work)


def test_calls_beyond_those_that_may_wait_fail_as_busy_with_nothing_written(loop: str) -> None:
    served = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await served.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def work() -> None:
        async with upstream(script, size=1, waiting=2) as up:
            inboxes = [up.ask() for _ in range(5)]
            assert all(inbox.fault is None for inbox in inboxes), "nobody is told from within the call"
            for inbox in inboxes[3:]:
                await inbox.ended.wait()
                assert inbox.fault is not None
                assert (inbox.fault.kind, inbox.fault.written) == ("busy", False)
            served.set()
            for inbox in inboxes[:3]:
                await inbox.ended.wait()
                assert inbox.body == b"ok"

    run(loop, work)


@pytest.mark.parametrize("flood", ["chunks", "requests"])
def test_a_client_with_costly_input_leaves_the_others_their_turns(flood: str, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly a megabyte in pieces of a few bytes: the loop goes round many times before it is through."""
    monkeypatch.setattr("halley.net.server.TURN_S", 0.0)  # a turn is one slice
    if flood == "chunks":
        data = b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 150_000 + b"0\r\n\r\n" + GET
    else:
        data = b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n" * 30_000 + GET

    async def work() -> None:
        async with serving() as server:
            rounds = 0

            async def count() -> None:
                nonlocal rounds
                while True:
                    await asyncio.sleep(0)
                    rounds += 1

            counting = asyncio.ensure_future(count())
            try:
                said = await raw_while_reading(server.port, data)
            finally:
                counting.cancel()
            assert said.endswith(b"GET / "), said[-100:]
            assert len(server.echo.requests) == (2 if flood == "chunks" else 30_001)
            assert server.echo.requests[0].body == (b"a" * 150_000 if flood == "chunks" else b"")
            assert rounds > 40

    run(loop, work)


async def raw_while_reading(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    said = b""
    while piece := await reader.read(1 << 20):
        said = (said + piece)[-200:]
    writer.close()
    return said
