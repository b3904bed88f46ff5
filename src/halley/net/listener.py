"""The live connections of one process on one listening socket, which it may share with other processes, and how they come to an end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

from halley.errors import Refused
from halley.net.clock import Clock
from halley.net.guards import Guards
from halley.net.request import Application, Owner
from halley.net.server import Connection

SEND_BUFFER = 262144


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
        self._socket: socket.socket | None = None

    @property
    def open(self) -> int:
        return len(self.connections)

    @property
    def busy(self) -> bool:
        """Whether an answer is still due, or written and not yet taken by its client."""
        return any(connection.busy for connection in self.connections)

    async def accept(self, listening: socket.socket) -> None:
        """Serves a bound socket; it may be shared with other processes."""
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # accepted sockets inherit both
        if listening.family != socket.AF_UNIX:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = listening
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if listening.family == socket.AF_UNIX else loop.create_server
        self._server = await create(self._connection, sock=listening, ssl=self._ssl_context, ssl_handshake_timeout=self._handshake_s)
        listening.listen(4096)  # not as create_server's backlog, which is also how often asyncio tries to accept when it has no descriptors
        self.clock.every_second.append(self.sweep)

    @property
    def expecting(self) -> bool:
        """Whether an answer is still due, or a request may come."""
        return any(connection.expected for connection in self.connections)

    @property
    def owners(self) -> list[Owner]:
        return [connection.owner for connection in self.connections if connection.owner is not None]

    def drain(self, grace_s: float) -> None:
        """No connection is kept any more; an idle one is closed after so many seconds. Newcomers are still taken."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain(grace_s)

    def stop_accepting(self) -> None:
        """What waits in the socket's queue is for the others that serve it."""
        if self._server is not None:
            self._server.close()

    async def take_the_rest(self) -> None:
        """Stops accepting where nobody else will: who waits in the socket's queue would be reset when its last holder closes it."""
        if self._socket is None:
            return
        loop, waiting = asyncio.get_running_loop(), list[socket.socket]()
        with self._socket.dup() as rest:
            self.stop_accepting()
            rest.setblocking(False)
            with contextlib.suppress(OSError):  # nobody is left, or no descriptor
                while True:
                    waiting.append(rest.accept()[0])
        for each in waiting:
            each.setblocking(False)
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(self._connection, each, ssl=self._ssl_context, ssl_handshake_timeout=self._handshake_s)

    @property
    def _handshake_s(self) -> float | None:
        return self.guards.head_seconds if self._ssl_context else None

    def give_up(self, refusal: Refused) -> None:
        """Requests that have not arrived whole are refused."""
        for connection in tuple(self.connections):
            connection.give_up(refusal)

    def close_all(self) -> None:
        """Ends everything at once; whoever serves a request is told that its client is gone."""
        self.stop_accepting()
        self.draining = True
        for connection in tuple(self.connections):
            connection.abort()
        if self.sweep in self.clock.every_second:
            self.clock.every_second.remove(self.sweep)

    def _connection(self) -> Connection:
        return Connection(self)

    def sweep(self) -> None:
        now = self.clock.now
        for connection in tuple(self.connections):
            connection.check(now)
