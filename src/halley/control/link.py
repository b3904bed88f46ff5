"""Control's end of the link: relays that are connected, what they are told, and what they ask for.

It decides nothing about money: it asks the desk, and brings the desk's answer back. One `Peer` per relay process; a new connection of the
same relay takes the place of the old one.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from pathlib import Path

import msgspec

from halley import logs
from halley.control.desk import Desk
from halley.control.turns import Turns
from halley.store.messages import (
    MAX_FRAME,
    Counters,
    Folded,
    FromControl,
    FromRelay,
    Granted,
    Hello,
    LeaseReturned,
    LeaseWanted,
    Recall,
    frame,
    unpack_from_relay,
)

RECALL_WAIT_S = 1.0
# Above this many unread bytes a relay does not read: its connection is cut, and it will dial again.
_UNREAD_BYTES = 64 << 20

_log = logs.get("halley.link")


class Peer:
    """One connected relay."""

    __slots__ = ("_writer", "relay")

    def __init__(self, relay: str, writer: asyncio.StreamWriter) -> None:
        self.relay = relay
        self._writer = writer

    def send(self, data: bytes) -> None:
        if self._writer.transport.get_write_buffer_size() > _UNREAD_BYTES:
            self._writer.transport.abort()
        elif not self._writer.is_closing():
            self._writer.write(data)

    def hang_up(self) -> None:
        self._writer.transport.abort()


class Link:
    """The Unix server. `counters` holds each connected relay's last figures."""

    def __init__(self, desk: Desk, turns: Turns) -> None:
        self._desk = desk
        self._turns = turns
        self._peers: dict[str, Peer] = {}
        self._talks: set[asyncio.Task[None]] = set()
        self._lending: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._recalls: dict[tuple[str, str], asyncio.Event] = {}
        self._server: asyncio.Server | None = None
        self.counters: dict[str, Counters] = {}

    async def listen(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path)
        os.chmod(path, 0o600)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for peer in list(self._peers.values()):
            peer.hang_up()
        if self._talks:
            await asyncio.wait(self._talks, timeout=RECALL_WAIT_S * 2)

    @property
    def connected(self) -> frozenset[str]:
        return frozenset(self._peers)

    async def push(self) -> None:
        """Tell every relay what is true now."""
        data = frame(await self._turns.take(self._desk.snapshot))
        for peer in list(self._peers.values()):
            peer.send(data)

    def folded(self, relay: str, offset: int) -> None:
        self._send(relay, Folded(offset))

    def _send(self, relay: str, message: FromControl) -> None:
        peer = self._peers.get(relay)
        if peer is not None:
            peer.send(frame(message))

    # ---- one connection -----------------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer: Peer | None = None
        try:
            hello = await _receive(reader)
            if not isinstance(hello, Hello):
                return
            peer = Peer(hello.relay, writer)
            await self._turns.take(self._desk.meet, hello.relay, hello.leases)
            old = self._peers.get(hello.relay)
            if old is not None:
                old.hang_up()
            self._peers[hello.relay] = peer
            await self.push_to(peer)
            # What was folded while the link was down: a relay that hears nothing of it takes the ledger to be behind.
            self.folded(hello.relay, await self._turns.take(self._desk.folded, hello.relay))
            while (message := await _receive(reader)) is not None:
                await self._hear(peer, message)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except (msgspec.MsgspecError, ValueError) as fault:
            _log.error("a relay spoke nonsense", relay=peer.relay if peer is not None else "", fault=fault)
        finally:
            if peer is not None and self._peers.get(peer.relay) is peer:
                del self._peers[peer.relay]
                self.counters.pop(peer.relay, None)
            writer.close()

    async def push_to(self, peer: Peer) -> None:
        peer.send(frame(await self._turns.take(self._desk.snapshot)))

    async def _hear(self, peer: Peer, message: FromRelay) -> None:
        match message:
            case LeaseWanted():
                # Its own task: lending may wait for other relays, and this connection must go on being read, for it may be one of them.
                task = asyncio.get_running_loop().create_task(self._lend(peer, message))
                self._talks.add(task)
                task.add_done_callback(self._talks.discard)
            case LeaseReturned(account=account, returned=returned):
                await self._turns.take(self._desk.take_back, account, peer.relay, returned)
                waiting = self._recalls.pop((peer.relay, account), None)
                if waiting is not None:
                    waiting.set()
            case Counters():
                self.counters[peer.relay] = message
            case Hello():
                await self._turns.take(self._desk.meet, message.relay, message.leases)

    async def _lend(self, peer: Peer, wanted: LeaseWanted) -> None:
        account = wanted.account
        async with self._lending[account]:
            total = await self._turns.take(self._desk.lend, account, peer.relay, wanted.need)
            if total is None:
                await self._recall(account, peer.relay)
                total = await self._turns.take(self._desk.lend_rest, account, peer.relay, wanted.need, wanted.least)
            peer.send(frame(Granted(account, total)))

    async def _recall(self, account: str, but: str) -> None:
        """Ask the other relays for credit that they do not use, and wait a moment for their answers."""
        waits: list[asyncio.Task[bool]] = []
        loop = asyncio.get_running_loop()
        for relay in await self._turns.take(self._desk.lenders, account, but):
            if relay in self._peers:
                event = self._recalls[(relay, account)] = asyncio.Event()
                waits.append(loop.create_task(event.wait()))
                self._send(relay, Recall(account))
        if waits:
            _, late = await asyncio.wait(waits, timeout=RECALL_WAIT_S)
            for wait in late:
                wait.cancel()


async def _receive(reader: asyncio.StreamReader) -> FromRelay | None:
    """The next message; None at the end of the connection. Raises ValueError on a frame that cannot be one."""
    try:
        head = await reader.readexactly(4)
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
        return None
    size = int.from_bytes(head, "big")
    if size > MAX_FRAME:
        raise ValueError(f"a frame of {size} bytes")
    return unpack_from_relay(await reader.readexactly(size))
