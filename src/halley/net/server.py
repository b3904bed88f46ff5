"""The HTTP/1.1 server side of a relay: one protocol per client connection. The set of them on one socket is `net.listener`.

Requests go to the application one at a time per connection, and its answers become bytes. It never knows a route, a key or a dialect: the
application decides what a request means and how a refusal is worded. No task, future or timer is made per request.

What arrives while a request is being served is kept raw; over `Guards.pipeline` bytes the socket is not read any more.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING, cast

from halley.errors import Condition, Refused
from halley.net.framing import BODILESS, CONTINUE, LAST_CHUNK, STATUS_LINES, status_line
from halley.net.guards import Guards
from halley.net.reader import BETWEEN, BODY, DEAF, HEAD, SLICE, Reader
from halley.net.request import Application, Owner, Request

if TYPE_CHECKING:
    from halley.net.listener import Listener

__all__ = ["Application", "Connection", "Guards", "Owner", "Request"]

HIGH_WATER = 16384
ONE_WRITE = 65536  # a longer chunk is not copied in between its length and its end: a client that takes nothing would be held twice
LINGER_SECONDS = 1.0
LINGER_MOST_SECONDS = 30.0
TURN_S = 0.002  # so long one client's input is worked on before the others have their turn
TURNED_AWAY = 256  # connections over the limit that are still told why


class Connection(asyncio.Protocol):
    """One client. `closed` is true from the moment nothing more can reach it; `slow` while more than the high-water mark waits for it."""

    __slots__ = (
        "_backlog",
        "_begun",
        "_clock",
        "_guards",
        "_head_only",
        "_keep",
        "_lingers_until",
        "_listener",
        "_modern",
        "_mute",
        "_pumping",
        "_reader",
        "_reading",
        "_rearm_due",
        "_serving",
        "_taken",
        "_taken_at",
        "_transport",
        "_used",
        "closed",
        "owner",
        "peer",
        "sent",
        "slow",
    )

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._guards = listener.guards
        self._clock = listener.clock
        self._reader = Reader(self, listener)
        self._backlog = b""
        self._keep = self._reading = self._modern = True  # modern: the client in hand speaks 1.1
        self._serving = self._pumping = self._used = self._rearm_due = False
        self._head_only = self._mute = False
        self._begun = False  # the head of a stream is out, and with it whether the connection is kept
        self.sent = 0
        self._taken = -1  # what the client had taken at the last sweep that found bytes waiting
        self._taken_at = self._lingers_until = 0.0
        self.owner: Owner | None = None
        self.closed = self.slow = False
        self.peer = ""

    @property
    def busy(self) -> bool:
        reader = self._reader
        return self._serving or bool(reader.queue) or reader.stage in (HEAD, BODY) or self._transport.get_write_buffer_size() > 0

    @property
    def expected(self) -> bool:
        """Busy, or a request may still come."""
        return self._reader.stage == BETWEEN or self.busy

    # -- transport ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports share the interface of asyncio.Transport, not the class.
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        address: object = transport.get_extra_info("peername")
        # A Unix socket has no peer address.
        self.peer = str(cast(tuple[object, ...], address)[0]) if isinstance(address, tuple) else ""
        connections = self._listener.connections
        connections.add(self)
        if len(connections) > self._guards.connections:
            self._turn_away(len(connections) - self._guards.connections)
        elif self._listener.draining:
            self.drain(LINGER_SECONDS)

    def _turn_away(self, over: int) -> None:
        """One too many: told so before it has asked, while there are few of them; in a flood just closed."""
        if over > TURNED_AWAY:
            self._transport.abort()
        else:
            self._reader.refuse(Refused(Condition.OVERLOADED, "The gateway has as many connections as it takes.", retry_after_s=1.0))
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        self._leave()
        self._reader.close()

    def eof_received(self) -> None:
        """A client that shuts its side while it waits is gone; between requests it is an ordinary goodbye."""
        if self._serving:
            self._leave()
            self._transport.abort()

    def _leave(self) -> None:
        self.closed = True
        self._backlog = b""
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
        if not self._serving and not self._pumping:
            self._pump()

    # -- requests, one at a time ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader.stage == DEAF or self.closed:
            self._ignore()
        elif self._serving or reader.queue or self._backlog:
            self._backlog += data
            if len(self._backlog) > self._guards.pipeline and self._reading:
                self._reading = False
                self._transport.pause_reading()
        elif not self.slow and (request := reader.again(data)) is not None:
            self._begin(request)
        else:
            if len(data) <= SLICE:
                reader.parse(data)
            else:
                self._backlog = data
            self._pump()

    def _ignore(self) -> None:
        """Input that is not wanted is read away, or the answer before it would be lost to a reset: while it comes, but not without end."""
        now = self._clock.tick()
        self._lingers_until = self._lingers_until or now + LINGER_MOST_SECONDS
        self._reader.deadline = min(now + LINGER_SECONDS, self._lingers_until)

    def _pump(self) -> None:
        """Serves what is parsed, parses what is kept. Answers given inside `handle` come back here instead of nesting."""
        reader = self._reader
        queue = reader.queue
        self._pumping = True
        turn = 0.0
        while not self._serving and not self.closed:
            if queue:
                if self.slow:
                    break
                self._serve(queue.popleft())
            elif self._backlog and reader.stage != DEAF:
                if not turn:
                    turn = time.monotonic() + TURN_S
                elif time.monotonic() > turn:
                    self._rest()
                    break
                self._parse_backlog(reader.slice_size())
            else:
                if self._rearm_due:
                    self._rearm_due = False
                    reader.rearm()
                if reader.continue_due:
                    reader.continue_due = False
                    self._write(CONTINUE)
                break
        self._pumping = False

    def _rest(self) -> None:
        """One client's turn is over: tiny chunks and pipelined requests cost far more than their bytes. The loop goes round first, and
        nothing is read meanwhile, because an event loop may read one busy socket dozens of times before it looks at another."""
        if self._reading:
            self._reading = False
            self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        if not self._pumping:
            self._pump()

    def _parse_backlog(self, size: int) -> None:
        backlog = self._backlog
        self._backlog = backlog[size:]
        if not self._reading and len(self._backlog) <= self._guards.pipeline:
            self._reading = True
            self._transport.resume_reading()
        self._reader.parse(backlog[:size])

    def _serve(self, item: Request | Refused) -> None:
        if isinstance(item, Refused):
            self._answer_refusal(item)
        else:
            self._begin(item)

    def _begin(self, request: Request) -> None:
        self._serving = self._used = True
        self._keep = request.keep and not self._listener.draining
        self._modern = request.version == "1.1"
        self._head_only = request.method == b"HEAD"
        self._listener.application.handle(request)

    def _answered(self) -> None:
        self.owner = None
        self._serving = False
        if self._keep:
            if self._pumping or self._backlog or self._reader.stage != BETWEEN or self._reader.queue:
                self._rearm_due = True
                if not self._pumping:
                    self._pump()
            else:
                self._reader.rearm()
        elif self._backlog or self._lingers_until or self._reader.queue:
            self._linger()
        else:
            self._reader.stage = DEAF
            self._transport.close()

    def _answer_refusal(self, refusal: Refused) -> None:
        reader = self._reader
        fields, body = self._listener.application.refuse(refusal, reader.refused_path)
        sent = b"" if reader.refused_method == b"HEAD" else body
        self._write(
            b"%b%bdate: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status_line(refusal.condition.status), fields, self._clock.date, len(body), sent)
        )
        self._linger()

    def _linger(self) -> None:
        """Closes so that the client can still read the answer: our side is shut, its input is read away while it comes."""
        self._reader.stage = DEAF
        self._lingers_until = 0.0
        self._ignore()
        self._reader.queue.clear()
        self._backlog = b""
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
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
        self._write_parts((self._open(status, fields), *self._framed(data)))
        self._begun = True

    def send(self, data: bytes) -> None:
        if data and not self._mute and self._serving and not self.closed:
            if len(data) <= ONE_WRITE and self._modern:
                self._write(b"%x\r\n%b\r\n" % (len(data), data))
            else:
                self._write_parts(self._framed(data))

    def finish(self, data: bytes = b"") -> None:
        if self._serving and not self.closed:
            self._end_stream(self._framed(data))

    def stream(self, status: int, fields: bytes, data: bytes) -> None:
        """A stream of which all is there: what `begin` and `finish` would write, in one write."""
        if self._serving and not self.closed:
            self._end_stream((self._open(status, fields), *self._framed(data)))

    def _open(self, status: int, fields: bytes) -> bytes:
        """The head of a stream; how its data is framed is decided with it."""
        line = STATUS_LINES.get(status) or status_line(status)
        self._mute = self._head_only or status in BODILESS
        if not self._modern and not self._mute:
            self._keep = False
        framing = b"transfer-encoding: chunked\r\n" if self._modern and not self._mute else b""
        return b"%b%bdate: %b\r\n%b%b" % (line, fields, self._clock.date, framing, self._head_end())

    def _framed(self, data: bytes) -> tuple[bytes, ...]:
        if not data or self._mute:
            return ()
        return (b"%x\r\n" % len(data), data, b"\r\n") if self._modern else (data,)

    def _end_stream(self, parts: tuple[bytes, ...]) -> None:
        last = (LAST_CHUNK,) if self._modern and not self._mute else ()
        self._write_parts((*parts, *last))
        self._begun = False
        self._answered()
        if self._listener.draining and not self.closed:
            self.drain(LINGER_SECONDS)

    def cut(self) -> None:
        """Ends a stream that must not look complete."""
        self.owner = None
        if self.closed:
            return
        self.closed = True
        if not self._modern:
            # Only a reset tells a client that reads until the end of the connection.
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _head_end(self) -> bytes:
        if not self._keep:
            return b"connection: close\r\n\r\n"
        return b"\r\n" if self._modern else b"connection: keep-alive\r\n\r\n"

    def _write_parts(self, parts: tuple[bytes, ...]) -> None:
        size = sum(map(len, parts))
        if size <= ONE_WRITE:
            self._write(b"".join(parts))
            return
        self.sent += size
        for part in parts:
            self._transport.write(part)

    def _write(self, data: bytes) -> None:
        self.sent += len(data)
        self._transport.write(data)

    # -- the sweep ------------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        waiting = self._transport.get_write_buffer_size()
        if waiting:
            taken = self.sent - waiting
            if taken != self._taken:
                self._taken = taken
                self._taken_at = now
            elif now - self._taken_at >= self._guards.write_stall_seconds:
                self._transport.abort()
            return
        self._taken = -1
        reader = self._reader
        if reader.deadline < now and not self._serving and not reader.queue:
            if reader.stage == BETWEEN:
                self._transport.close()
            elif reader.stage == DEAF:
                self._transport.abort()
            elif reader.expire(now):
                self._pump()

    def drain(self, grace_s: float) -> None:
        """The next answer says that it is the last. Who was told that the connection is kept may still ask within so many seconds."""
        if not self._begun:
            self._keep = False
        if self._reader.stage == BETWEEN and not self.busy:
            self._reader.deadline = min(self._reader.deadline, self._clock.tick() + grace_s)

    def give_up(self, refusal: Refused) -> None:
        """A request that has not arrived whole is refused now."""
        if not self._serving and not self._reader.queue and self._reader.stage in (HEAD, BODY):
            self._reader.refuse(refusal)
            self._pump()

    def abort(self) -> None:
        self._transport.abort()
