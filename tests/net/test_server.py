"""What the server side does with good requests: framing, order, keep-alive, streams, hang-ups, drain."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from net_harness import raw, run, serving, until

from halley.errors import Condition, Refused
from halley.net.server import Guards

GET = b"GET /canary HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
REQUESTS = {
    "length": b"POST /p?q=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\nConnection: close\r\nContent-Length: 12\r\n\r\nhello, world",
    "chunked": b"POST /p?q=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nTrailer: t\r\n\r\n",
}


@pytest.mark.parametrize("form", REQUESTS)
def test_a_request_is_the_same_at_every_split_point_and_byte_by_byte(form: str, loop: str) -> None:
    data = REQUESTS[form]

    async def work() -> None:
        async with serving() as server:
            for cut in (*range(1, len(data)), 0):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                pieces = (data[:cut], data[cut:]) if cut else [data[i : i + 1] for i in range(len(data))]
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(0.001 if cut else 0)
                assert (await reader.read()).endswith(b"\r\n\r\nPOST /p hello, world")
                writer.close()
                request = server.echo.requests[-1]
                assert (request.path, request.query, request.body) == (b"/p", b"q=1", b"hello, world")
                assert request.fields[b"x"] == b"1, 2"
                assert b"trailer" not in request.fields

    run(loop, work)


def test_pipelined_requests_are_answered_in_order_and_one_at_a_time(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" + REQUESTS["chunked"].replace(b"Connection: close\r\n", b"") + LAST + GET)
            await until(lambda: len(server.echo.held) == 1)
            await asyncio.sleep(0.05)
            assert len(server.echo.requests) == 1
            server.echo.held[0].connection.answer(200, b"", b"first")
            said = await reader.read()
            assert [part.rpartition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [
                b"first",
                b"POST /p hello, world",
                b"GET /last ",
            ]
            assert len(server.echo.requests) == 3  # nothing after "close" is served
            writer.close()

    run(loop, work)


def test_a_refusal_waits_for_the_answers_before_it(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n")
            await until(lambda: len(server.echo.held) == 1)
            server.echo.held[0].connection.answer(200, b"", b"")
            said = await reader.read()
            assert [line.split(b" ")[1] for line in said.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")] == [b"200", b"400"]
            writer.close()

    run(loop, work)


def test_a_thousand_pipelined_requests_do_not_grow_memory(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            said = await raw(server.port, GET * 1000 + LAST)
            assert said.count(b"HTTP/1.1 200 OK") == 1001
            server.echo.requests.clear()
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 200_000)  # 7 MB, most of which must stay with the client
            await until(lambda: len(server.echo.held) == 1)
            connection = server.echo.held[0].connection
            await asyncio.sleep(0.2)
            assert len(connection._backlog) < 1 << 20
            assert len(connection._reader.queue) < 1000
            assert writer.transport.get_write_buffer_size() > 0
            writer.transport.abort()

    run(loop, work)


def test_a_client_that_pipelines_and_does_not_read_is_not_served_on(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
            body = b"x" * 500_000
            one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + body
            for _ in range(100):
                writer.write(one)
            served = -1
            while served != len(server.echo.requests) or not served:
                served = len(server.echo.requests)
                await asyncio.sleep(0.3)
            assert served < 60
            writer.transport.abort()

    run(loop, work)


def test_a_body_larger_than_a_read_arrives_whole_and_the_next_request_is_served(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            body = bytes(range(256)) * 4000
            said = await raw(server.port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body + LAST)
            assert server.echo.requests[0].body == body
            assert said.endswith(b"GET /last ")

    run(loop, work)


def test_the_client_is_told_to_continue_only_when_its_body_is_wanted(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            writer.write(GET + head % 2)  # pipelined behind another
            assert (await reader.readuntil(b"GET /canary ")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"ok")
            assert (await reader.readuntil(b"POST / ok")).startswith(b"HTTP/1.1 200")
            writer.write(head % (2 << 20))
            assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
            writer.close()

    run(loop, work)


def test_answers_that_have_no_body_carry_none(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            said = await raw(server.port, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
            first, second, third = said.split(b"HTTP/1.1 200 OK\r\n")[1:]
            assert b"content-length: 7\r\n" in first
            assert first.endswith(b"\r\n\r\n")
            assert b"chunked" not in second
            assert second.endswith(b"\r\n\r\n")
            assert third.endswith(b"GET /last ")
            for status in (204, 304):
                said = await raw(server.port, b"GET /status/%d HTTP/1.1\r\nHost: a\r\n\r\n" % status + LAST)
                assert b"content-length" not in said.partition(b"\r\n\r\n")[0]
                assert said.split(b"\r\n\r\n")[1].startswith(b"HTTP/1.1 200 OK")

    run(loop, work)


def test_a_stream_is_chunked_on_1_1_and_ends_with_the_connection_on_1_0(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            said = await raw(server.port, b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
            assert b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\nHTTP/1.1 200" in said
            said = await raw(server.port, b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert b"connection: close\r\n" in said
            assert said.endswith(b"\r\n\r\nonetwothree")

    run(loop, work)


def test_keep_alive_follows_the_version_and_the_connection_header(loop: str) -> None:
    async def work() -> None:
        async with serving(Guards(idle_seconds=0.1)) as server:
            plain = await raw(server.port, b"GET / HTTP/1.0\r\n\r\n")
            assert b"connection: close\r\n" in plain
            kept = await raw(server.port, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
            assert kept.count(b"connection: keep-alive\r\n") == 2
            assert (await raw(server.port, GET + GET)).count(b"connection:") == 0
            assert (await raw(server.port, LAST + GET)).count(b"HTTP/1.1 200") == 1

    run(loop, work)


def test_an_upgrade_without_a_body_is_the_applications_to_decide(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            said = await raw(server.port, b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + GET)
            assert said.count(b"HTTP/1.1 200") == 1
            assert [request.fields[b"upgrade"] for request in server.echo.requests] == [b"websocket"]

    run(loop, work)


@pytest.mark.parametrize("way", ["reset", "close", "half-close"])
def test_a_client_that_leaves_is_told_to_the_owner(way: str, loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: len(server.echo.held) == 1)
            held = server.echo.held[0]
            held.connection.begin(200, b"", b"some")
            if way == "reset":
                writer.transport.abort()
            elif way == "close":
                writer.close()
            else:
                writer.write_eof()
            await until(lambda: held.gone)
            assert held.connection.closed
            held.connection.send(b"more")  # nothing to reach: silently nothing
            held.connection.finish()
            await until(lambda: server.listener.open == 0)
            writer.close()

    run(loop, work)


def test_a_slow_reader_is_told_to_the_owner_and_memory_stays_bounded(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
            writer.write(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: bool(server.echo.held))
            held = server.echo.held[0]
            before = -1
            while before != held.flooded:
                before = held.flooded
                await asyncio.sleep(0.1)
            assert held.flooded < 16 << 20
            assert held.connection._transport.get_write_buffer_size() < 1 << 20
            while held.ready_times < 3:
                await reader.read(65536)
            assert held.flooded > before
            writer.transport.abort()
            await until(lambda: held.gone)

    run(loop, work)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_cut_stream_does_not_look_complete(version: bytes, loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /hold HTTP/%b\r\nHost: a\r\n\r\n" % version)
            await until(lambda: len(server.echo.held) == 1)
            held = server.echo.held[0]
            held.connection.begin(200, b"", b"some")
            await reader.readuntil(b"some")
            held.connection.cut()
            if version == b"1.0":
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            else:
                assert b"0\r\n\r\n" not in await reader.read()
            assert not held.gone
            writer.close()

    run(loop, work)


def test_draining_ends_the_busy_and_the_halfway_with_their_answer_and_the_idle_after_their_grace(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            port = server.port
            idle, busy, halfway = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            idle[1].write(GET)
            await idle[0].readuntil(b"GET /canary ")
            busy[1].write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
            halfway[1].write(GET[:20])
            await until(lambda: len(server.echo.held) == 1)
            await until(lambda: sum(connection.busy for connection in server.listener.connections) == 2)
            server.listener.stop_accepting()
            server.listener.drain(0.2)
            with pytest.raises(ConnectionError):
                await asyncio.open_connection("127.0.0.1", port)
            assert server.listener.open == 3 and server.listener.busy
            assert await idle[0].read() == b""
            assert server.listener.open == 2
            server.echo.held[0].connection.begin(200, b"", b"a")
            server.echo.held[0].connection.finish(b"b")
            halfway[1].write(GET[20:])
            for reader, writer in (busy, halfway):
                said = await reader.read()
                assert b"connection: close\r\n" in said
                writer.close()
            idle[1].close()
            await until(lambda: server.listener.open == 0)
            assert not server.listener.busy and not server.listener.expecting

    run(loop, work)


def test_who_was_told_that_the_connection_is_kept_may_ask_once_more_while_draining(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            idle, streaming = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
            idle[1].write(GET)
            await idle[0].readuntil(b"GET /canary ")
            streaming[1].write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: len(server.echo.held) == 1)
            server.echo.held[0].connection.begin(200, b"", b"a")
            server.listener.drain(10.0)
            server.echo.held[0].connection.finish(b"b")
            assert b"connection: close" not in await streaming[0].readuntil(b"0\r\n\r\n")
            for reader, writer in (idle, streaming):
                assert server.listener.expecting
                writer.write(GET)
                assert b"connection: close\r\n" in await reader.read()
                writer.close()
            await until(lambda: not server.listener.expecting)

    run(loop, work)


def test_a_client_that_has_just_come_may_still_ask_once_while_draining(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            asking, silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
            await until(lambda: server.listener.open == 2)
            server.listener.drain(0.5)
            late = await asyncio.open_connection("127.0.0.1", server.port)
            for reader, writer in (asking, late):
                writer.write(GET)
                assert b"connection: close\r\n" in await reader.read()
                writer.close()
            assert await silent[0].read() == b""
            silent[1].close()

    run(loop, work)


def test_who_waits_in_the_queue_of_a_socket_that_is_closed_is_taken_in_first(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            server.listener.drain(0.5)
            # No turn of the loop between these: the listener cannot have accepted them.
            waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
            await server.listener.take_the_rest()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", server.port)
            for each in waiting:
                reader, writer = await asyncio.open_connection(sock=each)
                writer.write(GET)
                assert b"connection: close\r\n" in await reader.read()
                writer.close()

    run(loop, work)


def test_a_request_that_has_not_arrived_whole_can_be_refused_at_the_end(loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            halfway, busy = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
            halfway[1].write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
            busy[1].write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: sum(connection.busy for connection in server.listener.connections) == 2)
            ending = Refused(Condition.OVERLOADED, "the end")
            server.listener.drain(0.0)
            server.listener.give_up(ending)
            for owner in server.listener.owners:
                owner.expel(ending)
            for reader, writer in (halfway, busy):
                said = await reader.read()
                assert said.startswith(b"HTTP/1.1 503 ") and said.endswith(b"the end")
                writer.close()

    run(loop, work)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a?b=c?d", b"/a", b"b=c?d"),
        (b"http://a/x?y", b"/x", b"y"),
        (b"HTTPS://a/", b"/", b""),
        (b"/%2e%2e//b", b"/%2e%2e//b", b""),
        (b"*", b"*", b""),
    ],
)
def test_a_target_is_split_and_otherwise_left_as_it_came(target: bytes, path: bytes, query: bytes, loop: str) -> None:
    async def work() -> None:
        async with serving() as server:
            said = await raw(server.port, b"OPTIONS %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target)
            assert said.startswith(b"HTTP/1.1 200 ")
            assert (server.echo.requests[0].path, server.echo.requests[0].query) == (path, query)

    run(loop, work)


def test_the_listener_speaks_tls(authority: Path, loop: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    trusting = ssl.create_default_context(cafile=str(authority / "ca.pem"))

    async def work() -> None:
        async with serving(ssl_context=context) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting, server_hostname="localhost")
            writer.write(GET + b"GET / HTTP/1.1\r\n\r\n")
            said = await reader.read()
            assert said.startswith(b"HTTP/1.1 200 ")
            assert b"HTTP/1.1 400 " in said
            writer.close()

    run(loop, work)
