from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from net_harness import WANTED, Inbox, read_request, run, until

from halley.net.client import Deadlines, Origin, Pool
from halley.net.clock import Clock


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://a", Origin("http", "a", 80)),
        ("https://API.example.com/v1", Origin("https", "api.example.com", 443)),
        ("http://[::1]:8080/", Origin("http", "::1", 8080)),
        ("unix:/run/web.sock", Origin("unix", "localhost", 0, "/run/web.sock")),
    ],
)
def test_an_origin_is_read_from_a_url(url: str, origin: Origin) -> None:
    assert Origin.parse(url) == origin


@pytest.mark.parametrize("url", ["", "a", "ftp://a", "http://", "http://user@a", "http://a:port", "unix:relative"])
def test_what_is_no_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"upstream|port|Port"):
        Origin.parse(url)


def test_a_pool_speaks_over_a_unix_socket(tmp_path: Path, loop: str) -> None:
    path = str(tmp_path / "s")

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await reader.read(1)
        writer.close()

    async def work() -> None:
        clock = Clock()
        server = await asyncio.start_unix_server(script, path)
        pool = Pool(Origin.parse(f"unix:{path}"), deadlines=Deadlines(5, 5, 5), clock=clock, wanted=WANTED)
        inbox = Inbox()
        pool.call(b"POST / HTTP/1.1\r\nhost: a\r\n", b"hello", inbox)
        await inbox.ended.wait()
        assert (inbox.fault, inbox.body) == (None, b"hello")
        pool.close()
        await until(lambda: pool.open == 0)
        server.close()

    run(loop, work)


def test_closing_a_pool_fails_what_is_in_flight(tmp_path: Path, loop: str) -> None:
    path = str(tmp_path / "s")
    arrived = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await reader.readline()
        arrived += 1
        await reader.read()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_unix_server(script, path)
        pool = Pool(Origin.parse(f"unix:{path}"), deadlines=Deadlines(5, 5, 5), clock=Clock(), wanted=WANTED)
        sent, dialling = Inbox(), Inbox()
        pool.call(b"POST / HTTP/1.1\r\nhost: a\r\n", b"", sent)
        await until(lambda: arrived == 1)
        pool.call(b"POST / HTTP/1.1\r\nhost: a\r\n", b"", dialling)
        pool.close()
        await asyncio.gather(sent.ended.wait(), dialling.ended.wait())
        assert sent.fault is not None
        assert dialling.fault is not None
        assert (sent.fault.written, dialling.fault.written) == (True, False)
        await until(lambda: pool.open == 0)
        with pytest.raises(RuntimeError):
            pool.call(b"POST / HTTP/1.1\r\nhost: a\r\n", b"", Inbox())
        server.close()

    run(loop, work)
