"""A small application behind a real listener, a scripted upstream behind a real socket, and the two loops that all of it must run on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import uvloop

from halley.errors import Refused
from halley.net.client import Call, Deadlines, Fault, Origin, Pool
from halley.net.clock import Clock
from halley.net.guards import Guards
from halley.net.listener import Listener
from halley.net.request import Request

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
WANTED = frozenset((b"content-type", b"x"))
PATIENCE_S = 20.0


def run(loop: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await work()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  (what is awaited is state on the other side of a socket; `run` bounds it)
        await asyncio.sleep(0.005)


class Echo:
    """`/hold` waits for the test, `/flood` sends as long as its client takes it, `/stream` has three chunks, anything else is echoed."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.held: list[Held] = []
        self.refusals: list[tuple[int, bytes]] = []
        self.body_limit = 1 << 20

    def handle(self, request: Request) -> None:
        self.requests.append(request)
        connection = request.connection
        if request.path == b"/hold" or request.path == b"/flood":
            held = Held(request)
            self.held.append(held)
            connection.owner = held
            if request.path == b"/flood":
                connection.begin(200, b"")
                held.flood()
        elif request.path == b"/stream":
            connection.begin(200, b"content-type: text/event-stream\r\n", b"one")
            connection.send(b"two")
            connection.finish(b"three")
        elif request.path.startswith(b"/status/"):
            connection.answer(int(request.path[8:]), b"", b"body")
        else:
            connection.answer(200, b"content-type: text/plain\r\n", request.method + b" " + request.path + b" " + request.body)

    def refuse(self, refusal: Refused, path: bytes) -> tuple[bytes, bytes]:
        self.refusals.append((refusal.condition.status, path))
        return b"content-type: text/plain\r\n", refusal.message.encode()

    def limit(self, method: bytes, path: bytes, fields: dict[bytes, bytes]) -> int:
        return self.body_limit


class Held:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.connection = request.connection
        self.gone = False
        self.slow_times = self.ready_times = self.flooded = 0

    def client_gone(self) -> None:
        self.gone = True

    def client_slow(self) -> None:
        self.slow_times += 1

    def client_ready(self) -> None:
        self.ready_times += 1
        self.flood()

    def expel(self, refusal: Refused) -> None:
        self.connection.answer(refusal.condition.status, b"", refusal.message.encode())

    def flood(self) -> None:
        if self.request.path == b"/flood":
            while not self.connection.slow and not self.connection.closed and self.flooded < 64 << 20:
                self.connection.send(b"x" * 16384)
                self.flooded += 16384


class Server:
    def __init__(self, listener: Listener, echo: Echo, port: int, clock: Clock) -> None:
        self.listener = listener
        self.echo = echo
        self.port = port
        self.clock = clock


@contextlib.asynccontextmanager
async def serving(guards: Guards | None = None, ssl_context: Any = None) -> AsyncIterator[Server]:
    clock = Clock(period_s=0.02)
    clock.start(asyncio.get_running_loop())
    echo = Echo()
    listener = Listener(echo, guards or Guards(), clock, ssl_context=ssl_context)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    await listener.accept(listening)
    try:
        yield Server(listener, echo, port, clock)
    finally:
        listener.close_all()
        await until(lambda: listener.open == 0)
        clock.stop()


async def raw(port: int, data: bytes) -> bytes:
    """Everything the server says to these bytes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
        out = b""
        with contextlib.suppress(ConnectionError):
            while piece := await asyncio.wait_for(reader.read(65536), 10):
                out += piece
        return out
    finally:
        writer.close()


class Inbox:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.fault: Fault | None = None
        self.done = False
        self.call: Call | None = None
        self.ended = asyncio.Event()
        self.begun = asyncio.Event()

    def replied(self, call: Call, data: bytes, done: bool) -> None:
        assert not self.ended.is_set()
        assert call.status
        self.call = call
        self.pieces.append(data)
        self.done = done
        self.begun.set()
        if done:
            self.ended.set()

    def failed(self, call: Call, fault: Fault) -> None:
        assert not self.ended.is_set()
        self.fault = fault
        self.ended.set()

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head, await reader.readexactly(length)


class Upstream:
    def __init__(self, pool: Pool, clock: Clock) -> None:
        self.pool = pool
        self.clock = clock
        self.gone = 0  # connections that ended

    def ask(self, body: bytes = b"{}", head: bytes = b"POST / HTTP/1.1\r\nhost: a\r\n") -> Inbox:
        inbox = Inbox()
        inbox.call = self.pool.call(head, body, inbox)
        return inbox

    async def answer(self, body: bytes = b"{}", head: bytes = b"POST / HTTP/1.1\r\nhost: a\r\n") -> Inbox:
        inbox = self.ask(body, head)
        await inbox.ended.wait()
        return inbox


@contextlib.asynccontextmanager
async def upstream(
    script: Script, *, server_ssl: Any = None, deadlines: Deadlines | None = None, **options: Any
) -> AsyncIterator[Upstream]:
    """A pool onto a server that runs `script` once per connection."""
    clock = Clock(period_s=0.02)
    clock.start(asyncio.get_running_loop())
    box: list[Upstream] = []

    async def scripted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await script(reader, writer)
        finally:
            writer.close()
            box[0].gone += 1

    server = await asyncio.start_server(scripted, "127.0.0.1", 0, ssl=server_ssl)
    port = server.sockets[0].getsockname()[1]
    origin = Origin("https" if server_ssl else "http", options.pop("host", "127.0.0.1"), port)
    pool = Pool(origin, deadlines=deadlines or Deadlines(5, 10, 10), clock=clock, wanted=WANTED, **options)
    box.append(Upstream(pool, clock))
    try:
        yield box[0]
    finally:
        pool.close()
        await until(lambda: pool.open == 0)
        server.close()
        clock.stop()
