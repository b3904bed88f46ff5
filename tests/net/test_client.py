"""The upstream pool against scripted servers: framing at every split, reuse, deadlines, faults, TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from net_harness import Inbox, read_request, run, until, upstream

from halley.net.client import Deadlines, Origin, render_field
from halley.net.upstream import READ_BYTES

BODY = b"hello, world"
CHUNKED = b"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\nTrailer: t\r\n\r\n"
REPLIES = {
    "length": b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 12\r\n\r\n" + BODY,
    "chunked": CHUNKED,
    "until close": b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + BODY,
    "after interim replies": b"HTTP/1.1 100 Continue\r\nX: no\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + CHUNKED,
}


@pytest.mark.parametrize("form", REPLIES)
def test_a_reply_is_the_same_at_every_split_point(form: str, loop: str) -> None:
    reply = REPLIES[form]
    cuts = list(range(1, len(reply)))

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while cuts:
            cut = cuts.pop()
            await read_request(reader)
            writer.write(reply[:cut])
            await writer.drain()
            await asyncio.sleep(0.001)
            writer.write(reply[cut:])
            if form == "until close":
                return

    async def work() -> None:
        async with upstream(script) as up:
            while cuts:
                inbox = await up.answer()
                assert inbox.fault is None
                assert inbox.body == BODY
                assert inbox.call is not None
                assert (inbox.call.status, inbox.call.fields) == (200, [(b"x", b"y")])
            assert form == "until close" or up.pool.dialled == 1

    run(loop, work)


@pytest.mark.parametrize("form", REPLIES)
def test_a_reply_is_the_same_byte_by_byte(form: str, loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for index in range(len(REPLIES[form])):
            writer.write(REPLIES[form][index : index + 1])
            await asyncio.sleep(0)

    async def work() -> None:
        async with upstream(script) as up:
            inbox = await up.answer()
            assert (inbox.fault, inbox.body) == (None, BODY)

    run(loop, work)


def test_many_requests_in_a_row_dial_one_connection(loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            assert b"\r\ncontent-length: 4\r\n" in head
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def work() -> None:
        async with upstream(script) as up:
            for number in range(50):
                assert (await up.answer(b"%04d" % number)).body == b"%04d" % number
            assert (up.pool.dialled, up.pool.open, up.pool.idle) == (1, 1, 1)

    run(loop, work)


def test_the_first_chunk_is_delivered_while_the_upstream_is_open(loop: str) -> None:
    release = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await release.wait()
        writer.write(b"4\r\nlast\r\n0\r\n\r\n")

    async def work() -> None:
        async with upstream(script) as up:
            inbox = up.ask()
            await inbox.begun.wait()
            assert (inbox.body, inbox.done) == (b"first", False)
            release.set()
            await inbox.ended.wait()
            assert inbox.body == b"firstlast"

    run(loop, work)


def test_chunks_of_one_read_are_one_delivery(loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50 + b"0\r\n\r\n")
        await reader.read(1)

    async def work() -> None:
        async with upstream(script) as up:
            inbox = await up.answer()
            assert inbox.pieces == [b"a" * 50]

    run(loop, work)


BROKEN = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
    "chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "switch": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "bare 101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "interim without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
    "large head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000 + b"\r\nContent-Length: 0\r\n\r\n",
    "large trailer": CHUNKED.replace(b"Trailer: t", b"Trailer: " + b"t" * 400000),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_reply_of_doubtful_framing_is_a_protocol_fault(case: str, loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for start in range(0, len(BROKEN[case]), 50000):
            writer.write(BROKEN[case][start : start + 50000])
            await writer.drain()
            await asyncio.sleep(0.005)
        await reader.read(1)

    async def work() -> None:
        async with upstream(script) as up:
            inbox = await up.answer()
            assert inbox.fault is not None, inbox.pieces
            assert (inbox.fault.kind, inbox.fault.written) == ("protocol", True)
            assert not inbox.done

    run(loop, work)


@pytest.mark.parametrize("extra", [b"X", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
def test_bytes_after_a_reply_never_become_the_next_reply(extra: bytes, loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" + extra)
        await reader.read(1)

    async def work() -> None:
        async with upstream(script) as up:
            for _ in range(2):
                inbox = await up.answer()
                assert (inbox.fault, inbox.body) == (None, b"good")
            assert up.pool.dialled == 2

    run(loop, work)


@pytest.mark.parametrize(
    ("head", "reply"),
    [
        (b"HEAD / HTTP/1.1\r\nhost: a\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 400\r\n\r\n"),
    ],
)
def test_a_reply_that_has_no_body_ends_with_its_head(head: bytes, reply: bytes, loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            assert b"content-length" not in (await read_request(reader))[0]
            writer.write(reply)

    async def work() -> None:
        async with upstream(script) as up:
            for _ in range(2):
                inbox = await up.answer(b"", head)
                assert (inbox.fault, inbox.body, inbox.done) == (None, b"", True)

    run(loop, work)


def test_a_connection_that_closed_while_idle_is_replaced(loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def work() -> None:
        async with upstream(script) as up:
            for number in range(3):
                inbox = await up.answer()
                assert (inbox.fault, inbox.body) == (None, b"ok")
                await until(lambda: up.pool.idle == 0)
                assert up.pool.dialled == number + 1

    run(loop, work)


def test_a_close_not_yet_seen_by_the_loop_is_found_before_writing(loop: str) -> None:
    closed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await closed.wait()

    async def work() -> None:
        async with upstream(script) as up:
            assert (await up.answer()).body == b"ok"
            (kept,) = up.pool.connections
            kept.pause()  # the loop will not see the close
            closed.set()
            await until(lambda: up.gone == 1)
            kept.idle_since -= 1
            inbox = await up.answer()
            assert (inbox.fault, inbox.body, up.pool.dialled) == (None, b"ok", 2)

    run(loop, work)


def test_a_server_that_closes_what_it_has_just_used_is_asked_before_each_call(loop: str) -> None:
    closed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await closed.wait()

    async def work() -> None:
        async with upstream(script) as up:
            assert (await up.answer()).body == b"ok"
            assert up.pool.wary_until < up.pool.clock.now
            closed.set()
            await until(lambda: up.pool.idle == 0)
            assert up.pool.wary_until > up.pool.clock.now
            closed.clear()
            assert (await up.answer()).body == b"ok"
            (kept,) = up.pool.connections
            kept.pause()  # the loop will not see the close
            closed.set()
            await until(lambda: up.gone == 2)
            inbox = await up.answer()
            assert (inbox.fault, inbox.body, up.pool.dialled) == (None, b"ok", 3)

    run(loop, work)


def test_a_connection_cut_after_the_request_left_is_not_retried(loop: str) -> None:
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await read_request(reader))[1])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        seen.append((await read_request(reader))[1])

    async def work() -> None:
        async with upstream(script) as up:
            assert (await up.answer(b"1")).body == b"ok"
            inbox = await up.answer(b"2")
            assert inbox.fault is not None
            assert (inbox.fault.kind, inbox.fault.written) == ("cut", True)
            assert (seen, up.pool.dialled) == ([b"1", b"2"], 1)

    run(loop, work)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", CHUNKED[:-2]])
def test_a_reply_cut_short_is_a_fault(reply: bytes, loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(reply)

    async def work() -> None:
        async with upstream(script) as up:
            inbox = await up.answer()
            assert inbox.fault is not None
            assert (inbox.fault.kind, inbox.fault.written, inbox.done) == ("cut", True, False)

    run(loop, work)


def test_a_silent_upstream_meets_the_first_byte_and_the_idle_deadline(loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await read_request(reader)
        if body == b"idle":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await reader.read(1)

    async def work() -> None:
        async with upstream(script, deadlines=Deadlines(5, 0.2, 0.2)) as up:
            silent, idle = up.ask(b"silent"), up.ask(b"idle")
            await asyncio.gather(silent.ended.wait(), idle.ended.wait())
            assert silent.fault is not None
            assert silent.fault.kind == "first_byte_timeout"
            assert idle.fault is not None
            assert (idle.fault.kind, idle.body) == ("idle_timeout", b"half")
            await until(lambda: up.gone == 2)

    run(loop, work)


def test_an_aborted_call_closes_its_connection_and_says_no_more(loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await reader.read(1)

    async def work() -> None:
        async with upstream(script) as up:
            inbox = up.ask()
            await inbox.begun.wait()
            assert inbox.call is not None
            inbox.call.abort()
            await until(lambda: up.gone == 1)
            assert not inbox.ended.is_set()
            assert up.pool.open == 0

    run(loop, work)


def test_a_paused_call_stops_the_upstream_and_its_deadline(loop: str) -> None:
    sent = [0]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        for _ in range(1024):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent[0] += 65536

    async def work() -> None:
        async with upstream(script, deadlines=Deadlines(5, 5, 0.3)) as up:
            inbox = up.ask()
            await inbox.begun.wait()
            assert inbox.call is not None
            inbox.call.pause()
            seen = -1
            while seen != sent[0]:  # until the kernel's buffers are full
                seen = sent[0]
                await asyncio.sleep(0.4)
            assert sent[0] < 32 << 20
            assert not inbox.ended.is_set()  # past the idle deadline, which rests
            inbox.call.resume()
            await inbox.ended.wait()
            assert inbox.fault is None
            assert len(inbox.body) == 64 << 20
            assert max(map(len, inbox.pieces)) <= READ_BYTES

    run(loop, work)


def test_idle_connections_are_closed_in_time_and_a_full_pool_lets_calls_wait(loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, body = await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def work() -> None:
        async with upstream(script, idle_seconds=0.2, size=2) as up:
            inboxes = [up.ask(b"%d" % number) for number in range(9)]
            for number, inbox in enumerate(inboxes):
                await inbox.ended.wait()
                assert inbox.body == b"%d" % number
            assert up.pool.dialled == 2
            await until(lambda: up.gone == 2)
            assert up.pool.open == 0

    run(loop, work)


def test_a_retired_pool_still_serves_who_holds_it_and_keeps_nothing(loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, body = await read_request(reader)
            if body == b"silence":
                await reader.read()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def work() -> None:
        async with upstream(script, size=1, deadlines=Deadlines(5, 0.2, 0.2)) as up:
            before = [up.ask(b"first"), up.ask(b"waits")]
            up.pool.retire()
            after = up.ask(b"late")
            for inbox, body in zip((*before, after), (b"first", b"waits", b"late"), strict=True):
                await inbox.ended.wait()
                assert (inbox.fault, inbox.body) == (None, body)
            await until(lambda: up.pool.open == 0 and up.pool._sweep not in up.clock.every_second)
            # Long after the last connection is closed there is a deadline again.
            inbox = await up.answer(b"silence")
            assert inbox.fault is not None and inbox.fault.kind == "first_byte_timeout"
            await until(lambda: up.pool.open == 0 and up.pool._sweep not in up.clock.every_second)
            up.pool.close()
            with pytest.raises(RuntimeError, match="closed"):
                up.ask()

    run(loop, work)


def test_nobody_listening_is_a_connect_fault_with_nothing_written(loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...

    async def work() -> None:
        async with upstream(script) as up:
            up.pool.origin = Origin("http", "127.0.0.1", 1)
            inbox = await up.answer()
            assert inbox.fault is not None
            assert (inbox.fault.kind, inbox.fault.written) == ("connect", False)

    run(loop, work)


def test_a_large_request_and_an_early_reply_cross_each_other(loop: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        while await reader.read(65536):
            pass

    async def work() -> None:
        async with upstream(script) as up:
            inbox = await up.answer(b"x" * (16 << 20))
            assert inbox.call is not None
            assert (inbox.fault, inbox.call.status, inbox.body) == (None, 413, b"no")
            assert up.pool.idle == 0

    run(loop, work)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nx: a\nb\r\n",
        b"GET / HTTP/1.1\r\nx: a\rb\r\n",
        b"GET / HTTP/1.1\r\nx: a\0b\r\n",
        b"GET / HTTP/1.1\r\nx: a\r\n\r\nGET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nx: a\r\n b\r\n",
        b"GET / HTTP/1.1\r\nx: a",
    ],
)
def test_a_head_that_could_become_two_is_never_sent(head: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...

    async def work() -> None:
        async with upstream(script) as up:
            with pytest.raises(ValueError, match="head"):
                up.pool.call(head, b"", Inbox())
            with pytest.raises(ValueError, match="CR, LF or NUL"):
                render_field(b"x", b"a\r\nevil: b")
            assert up.pool.open == 0

    run("asyncio", work)


def test_tls_is_verified_with_the_name_and_by_default(authority: Path, loop: str) -> None:
    names: list[str | None] = []
    server_ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_ssl.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    server_ssl.sni_callback = lambda sock, name, context: names.append(name)
    trusting = ssl.create_default_context(cafile=str(authority / "ca.pem"))

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, body = await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def work() -> None:
        async with upstream(script, server_ssl=server_ssl, host="localhost", ssl_context=trusting) as up:
            for size in (10, 100_000, 10):
                assert len((await up.answer(b"x" * size)).body) == size
            assert up.pool.dialled == 1
            assert names == ["localhost"]
        for options in ({"host": "localhost"}, {"host": "127.0.0.1", "ssl_context": trusting}):
            async with upstream(script, server_ssl=server_ssl, **options) as up:
                inbox = await up.answer()
                assert inbox.fault is not None
                assert (inbox.fault.kind, inbox.fault.written) == ("tls", False)

    run(loop, work)
