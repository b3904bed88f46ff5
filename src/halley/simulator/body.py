"""The body of one answer on the wire, with what the script does to bytes: how they are framed, in what pieces, and where they end."""

from __future__ import annotations

import asyncio

from halley.simulator.http import Connection, Request, head
from halley.simulator.script import Script


class Cut(Exception):
    """The script has ended the connection; nothing more can be written."""


class Body:
    """Writes a head and then the body, chunked unless a length is given or the script wants it ended by EOF."""

    __slots__ = ("_chunked", "_connection", "_request", "_script", "_sent")

    def __init__(self, connection: Connection, request: Request, script: Script) -> None:
        self._connection = connection
        self._request = request
        self._script = script
        self._chunked = False
        self._sent = 0

    async def start(self, status: int, fields: dict[str, str], length: int | None) -> None:
        """Raises Cut where the script resets after the head."""
        connection, script = self._connection, self._script
        fields = {"x-request-id": "req_of_the_simulator", "x-ratelimit-remaining-requests": "41", **fields, **script.headers}
        if script.eof_body:
            fields["connection"] = "close"
        elif length is not None:
            fields["content-length"] = str(length)
        else:
            fields["transfer-encoding"] = "chunked"
            self._chunked = True
        if not self._request.keep_alive:
            fields["connection"] = "close"
        connection.write(head(status, fields))
        if script.reset_after_head:
            # A reset throws away what the peer's kernel has not handed over yet: without a moment between, no head would be seen at all.
            await connection.rest(0.05)
            connection.reset()
            raise Cut

    async def write(self, data: bytes) -> None:
        """Raises Cut at the byte at which the script ends the body, Gone when the caller has left."""
        cut = self._script.cut_at
        ends = cut is not None and self._sent + len(data) >= cut
        if ends:
            data = data[: cut - self._sent] if cut is not None else data
        self._sent += len(data)
        size = self._script.write_bytes
        if size is None:
            self._frame(data)
        else:
            for start in range(0, len(data), size):
                self._frame(data[start : start + size])
                # Lets the loop turn between writes, so that they leave as packets of their own.
                await asyncio.sleep(0)
                await self._connection.drained()
        await self._connection.drained()
        if ends:
            self._connection.close()
            raise Cut

    def end(self) -> None:
        if self._chunked:
            self._connection.write(b"0\r\n\r\n")
        if self._script.eof_body or self._script.early_close:
            self._connection.close()

    def _frame(self, data: bytes) -> None:
        if data:
            self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
