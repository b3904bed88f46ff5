"""One upstream connection and the call it carries: a request is written, the reply's bytes are told to a receiver as they come.

What the parser accepts and this module does not: an ambiguous framing, a second reply, a body where none can be, a switch of protocol,
heads and trailers without measure. It never repeats a request and keeps no list of connections; that is the pool's.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from halley.net.origin import Deadlines, Fault, FaultKind

if TYPE_CHECKING:
    from halley.net.client import Pool

NEVER = float("inf")
READ_BYTES = 65536
_BUFFER = memoryview(bytearray(READ_BYTES))
HEAD_BYTES = 65536
INTERIM_REPLIES = 8
SPELLINGS = 1024
CONTENT_LENGTH = b"content-length"
TRANSFER_ENCODING = b"transfer-encoding"
CONTENT_TYPE = b"content-type"
_KNOWN = {name: name for name in (CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_TYPE)}  # compared by identity
# A connection idle for longer is asked for a pending close before it is used again; so is any, for a while, at a server that closed one
# sooner. The loop hears of all other closes in time, and asking costs a system call (3 µs with what is around it).
FRESH_SECONDS = 0.5
WARY_SECONDS = 60.0


class Receiver(Protocol):
    """`replied` comes once per read from the moment the final head is complete; after `done`, or after the one `failed`, nothing comes."""

    def replied(self, call: Call, data: bytes, done: bool, /) -> None: ...
    def failed(self, call: Call, fault: Fault, /) -> None: ...


class Call:
    """One request and its reply. `data` is written first and `body` after it, if it is not in there. Until the final reply head is complete
    `status` is 0; `kind` is its content-type, `fields` are the other wanted ones."""

    __slots__ = ("asks_head", "body", "data", "deadlines", "ended", "fields", "kind", "paused", "receiver", "since", "status", "upstream")

    def __init__(self, data: bytes, body: bytes, receiver: Receiver, deadlines: Deadlines, since: float, *, asks_head: bool) -> None:
        self.data = data
        self.body = body
        self.receiver = receiver
        self.deadlines = deadlines
        self.since = since
        self.asks_head = asks_head
        self.status = 0
        self.kind = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.paused = self.ended = False
        self.upstream: Upstream | None = None

    @property
    def sent(self) -> bool:
        """Whether the request has been handed to a connection that still works on it; false while one is being dialled."""
        return self.upstream is not None

    def pause(self) -> None:
        """Stops reading; the idle deadline rests meanwhile."""
        if not self.paused and not self.ended:
            self.paused = True
            if self.upstream is not None:
                self.upstream.pause()

    def resume(self) -> None:
        if self.paused and not self.ended:
            self.paused = False
            if self.upstream is not None:
                self.upstream.resume()

    def abort(self) -> None:
        """Closes the connection; the receiver hears nothing more."""
        self.ended = True
        upstream = self.upstream
        if upstream is not None:
            upstream.drop()

    def fail(self, fault: Fault) -> None:
        if not self.ended:
            self.ended = True
            self.receiver.failed(self, fault)


class _Unfit(Exception):
    """Raised inside a parser callback: this reply is not to be relayed."""


class Upstream(asyncio.BufferedProtocol):
    """One connection; one call at a time. All read through one buffer, whose size bounds what one read holds for a client that is slow: a
    read is told before the next one begins."""

    __slots__ = (
        "_bodiless",
        "_clock",
        "_done",
        "_framed",
        "_headed",
        "_in_interim",
        "_interim",
        "_keep",
        "_loud",
        "_parser",
        "_parts",
        "_pool",
        "_seen",
        "_spellings",
        "_transport",
        "_until_close",
        "_wanted",
        "call",
        "deadline",
        "idle_since",
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._clock = pool.clock
        self._wanted = pool.wanted
        self._spellings = pool.spellings
        self.call: Call | None = None
        self.deadline = NEVER
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports share the interface of asyncio.Transport, not the class.
        self._transport = cast(asyncio.Transport, transport)
        self._parser = HttpResponseParser(self)
        self._pool.connections.add(self)

    # -- one call ---------------------------------------------------------------------------------------------

    def start(self, call: Call) -> None:
        self.call = call
        call.upstream = self
        self._parts: list[bytes] = []
        self._headed = self._done = self._keep = self._framed = self._in_interim = self._bodiless = self._until_close = False
        self._interim = self._seen = 0
        self.deadline = self._clock.tick() + call.deadlines.first_byte_s
        self._transport.write(call.data)
        if call.body:
            self._transport.write(call.body)
        if call.paused:
            self.pause()

    def is_stale(self, now: float) -> bool:
        """Whether the other side has closed, or said something nobody asked for, as far as can be known before writing."""
        if self._transport.is_closing():
            return True
        if now - self.idle_since < FRESH_SECONDS and now > self._pool.wary_until:
            return False
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        return _readable(descriptor)

    def pause(self) -> None:
        self.deadline = NEVER
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        call = self.call
        if call is not None and not self._transport.is_closing():
            now = self._clock.tick()
            self.deadline = now + (call.deadlines.idle_s if self._headed else call.deadlines.first_byte_s)
            self._transport.resume_reading()

    def drop(self) -> None:
        """Closes at once and tells nobody."""
        call = self.call
        if call is not None:
            self.call = call.upstream = None
        self.deadline = NEVER
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()

    def expire(self) -> None:
        call = self.call
        assert call is not None
        limits = call.deadlines
        if self._headed:
            self.give_up("idle_timeout", f"the upstream was silent for {limits.idle_s:g} seconds")
        else:
            self.give_up("first_byte_timeout", f"the upstream did not answer within {limits.first_byte_s:g} seconds")

    def give_up(self, kind: FaultKind, detail: str) -> None:
        call = self.call
        self.drop()
        if call is not None:
            call.fail(Fault(kind, True, detail))

    # -- reading ------------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        data = _BUFFER[:nbytes]
        call = self.call
        if call is None:
            self._transport.abort()  # nobody asked: whatever this is, it must not become the next call's reply
            return
        try:
            if self._headed or nbytes + self._seen <= HEAD_BYTES:
                self._parser.feed_data(data)
            else:
                self._feed_large(data, HEAD_BYTES - self._seen)
        except HttpParserUpgrade:
            self.give_up("protocol", "the upstream switched to another protocol")
            return
        except HttpParserError as error:
            if not self._done:
                self._broken(call, error)
                return
            self._keep = False  # something follows the reply
        if self._headed:
            self._deliver(call, nbytes)
        else:
            self._seen += nbytes

    def _feed_large(self, data: memoryview, head_bytes: int) -> None:
        """More than a head may still be: it must be complete within its limit."""
        self._parser.feed_data(data[:head_bytes])
        if not self._headed:
            raise HttpParserError(f"the reply head is larger than {HEAD_BYTES} bytes")
        self._parser.feed_data(data[head_bytes:])

    def _deliver(self, call: Call, size: int) -> None:
        first = call.status == 0
        if first:
            call.status = self._parser.get_status_code()
        parts = self._parts
        if parts:
            self._parts = []
            self._loud = 0
            data = parts[0] if len(parts) == 1 else b"".join(parts)
        else:
            data = b""
            if not first and not self._done:
                # Chunk extensions and trailers, which the parser collects: bounded like a head.
                self._loud += size
                if self._loud > HEAD_BYTES:
                    self.give_up("protocol", "the reply carries more chunk extensions or trailers than are read")
                else:
                    self.deadline = self._clock.tick() + call.deadlines.idle_s
                return
            self._loud = 0
        if self._done:
            self._release(call)
            call.receiver.replied(call, data, True)
        else:
            self.deadline = self._clock.tick() + call.deadlines.idle_s
            call.receiver.replied(call, data, False)

    def _broken(self, call: Call, error: HttpParserError) -> None:
        cause = error.__context__
        if cause is not None and not isinstance(cause, _Unfit):
            raise cause  # a bug of ours inside a callback
        if self._headed and self._parts:
            data = b"".join(self._parts)
            call.status = call.status or self._parser.get_status_code()
            call.receiver.replied(call, data, False)
        self.give_up("protocol", f"the reply is not valid HTTP: {cause or error}")

    def _release(self, call: Call) -> None:
        """Before the receiver hears of the end, so that its next call finds this connection."""
        self.call = call.upstream = None
        call.ended = True
        self.deadline = NEVER
        if self._keep and not self._transport.is_closing() and not self._transport.get_write_buffer_size():
            if call.paused:
                self._transport.resume_reading()
            self._pool.take_back(self)
        else:
            self._transport.abort()

    def eof_received(self) -> None:
        call = self.call
        if call is not None and self._headed and self._until_close:
            self._done = True
            self._release(call)
            call.receiver.replied(call, b"", True)
        elif call is not None:
            # Not left to the transport, which closes only when the rest of a large request has been taken: nobody takes it any more.
            self.give_up("cut", "the upstream closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        call = self.call
        if call is not None:
            self.call = call.upstream = None
            # Both loops hand a request to the kernel at once and forget what it refused: from here on it may have left.
            call.fail(Fault("cut", True, f"the upstream closed the connection{f': {exc}' if exc else ''}"))
        del self._parser  # it holds this connection's methods: a cycle

    # -- callbacks of the parser --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._done:
            raise _Unfit("more than one reply to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headed:  # a trailer
            return
        known = self._spellings.get(name)
        if known is None:
            known = self._spell(name)
        if known:
            if known is CONTENT_LENGTH or known is TRANSFER_ENCODING:
                self._frame(known, value)
            elif (call := self.call) is not None:
                if known is CONTENT_TYPE:
                    call.kind = value
                else:
                    call.fields.append((known, value))

    def _spell(self, name: bytes) -> bytes:
        """A name as the pool knows it, lower-case; empty for one that nobody wants. Servers spell few names, and the same ones always."""
        known = name.lower()
        if known in _KNOWN:
            known = _KNOWN[known]
        elif known not in self._wanted:
            known = b""
        if len(self._spellings) < SPELLINGS:
            self._spellings[name] = known
        return known

    def _frame(self, name: bytes, value: bytes) -> None:
        value = value.strip(b" \t")
        if self._framed or not (value.isdigit() if name is CONTENT_LENGTH else value.lower() == b"chunked"):
            raise _Unfit("its framing is ambiguous")
        self._framed = True
        if name in self._wanted and (call := self.call) is not None:
            call.fields.append((name, value))

    def on_headers_complete(self) -> None:
        call = self.call
        if call is None:
            raise _Unfit("nobody waits for it")
        status = self._parser.get_status_code()
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > INTERIM_REPLIES:
                raise _Unfit(f"an unexpected status {status}")
            self._in_interim = True
            return
        self._headed = True
        if status == 204 or status == 304 or call.asks_head:
            self._bodiless = self._done = True
        elif not self._framed:
            self._until_close = True

    def on_body(self, data: bytes) -> None:
        if self._bodiless:
            raise _Unfit("a body where none can be")
        self._parts.append(data)

    def on_message_complete(self) -> None:
        if self._in_interim:
            self._in_interim = self._framed = False
            call = self.call
            if call is not None:
                call.fields.clear()
                call.kind = b""
            return
        self._done = True
        # The parser knows about keep-alive only inside this callback.
        self._keep = self._parser.should_keep_alive()


def _readable(descriptor: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])
