"""What a relay is told about its end: words of the supervisor on the channel between them, and signals of anybody else.

Orders only grow. It knows no request and no connection; what is ordered is done in `serve.ending`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from enum import IntEnum


class Order(IntEnum):
    """The words on the channel are these names in lower case."""

    UNREADY = 1  # say so where load balancers ask, and serve on
    END = 2  # the node ends: finish what is open, tell newcomers to come back later
    LEAVE = 3  # others serve the socket: finish what is open, leave newcomers to them
    NOW = 4  # finish nothing
    CLOSE = 5  # nobody new can come any more: take whom the socket still holds, and end


class Orders:
    """`wait(order)` returns once that much is ordered. SIGTERM from elsewhere: the supervisor hears of it and sends a successor, whose
    readiness it says with `leave`; a second one is `NOW`."""

    def __init__(self, channel: socket.socket, notice_s: float) -> None:
        self._channel = channel
        self._notice_s = notice_s
        self._given = {order: asyncio.Event() for order in Order}
        self._signals = 0
        self._alone: asyncio.TimerHandle | None = None
        self._loop = loop = asyncio.get_running_loop()
        channel.setblocking(False)
        loop.add_reader(channel.fileno(), self._hear)
        loop.add_signal_handler(signal.SIGTERM, self._signalled)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # the supervisor decides

    def given(self, order: Order) -> bool:
        return self._given[order].is_set()

    async def wait(self, order: Order) -> None:
        await self._given[order].wait()

    def give(self, order: Order) -> None:
        for each in Order:
            if each <= order:
                self._given[each].set()

    def say(self, word: str) -> None:
        # A supervisor that is gone takes this process along (`supervise.lifeline`); it needs no words.
        with contextlib.suppress(OSError):
            self._channel.send(f"{word}\n".encode())

    def close(self) -> None:
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()

    def _hear(self) -> None:
        try:
            words = self._channel.recv(1024).decode("ascii").split()
        except BlockingIOError:
            return
        except OSError:
            words = []
        if not words:
            self._loop.remove_reader(self._channel.fileno())
            return
        if self._alone is not None:
            self._alone.cancel()
        for word in words:
            self.give(Order[word.upper()])

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals > 1:
            self.give(Order.NOW)
        elif not self.given(Order.UNREADY):
            self.give(Order.UNREADY)
            self.say("leaving")
            self._alone = self._loop.call_later(self._notice_s, self.give, Order.LEAVE)
