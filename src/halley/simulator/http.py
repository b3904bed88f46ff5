"""The simulator's HTTP/1.1 server: requests in, raw writes out, and the exact moment at which a caller has left.

It knows nothing of models. One task per connection answers its requests in order; whoever answers writes through the connection and waits
with `rest` and `drained`, which raise `Gone` as soon as the peer has hung up.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable

import httptools

# Far above what a gateway pipelines; a peer that sends more waits until some are answered.
_PIPELINED = 64
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class Gone(Exception):
    """The caller has closed the connection."""


class Request:
    """One request, whole. `fields` has lower-case names; of a repeated field the last counts."""

    __slots__ = ("body", "fields", "keep_alive", "method", "target")

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.keep_alive = True

    @property
    def path(self) -> str:
        return self.target.partition(b"?")[0].decode("latin-1")


Respond = Callable[["Connection", Request], Awaitable[None]]


class Connection(asyncio.Protocol):
    __slots__ = (
        "_body",
        "_loop",
        "_parser",
        "_paused",
        "_reading",
        "_request",
        "_server",
        "_waiter",
        "closing",
        "counted",
        "lost",
        "task",
        "transport",
        "waiting",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._body: list[bytes] = []
        self._paused = False
        self._reading = True
        self._waiter: asyncio.Future[None] | None = None
        self.waiting: deque[Request] = deque()
        self.task: asyncio.Task[None] | None = None
        self.closing = False
        self.counted = False
        """Whether a request for a model came on it: the control port's own connections are nobody's dialling."""
        self.lost = False
        self.transport: asyncio.Transport

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._server.connections.discard(self)
        self._wake()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.transport.close()
        except httptools.HttpParserError:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._request = Request()
        self._body = []

    def on_url(self, url: bytes) -> None:
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._request.fields.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        request = self._request
        request.method = self._parser.get_method().decode("ascii")
        request.body = b"".join(self._body)
        request.keep_alive = self._parser.should_keep_alive()
        self.waiting.append(request)
        if len(self.waiting) >= _PIPELINED and self._reading:
            self._reading = False
            self.transport.pause_reading()
        if self.task is None:
            self.task = self._loop.create_task(self._answer_all())

    # What an answer uses.

    def write(self, data: bytes) -> None:
        if self.lost or self.transport.is_closing():
            raise Gone
        self.transport.write(data)

    async def drained(self) -> None:
        """Returns when the peer has taken enough of what was written. Raises Gone."""
        while self._paused and not self.lost:
            await self._wait(None)
        if self.lost:
            raise Gone

    async def rest(self, seconds: float | None) -> None:
        """Waits so long, for ever with None; raises Gone at once when the peer leaves."""
        until = None if seconds is None else self._loop.time() + seconds
        while not self.lost:
            left = None if until is None else until - self._loop.time()
            if left is not None and left <= 0:
                return
            await self._wait(left)
        raise Gone

    def close(self) -> None:
        """Ends the connection after what was written."""
        self.closing = True
        self.transport.close()

    def reset(self) -> None:
        """Ends the connection with RST: the peer sees an error and not an end."""
        self.closing = True
        own: socket.socket | None = self.transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def _wait(self, seconds: float | None) -> None:
        waiter = self._waiter = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, _set, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None:
            _set(self._waiter)

    async def _answer_all(self) -> None:
        try:
            while self.waiting and not self.closing:
                request = self.waiting.popleft()
                if not self._reading and len(self.waiting) < _PIPELINED // 2:
                    self._reading = True
                    self.transport.resume_reading()
                await self._server.respond(self, request)
                if not request.keep_alive:
                    self.close()
        except Gone:
            self.transport.abort()
        finally:
            self.task = None


class Server:
    """A listener whose every request goes to `respond`."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        # asyncio sets this only on sockets whose protocol number is given, which an inherited one's is not.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listener = await asyncio.get_running_loop().create_server(lambda: Connection(self), sock=listening, backlog=4096)

    async def close(self, grace_s: float) -> None:
        """Accepts no more, lets running answers end for so long, then breaks them off."""
        if self._listener is not None:
            self._listener.close()
        running = {connection.task for connection in self.connections if connection.task is not None}
        if running and grace_s > 0:
            await asyncio.wait(running, timeout=grace_s)
        for connection in list(self.connections):
            connection.transport.abort()
        if running:
            await asyncio.wait(running, timeout=1.0)


def head(status: int, fields: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
