"""The HTTP/1.1 server side of a relay: one protocol per client connection, its guards, and the set of live connections.

Bytes become `Request`s, one at a time per connection, and answers become bytes. It never knows a route, a key or a dialect: the application
decides what a request means and how a refusal is worded. No task, future or timer is made per request; the sweep looks at deadlines.

Reading: what arrives while a request is being served is kept raw, and over `Guards.pipeline` bytes the socket is not read any more.
Field values are handed on as they came, a trailing blank included.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import deque
from typing import Literal, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from halley.errors import Condition, Refused
from halley.net.clock import Clock
from halley.net.framing import BODILESS, CONTINUE, LAST_CHUNK, STATUS_LINES, status_line
from halley.net.guards import (
    SINGLE,
    TARGET_BYTES,
    Guards,
    check_content_encoding,
    check_expect,
    check_host,
    check_size,
    check_transfer_encoding,
    check_version,
    declared_length,
    split_target,
    too_large,
)
from halley.net.request import Application, Owner, Request

__all__ = ["Application", "Connection", "Guards", "Listener", "Owner", "Request"]

NEVER = float("inf")
SLICE = 16384  # so much is parsed at once, which bounds how many pipelined requests exist as objects
SEND_BUFFER = 262144
HIGH_WATER = 65536
LINGER_BYTES = 262144
LINGER_SECONDS = 1.0
KNOWN_HOSTS = 1024

# What the parser is in the middle of.
BETWEEN, HEAD, BODY, DEAF = range(4)


class Connection(asyncio.Protocol):
    """One client. `closed` is true from the moment nothing more can reach it."""

    __slots__ = (
        "_backlog",
        "_body",
        "_body_limit",
        "_chunked",
        "_clock",
        "_continue_due",
        "_deadline",
        "_fields",
        "_guards",
        "_head_only",
        "_keep",
        "_lingered",
        "_listener",
        "_method",
        "_modern",
        "_mute",
        "_parser",
        "_parts",
        "_path",
        "_pumping",
        "_query",
        "_queue",
        "_reading",
        "_rearm_due",
        "_received",
        "_repeated",
        "_seen",
        "_sent",
        "_serving",
        "_silent",
        "_slice",
        "_stage",
        "_started",
        "_taken",
        "_taken_at",
        "_target",
        "_to_come",
        "_transport",
        "_used",
        "_version",
        "closed",
        "owner",
        "peer",
        "slow",
    )

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._guards = listener.guards
        self._clock = listener.clock
        self.owner: Owner | None = None
        self.closed = False
        self.slow = False
        self.peer = ""
        self._queue: deque[Request | Refused] = deque()
        self._backlog = b""
        self._stage = BETWEEN
        self._serving = self._pumping = self._used = self._continue_due = False
        self._reading = True
        self._keep = True
        self._version: Literal["1.0", "1.1"] = "1.1"
        self._modern = True  # the client in hand speaks 1.1
        self._head_only = self._mute = self._rearm_due = False
        self._method = self._target = b""
        self._sent = 0
        self._taken = -1
        self._taken_at = 0.0
        self._lingered = 0
        self._slice = self._seen = 0

    # -- transport ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports share the interface of asyncio.Transport, not the class.
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        address: object = transport.get_extra_info("peername")
        self.peer = str(cast(tuple[object, ...], address)[0]) if isinstance(address, tuple) else ""  # a Unix socket has no peer address
        self._parser = HttpRequestParser(self)
        self._deadline = self._clock.tick() + self._guards.head_seconds
        self._listener.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        self._leave()
        del self._parser  # it holds this connection's methods: a cycle

    def eof_received(self) -> None:
        """A client that shuts its side while it waits is gone; between requests it is an ordinary goodbye."""
        if self._serving:
            self._leave()
            self._transport.abort()

    def _leave(self) -> None:
        self.closed = True
        self._stage = DEAF
        self._backlog = b""
        self._queue.clear()
        self._deadline = NEVER
        owner = self.owner
        self.owner = None
        if owner is not None:
            owner.client_gone()

    def pause_writing(self) -> None:
        self.slow = True
        if self.owner is not None:
            self.owner.client_slow()

    def resume_writing(self) -> None:
        self.slow = False
        if self.owner is not None:
            self.owner.client_ready()
        elif not self._serving and not self._pumping:
            self._pump()

    # -- reading --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._serving or self._queue or self._backlog:
            self._set_aside(data)
        elif self._stage == DEAF:
            self._discard(len(data))
        elif len(data) <= SLICE:
            self._parse(data)
            self._pump()
        else:
            self._backlog = data
            self._pump()

    def _set_aside(self, data: bytes) -> None:
        if self._stage == DEAF or self.closed:
            self._discard(len(data))
            return
        self._backlog += data
        if len(self._backlog) > self._guards.pipeline and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _discard(self, size: int) -> None:
        """Input that is not wanted is read away, or the answer before it would be lost to a reset; but not without end."""
        self._lingered += size
        if self._lingered > LINGER_BYTES:
            self._transport.abort()

    def _take_slice(self) -> bytes:
        """The next piece of the backlog: a declared body in one go, anything else in small slices."""
        backlog = self._backlog
        size = SLICE
        if self._stage == BODY:
            size = max(SLICE, self._to_come - self._received)
        piece = backlog[:size]
        self._backlog = backlog[size:]
        if not self._reading and len(self._backlog) <= self._guards.pipeline:
            self._reading = True
            self._transport.resume_reading()
        return piece

    def _parse(self, data: bytes) -> None:
        self._slice = size = len(data)
        before = self._received if self._stage == BODY else -1
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # The request had no body (see `_expect_body`); what follows it may be any protocol.
            self._stage = DEAF
        except HttpParserError as error:
            self._unparsable(error)
        else:
            if self._stage == HEAD:
                self._seen += size
                if self._seen > self._guards.head_bytes + SLICE:
                    self._refuse(Refused(Condition.HEAD_TOO_LARGE, f"the request head is larger than {self._guards.head_bytes} bytes"))
            elif self._stage == BODY and self._received == before:
                # Bytes without content: chunk extensions or trailers. The parser collects a trailer's text, so it is bounded here.
                self._silent += size
                if self._silent > self._guards.head_bytes:
                    self._refuse(Refused(Condition.INVALID, "the chunked body carries more extensions or trailers than are read"))

    def _unparsable(self, error: HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, Refused):
            self._refuse(cause)
        elif cause is not None:
            raise cause  # a bug of ours inside a callback, not the client's fault
        elif self._stage != DEAF:
            self._refuse(Refused(Condition.INVALID, f"this is not a valid HTTP/1.1 request: {error}"))

    def _refuse(self, refusal: Refused) -> None:
        """The last thing this connection says, after the answers that are still due."""
        self._stage = DEAF
        self._deadline = NEVER
        self._backlog = b""
        self._queue.append(refusal)

    # -- callbacks of the parser; a Refused raised here comes out of `_parse` ------------------------------------

    def on_message_begin(self) -> None:
        if self._stage == DEAF:
            return
        self._stage = HEAD
        self._seen = 0
        self._target = b""
        self._fields: dict[bytes, bytes] = {}
        self._repeated = 0
        self._method = b""
        self._deadline = self._clock.now + self._guards.head_seconds

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage != HEAD:  # a trailer
            return
        name = name.lower()
        fields = self._fields
        if name in fields:
            if name in SINGLE:
                raise Refused(Condition.INVALID, f"the {name.decode('latin-1')} header is given twice")
            self._repeated += 1
            value = b"%b%b%b" % (fields[name], b"; " if name == b"cookie" else b", ", value)
        fields[name] = value

    def on_headers_complete(self) -> None:
        self._stage = BODY
        parser = self._parser
        fields = self._fields
        target = self._target
        guards = self._guards
        if self._seen + self._slice > guards.head_bytes or len(target) > TARGET_BYTES or len(fields) + self._repeated > guards.head_fields:
            check_size(target, fields, self._repeated, guards)
        self._method = method = parser.get_method()
        self._path, self._query = split_target(target)
        # Only 1.1 is kept alive unasked; asking the parser for the version formats a string.
        plain = b"connection" not in fields and parser.should_keep_alive()
        version = "1.1" if plain else check_version(parser.get_http_version())
        self._version = version
        host = fields.get(b"host")
        if host not in self._listener.hosts:
            check_host(host, version)
            if host is not None and len(self._listener.hosts) < KNOWN_HOSTS:
                self._listener.hosts.add(host)
        self._body = b""
        self._parts: list[bytes] | None = None
        self._received = self._to_come = self._silent = 0
        if b"content-encoding" in fields:
            check_content_encoding(fields[b"content-encoding"])
        coding = fields.get(b"transfer-encoding")
        self._chunked = coding is not None
        if coding is not None:
            check_transfer_encoding(coding, fields, version)
        elif b"content-length" in fields:
            self._to_come = declared_length(fields[b"content-length"])
        if self._chunked or self._to_come:
            self._expect_body(method, fields, version)
        elif method == b"CONNECT":
            raise Refused(Condition.WRONG_METHOD, "CONNECT is not served")
        elif b"expect" in fields:
            check_expect(fields[b"expect"])

    def _expect_body(self, method: bytes, fields: dict[bytes, bytes], version: str) -> None:
        if self._parser.should_upgrade():
            # The parser would take this body for the next request.
            raise Refused(Condition.UPGRADE, "a request with a body cannot ask for another protocol; send it without the Upgrade header")
        limit = self._body_limit = self._listener.application.limit(method, self._path, fields)
        if self._to_come > limit:
            raise too_large(limit)
        if b"expect" in fields:
            check_expect(fields[b"expect"])
            if version == "1.1":
                if self._serving or self._queue:
                    self._continue_due = True
                else:
                    self._write(CONTINUE)
        self._started = self._clock.now
        self._deadline = self._started + self._guards.body_seconds

    def on_body(self, data: bytes) -> None:
        received = self._received = self._received + len(data)
        if self._chunked and received > self._body_limit:
            raise too_large(self._body_limit)
        self._silent = 0
        if not self._body:
            self._body = data
        elif self._parts is None:
            self._parts = [self._body, data]
        else:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        if self._stage == DEAF:
            return
        # The parser knows about keep-alive only inside this callback.
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        body = self._body if self._parts is None else b"".join(self._parts)
        self._body = b""
        self._parts = None
        self._stage = BETWEEN if keep else DEAF
        self._continue_due = False
        request = Request(self, self._method, self._path, self._query, self._fields, body, self._version, self._clock.tick(), keep)
        self._queue.append(request)

    # -- serving, one request at a time -----------------------------------------------------------------------

    def _pump(self) -> None:
        """Serves what is parsed, parses what is kept. Answers given inside `handle` return here instead of nesting."""
        queue = self._queue
        self._pumping = True
        while not self._serving and not self.closed:
            if queue:
                if self.slow:
                    break
                self._serve(queue.popleft())
            elif self._backlog and self._stage != DEAF:
                self._parse(self._take_slice())
            else:
                if self._rearm_due:
                    self._rearm()
                break
        self._pumping = False

    def _serve(self, item: Request | Refused) -> None:
        if isinstance(item, Refused):
            self._answer_refusal(item)
            return
        self._serving = self._used = True
        self._keep = item.keep and not self._listener.draining
        self._modern = item.version == "1.1"
        self._head_only = item.method == b"HEAD"
        self._listener.application.handle(item)

    def _answered(self) -> None:
        self.owner = None
        self._serving = False
        if not self._keep:
            if self._backlog or self._queue or self._lingered:
                self._linger()
            else:
                self._stage = DEAF
                self._transport.close()
            return
        self._rearm_due = True
        if not self._pumping:
            self._pump()

    def _rearm(self) -> None:
        """Between two requests; the next one may have arrived in part, and its clock starts now."""
        self._rearm_due = False
        now = self._clock.now
        if self._stage == BETWEEN:
            self._deadline = now + self._guards.idle_seconds
        elif self._stage == HEAD:
            self._deadline = now + self._guards.head_seconds
        elif self._stage == BODY:
            self._started = now
            self._deadline = now + self._guards.body_seconds
            if self._continue_due:
                self._continue_due = False
                self._write(CONTINUE)

    def _answer_refusal(self, refusal: Refused) -> None:
        path = self._target[:TARGET_BYTES].partition(b"?")[0] or b"/"
        fields, body = self._listener.application.refuse(refusal, path)
        status = refusal.condition.status
        self._write(
            b"%b%bdate: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status_line(status), fields, self._clock.date, len(body), b"" if self._method == b"HEAD" else body)
        )
        self._linger()

    def _linger(self) -> None:
        """Closes so that the client can still read the answer: our side is shut, its input is read away for a moment."""
        self._stage = DEAF
        self._backlog = b""
        self._queue.clear()
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._deadline = self._clock.tick() + LINGER_SECONDS
        else:
            self._transport.close()

    # -- answering ----------------------------------------------------------------------------------------------

    def answer(self, status: int, fields: bytes, body: bytes) -> None:
        """A whole answer in one write. `fields` are rendered lines, each with its line end; length, date and connection are added."""
        if not self._serving or self.closed:
            return
        line = STATUS_LINES.get(status) or status_line(status)
        if status in BODILESS:
            self._write(b"%b%bdate: %b\r\n%b" % (line, fields, self._clock.date, self._head_end()))
        else:
            sent = b"" if self._head_only else body
            self._write(b"%b%bdate: %b\r\ncontent-length: %d\r\n%b%b" % (line, fields, self._clock.date, len(body), self._head_end(), sent))
        self._answered()

    def begin(self, status: int, fields: bytes, data: bytes = b"") -> None:
        """The head of a stream and what there is of it. Chunked on 1.1; on 1.0 the end of the connection is the end of the stream."""
        if not self._serving or self.closed:
            return
        line = STATUS_LINES.get(status) or status_line(status)
        self._mute = self._head_only or status in BODILESS
        framing = b""
        if not self._mute:
            if self._modern:
                framing = b"transfer-encoding: chunked\r\n"
                data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            else:
                self._keep = False
        self._write(b"%b%bdate: %b\r\n%b%b%b" % (line, fields, self._clock.date, framing, self._head_end(), b"" if self._mute else data))

    def send(self, data: bytes) -> None:
        if not data or self._mute or not self._serving or self.closed:
            return
        self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._modern else data)

    def finish(self, data: bytes = b"") -> None:
        if not self._serving or self.closed:
            return
        if not self._mute:
            if not self._modern:
                self._write(data)
            elif data:
                self._write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
            else:
                self._write(LAST_CHUNK)
        self._answered()

    def cut(self) -> None:
        """Ends a stream that must not look complete."""
        self.owner = None
        if self.closed:
            return
        if not self._modern:
            # Only a reset tells a client that reads until the end of the connection.
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _head_end(self) -> bytes:
        if not self._keep:
            return b"connection: close\r\n\r\n"
        return b"\r\n" if self._modern else b"connection: keep-alive\r\n\r\n"

    def _write(self, data: bytes) -> None:
        self._sent += len(data)
        self._transport.write(data)

    # -- the sweep ------------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        waiting = self._transport.get_write_buffer_size()
        if waiting:
            taken = self._sent - waiting
            if taken != self._taken:
                self._taken = taken
                self._taken_at = now
            elif now - self._taken_at >= self._guards.write_stall_seconds:
                self._transport.abort()
            return
        self._taken = -1
        if self._deadline < now and not self._serving and not self._queue:
            self._expire(now)

    def _expire(self, now: float) -> None:
        if self._stage == HEAD:
            self._refuse(Refused(Condition.TOO_SLOW, f"the request head was not complete after {self._guards.head_seconds:g} seconds"))
        elif self._stage == BODY:
            self._deadline = self._started + self._guards.body_seconds + self._received / self._guards.body_rate
            if self._deadline >= now:
                return
            self._refuse(Refused(Condition.TOO_SLOW, f"the request body arrived too slowly: {self._received} bytes so far"))
        elif self._stage == BETWEEN:
            self._transport.close()
        else:
            self._transport.abort()
        self._pump()

    def drain(self) -> None:
        """Idle: closes. Busy: the answer in hand is the last. Fresh: a client that has just come may still ask once."""
        self._keep = False
        if self._serving or self._queue or self._stage in (HEAD, BODY):
            return
        if self._used:
            self._transport.close()
        else:
            self._deadline = min(self._deadline, self._clock.tick() + LINGER_SECONDS)

    def abort(self) -> None:
        self._transport.abort()


class Listener:
    """The live connections of one process on one listening socket. Whether the process is ready is the application's knowledge."""

    def __init__(self, application: Application, guards: Guards, clock: Clock, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self.application = application
        self.guards = guards
        self.clock = clock
        self.connections: set[Connection] = set()
        self.hosts: set[bytes | None] = set()  # Host values that were found valid
        self.draining = False
        self._ssl_context = ssl_context
        self._server: asyncio.Server | None = None

    @property
    def open(self) -> int:
        return len(self.connections)

    async def accept(self, listening: socket.socket) -> None:
        """Serves a bound socket; it may be shared with other processes."""
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # accepted sockets inherit it
        handshake_s = self.guards.head_seconds if self._ssl_context else None
        self._server = await asyncio.get_running_loop().create_server(
            self._connection, sock=listening, backlog=4096, ssl=self._ssl_context, ssl_handshake_timeout=handshake_s
        )
        self.clock.every_second.append(self._sweep)

    def drain(self) -> None:
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.drain()

    def close_all(self) -> None:
        """Ends everything at once; whoever serves a request is told that its client is gone."""
        self.drain()
        for connection in tuple(self.connections):
            connection.abort()
        if self._sweep in self.clock.every_second:
            self.clock.every_second.remove(self._sweep)

    def _connection(self) -> Connection:
        return Connection(self)

    def _sweep(self) -> None:
        now = self.clock.now
        for connection in tuple(self.connections):
            connection.check(now)
