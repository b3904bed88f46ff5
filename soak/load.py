"""Open-loop load in a thread of its own: a request is due when the schedule says so, whether or not the ones before it have ended.

It counts and keeps nothing but counts and the first answers that were not right, so that an hour of it takes no more memory than a minute.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections import Counter
from typing import cast
from urllib.parse import urlsplit

import uvloop

from soak.mix import Dealer, Kind

# So many requests under way mean that nothing is answered any more; a due one is then counted as `missed` instead of sent.
MOST_OPEN = 1000
_KEPT_ODD = 20
_KEPT_IDLE = 64
_LATEST_LEAVE_S = 2.5
# Past the limit at which the gateway gives a reader up, so that both sides' ends are met.
_LONGEST_STALL_S = 40.0
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_CODE = re.compile(rb'"code": ?"(\w+)"')
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Call(asyncio.Protocol):
    """One connection, used for one request at a time. `_left` is what the body still misses, -1 while it is told by chunks."""

    __slots__ = ("_code", "_head", "_kind", "_left", "_load", "_status", "_stop", "_tail", "_transport")

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport
        self._stop: asyncio.TimerHandle | None = None
        self._kind: Kind | None = None

    def ask(self, kind: Kind, data: bytes) -> None:
        self._kind = kind
        self._head = b""
        self._tail = b""
        self._status = 0
        self._code = ""
        self._left = -1
        self._transport.write(data)
        loop, dice = self._load.loop, self._load.dealer.dice
        if kind.manner == "half":
            self._stop = loop.call_later(dice.random() * 0.5, self.leave)
        elif kind.manner == "leaves":
            self._stop = loop.call_later(dice.random() * _LATEST_LEAVE_S, self.leave)
        elif kind.manner == "stalls":
            self._transport.pause_reading()
            self._stop = loop.call_later(1.0 + dice.random() * _LONGEST_STALL_S, self.leave)

    @property
    def stalls(self) -> bool:
        return self._kind is not None and self._kind.manner == "stalls"

    def leave(self) -> None:
        """The client goes, in the middle of whatever it is."""
        self._stop = None
        if self._kind is not None:
            self._end("left")
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        # A small window: what the kernel takes in for a reader that has stopped is no stall.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.forget(self)
        if self._kind is not None:
            self._end("cut" if self._head or self._status else "unanswered")

    def data_received(self, data: bytes) -> None:
        if not self._status:
            self._head += data
            head, blank, data = self._head.partition(b"\r\n\r\n")
            if not blank:
                return
            self._status = int(head[9:12])
            length = _LENGTH.search(head)
            self._left = int(length[1]) if length else -1
            self._tail = b"\r\n"
            self._head = head
            code = _CODE.search(data) if self._status >= 400 else None
            self._code = code[1].decode() if code else ""
        if self._left >= 0:
            self._left -= len(data)
            done = self._left <= 0
        else:
            self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
            done = self._tail == _LAST_CHUNK
        if done and self._kind is not None:
            self._end("whole")
            if b"\r\nconnection: close" in self._head.lower():
                self._transport.close()
            else:
                self._load.rest(self)

    def close(self) -> None:
        self._transport.close()

    def _end(self, how: str) -> None:
        kind, self._kind = self._kind, None
        assert kind is not None
        if self._stop is not None:
            self._stop.cancel()
            self._stop = None
        self._load.count(self, kind, self._status, self._code, how)


class Load:
    """`rate` requests a second while it is `flowing`. All public methods may be called from another thread."""

    def __init__(self, url: str, dealer: Dealer, rate: float) -> None:
        place = urlsplit(url)
        self._address = (str(place.hostname), int(place.port or 80))
        self.dealer = dealer
        self._interval = 1.0 / rate
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._flowing = False
        self._idle: list[Call] = []
        self._open: set[Call] = set()
        self._dialling = 0
        self.sent = 0
        self.missed = 0
        self.shed = 0
        self.most_open = 0
        self.latest_s = 0.0
        self.seen: Counter[tuple[str, int, str]] = Counter()
        self.odd: Counter[str] = Counter()

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()
        self.loop.call_soon_threadsafe(self._end)
        self._thread.join(30.0)

    def flow(self) -> None:
        self._flowing = True
        self.loop.call_soon_threadsafe(self._begin)

    def pause(self) -> None:
        """No new requests. Those who do not read any more leave; everybody else may come to an end."""
        self._flowing = False
        self.loop.call_soon_threadsafe(self._dismiss)

    @property
    def open(self) -> int:
        return len(self._open) + self._dialling

    def statuses(self) -> Counter[int]:
        counts: Counter[int] = Counter()
        for (_, status, _), count in dict(self.seen).items():
            counts[status] += count
        return counts

    # ---- the thread ----------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(lambda loop, context: self.odd.update([f"the load itself: {context}"]))
        self.loop.run_forever()

    def _end(self) -> None:
        for call in (*self._open, *self._idle):
            call.close()
        self.loop.call_later(0.1, self.loop.stop)

    def _begin(self) -> None:
        self._due = self.loop.time()
        self._tick()

    def _tick(self) -> None:
        """Sends what is due. A tick that comes late sends all that it missed: the schedule waits for nobody."""
        if not self._flowing:
            return
        now = self.loop.time()
        self.latest_s = max(self.latest_s, now - self._due)
        while self._due <= now:
            self._due += self._interval
            self._send()
        self.loop.call_later(max(self._due - self.loop.time(), 0.0), self._tick)

    def _send(self) -> None:
        if self.open >= MOST_OPEN:
            self.missed += 1
            return
        kind = self.dealer.deal()
        data = self.dealer.write(kind)
        self.sent += 1
        if self._idle:
            call = self._idle.pop()
            self._open.add(call)
            call.ask(kind, data)
        else:
            self._dialling += 1
            self.loop.create_task(self._dial(kind, data))
        self.most_open = max(self.most_open, self.open)

    async def _dial(self, kind: Kind, data: bytes) -> None:
        try:
            _, call = await self.loop.create_connection(lambda: Call(self), *self._address)
        except OSError as fault:
            self.odd[f"{kind.name}: no connection: {fault}"] += 1
            return
        finally:
            self._dialling -= 1
        self._open.add(call)
        call.ask(kind, data)

    def _dismiss(self) -> None:
        for call in [call for call in self._open if call.stalls]:
            call.leave()
        for call in self._idle:
            call.close()
        self._idle.clear()

    def rest(self, call: Call) -> None:
        if self._flowing and len(self._idle) < _KEPT_IDLE:
            self._idle.append(call)
        else:
            call.close()

    def forget(self, call: Call) -> None:
        if call in self._idle:
            self._idle.remove(call)

    def count(self, call: Call, kind: Kind, status: int, code: str, how: str) -> None:
        self._open.discard(call)
        self.seen[kind.name, status, how] += 1
        if code == "overloaded":
            self.shed += 1  # the machine has too much other work: a figure of its own, and no fault
            return
        right = how == "left" if kind.manner == "half" else status in kind.statuses or (how == "left" and status == 0)
        if how == "cut":
            right = right and kind.cut
        if how == "unanswered" or not right:
            self.odd[f"{kind.name}: {status} {code} {how}"] += 1
