"""The upstream side: one keep-alive pool per origin, HTTP/1.1 over TCP, TLS or a Unix socket, on any asyncio loop.

A call is written once. Nothing here repeats a request of which a byte may have left; the one silent repair is that a kept connection
found closed before anything was written to it is replaced. The pool knows no dialect and no money; what a fault means is for its caller.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from halley.net.clock import Clock
from halley.net.origin import Deadlines, Fault, Origin, check_head, render_field
from halley.net.upstream import FRESH_SECONDS, WARY_SECONDS, Call, Receiver, Upstream

__all__ = ["Call", "Deadlines", "Fault", "Origin", "Pool", "Receiver", "render_field"]

ONE_WRITE = 65536  # a body up to this size leaves with its head in one write; copying a larger body costs more than a second write


class Pool:
    """The connections to one origin: the last used is the first used again, and at most `size` exist; further calls wait for one, at most
    `waiting` of them: a call beyond these fails as busy. `server_name` is who must prove to be there if the origin's host is an address."""

    def __init__(
        self,
        origin: Origin,
        *,
        deadlines: Deadlines,
        clock: Clock,
        wanted: frozenset[bytes],
        ssl_context: ssl.SSLContext | None = None,
        server_name: str = "",
        idle_seconds: float = 50.0,
        size: int = 1024,
        waiting: int = 1024,
    ) -> None:
        self.origin = origin
        self.deadlines = deadlines
        self.clock = clock
        self.wanted = wanted
        self.spellings: dict[bytes, bytes] = {}  # header names as upstreams write them, to what they are here
        self.connections: set[Upstream] = set()
        self.dialled = 0
        self.wary_until = 0.0  # the server has closed a connection that it had just used
        self._idle: list[Upstream] = []
        self._waiting: deque[Call] = deque()
        self._dials: dict[asyncio.Task[None], Call] = {}
        self._idle_seconds = idle_seconds
        self._size = size
        self._most_waiting = waiting
        self._ssl_context = ssl_context
        self._server_name = server_name or origin.host
        self._checked = b""
        self._retired = self._closed = False
        clock.every_second.append(self._sweep)

    @property
    def open(self) -> int:
        return len(self.connections)

    @property
    def idle(self) -> int:
        return len(self._idle)

    def call(self, head: bytes, body: bytes, receiver: Receiver, deadlines: Deadlines | None = None, request_id: bytes = b"") -> Call:
        """Sends a request. `head` is the request line and the fields, each with its line end; content-length and the blank line are added.

        `request_id`, if given, goes out as x-request-id, so that a head can be one object for many calls. ValueError if the head holds CR,
        LF or NUL elsewhere; RuntimeError after `close`. The receiver is never called before this returns.
        """
        if head is not self._checked:
            check_head(head)
            self._checked = head
        if self._closed:
            raise RuntimeError("the pool is closed")
        identity = b"x-request-id: %b\r\n" % request_id if request_id else b""
        size = len(body)
        if 0 < size <= ONE_WRITE:
            data = b"%b%bcontent-length: %d\r\n\r\n%b" % (head, identity, size, body)
            body = b""
        elif size or not head.startswith((b"GET ", b"HEAD ")):
            data = b"%b%bcontent-length: %d\r\n\r\n" % (head, identity, size)
        else:
            data = b"%b%b\r\n" % (head, identity)
        call = Call(data, body, receiver, deadlines or self.deadlines, self.clock.now, asks_head=data.startswith(b"HEAD "))
        self.place(call)
        return call

    def place(self, call: Call) -> None:
        if self._closed:
            call.fail(Fault("connect", False, "the gateway is closing"))
            return
        if self._retired and self._sweep not in self.clock.every_second:
            self.clock.every_second.append(self._sweep)
        idle = self._idle
        while idle:
            upstream = idle.pop()
            if not upstream.is_stale(self.clock.now):
                upstream.start(call)
                return
            upstream.drop()
        if len(self.connections) + len(self._dials) >= self._size:
            self._wait(call)
            return
        task = asyncio.get_running_loop().create_task(self._dial(call))
        self._dials[task] = call
        task.add_done_callback(self._dial_ended)

    def _wait(self, call: Call) -> None:
        if len(self._waiting) < self._most_waiting:
            self._waiting.append(call)
        else:
            # In the loop's next round: a receiver is never called from within `call`.
            fault = Fault("busy", False, f"all {self._size} connections to {self._name()} are busy")
            asyncio.get_running_loop().call_soon(call.fail, fault)

    def _dial_ended(self, task: asyncio.Task[None]) -> None:
        self._dials.pop(task, None)
        self._place_waiting()

    def take_back(self, upstream: Upstream) -> None:
        upstream.idle_since = self.clock.now
        while self._waiting:
            call = self._waiting.popleft()
            if not call.ended:
                upstream.start(call)
                return
        if self._retired:
            upstream.close()
        else:
            self._idle.append(upstream)

    def forget(self, upstream: Upstream) -> None:
        self.connections.discard(upstream)
        if upstream in self._idle:
            self._idle.remove(upstream)
            now = self.clock.now
            if now - upstream.idle_since < FRESH_SECONDS:
                self.wary_until = now + WARY_SECONDS
        self._place_waiting()

    def _place_waiting(self) -> None:
        while self._waiting and len(self.connections) + len(self._dials) < self._size:
            call = self._waiting.popleft()
            if not call.ended:
                self.place(call)

    def retire(self) -> None:
        """It leads to a provider that is configured otherwise now. Who was admitted before still calls; no connection is kept after it."""
        self._retired = True
        for upstream in self._idle:
            upstream.close()
        self._idle.clear()

    def close(self) -> None:
        """Calls in flight fail; nothing is sent any more."""
        self._closed = True
        self.retire()
        if self._sweep in self.clock.every_second:
            self.clock.every_second.remove(self._sweep)
        for task, call in self._dials.items():  # a task cancelled before its first step never sees it, so its call is told here
            task.cancel()
            call.fail(Fault("connect", False, "the gateway is closing"))
        for call in self._waiting:
            call.fail(Fault("connect", False, "the gateway is closing"))
        self._waiting.clear()
        for upstream in tuple(self.connections):
            if upstream.call is not None:
                upstream.give_up("cut", "the gateway is closing")

    async def _dial(self, call: Call) -> None:
        try:
            async with asyncio.timeout(call.deadlines.connect_s):
                upstream = await self._connect()
        except TimeoutError:
            fault = Fault("connect", False, f"no connection to {self._name()} within {call.deadlines.connect_s:g} seconds")
        except ssl.SSLError as error:
            fault = Fault("tls", False, f"no secure connection to {self._name()}: {error}")
        except OSError as error:
            fault = Fault("connect", False, f"no connection to {self._name()}: {error.strerror or error}")
        except UnicodeError as error:  # a host name that no resolver can be asked for
            fault = Fault("connect", False, f"no connection to {self._name()}: {error}")
        else:
            self.dialled += 1
            if call.ended:
                self.take_back(upstream)
            else:
                upstream.start(call)
            return
        call.fail(fault)

    async def _connect(self) -> Upstream:
        loop = asyncio.get_running_loop()
        origin = self.origin
        if origin.scheme == "unix":
            _, upstream = await loop.create_unix_connection(self._upstream, origin.path)
        elif origin.scheme == "https":
            if self._ssl_context is None:
                self._ssl_context = ssl.create_default_context()
            _, upstream = await loop.create_connection(
                self._upstream, origin.host, origin.port, ssl=self._ssl_context, server_hostname=self._server_name
            )
        else:
            _, upstream = await loop.create_connection(self._upstream, origin.host, origin.port)
        return upstream

    def _upstream(self) -> Upstream:
        return Upstream(self)

    def _name(self) -> str:
        origin = self.origin
        return origin.path or f"{origin.host}:{origin.port}"

    def _sweep(self) -> None:
        now = self.clock.now
        if self._retired and not self.connections and not self._dials and not self._waiting:
            self.clock.every_second.remove(self._sweep)
            return
        for upstream in tuple(self.connections):
            if upstream.deadline < now:
                upstream.expire()
        oldest = now - self._idle_seconds
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.pop(0).close()
        while self._waiting and (self._waiting[0].ended or self._waiting[0].since + self._waiting[0].deadlines.connect_s < now):
            self._waiting.popleft().fail(Fault("busy", False, f"all {self._size} connections to {self._name()} are busy"))
