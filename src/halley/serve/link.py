"""The relay's end of the link to control: one Unix socket, messages both ways, redialled when it breaks.

While it is down the relay serves on from its last snapshot and its leases. What was said meanwhile is not queued: every message is a total,
and `Hello` tells control all of them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from halley.store.messages import MAX_FRAME, FromControl, FromRelay, frame, unpack_from_control

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.25


class _Wire(asyncio.Protocol):
    """Bytes of the socket to messages."""

    def __init__(self, receive: Callable[[FromControl], None]) -> None:
        self._receive = receive
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[:4], "big")
            if size > MAX_FRAME and self.transport is not None:
                self.transport.abort()
                return
            if len(buffer) < 4 + size:
                return
            message = unpack_from_control(bytes(buffer[4 : 4 + size]))
            del buffer[: 4 + size]
            self._receive(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if not self.lost.done():
            self.lost.set_result(None)


class Link:
    """`send` says whether there was a link to send on. `run` is the relay's one background task of this kind; it ends when cancelled."""

    def __init__(
        self, path: str, hello: Callable[[], FromRelay], receive: Callable[[FromControl], None], connected: Callable[[], None]
    ) -> None:
        self._path = path
        self._hello = hello
        self._receive = receive
        self._connected = connected
        self._wire: _Wire | None = None

    @property
    def up(self) -> bool:
        return self._wire is not None and self._wire.transport is not None

    def send(self, message: FromRelay) -> bool:
        wire = self._wire
        if wire is None or wire.transport is None:
            return False
        wire.transport.write(frame(message))
        return True

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while True:
            try:
                _, wire = await loop.create_unix_connection(lambda: _Wire(self._receive), self._path)
            except OSError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            pause = _FIRST_PAUSE_S
            self._wire = wire
            self.send(self._hello())
            self._connected()
            await wire.lost
            self._wire = None
