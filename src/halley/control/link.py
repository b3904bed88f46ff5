"""Control's end of the link: relays that are connected, what they are told, and what they ask for.

It decides nothing about money: it asks the desk, and brings the desk's answer back. One `Peer` per relay process; a new connection of the
same relay takes the place of the old one.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from halley import logs
from halley.control.desk import Desk
from halley.control.turns import Turns
from halley.policy.snapshot import Snapshot
from halley.store.database import Away
from halley.store.messages import (
    MAX_FRAME,
    RUNNING,
    AnswerGone,
    Answers,
    AnswersWanted,
    ClaimGone,
    ClaimWanted,
    Counters,
    Folded,
    FromControl,
    FromRelay,
    Granted,
    Hello,
    LeaseAsked,
    LeaseReturned,
    LeaseWanted,
    Recall,
    Source,
    frame,
    unpack_from_relay,
)
from halley.store.nodes import News

RECALL_WAIT_S = 1.0
# How often it is looked, within the same time, for what relays of other nodes have given back.
LOOK_S = 0.2
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
        self._recalls: dict[tuple[str, Source], asyncio.Event] = {}
        self._server: asyncio.Server | None = None
        # What relays here lack and those of other nodes may have, by the account that it is lacking for.
        self._wants: dict[str, tuple[Source, ...]] = {}
        # How many changes of other nodes the relays here know of.
        self._changes = 0
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
        """Something was changed here: tell every relay what is true now; those of other nodes hear it from their own control."""
        self._tell_all(await self._turns.take(self._desk.announced))

    def begin(self, news: News) -> None:
        """No relay was told anything yet: what it will be told knows of these changes."""
        self._changes = news.changes

    async def hear(self, news: News) -> None:
        """What other nodes said: tell the relays here what is true now if it has changed, and recall what is wanted elsewhere."""
        if news.changes != self._changes:
            self._tell_all(await self._turns.take(self._desk.snapshot))
            self._changes = news.changes
        for source in news.wanted:
            for relay in self._peers:
                self._send(relay, Recall(source))

    def _tell_all(self, snapshot: Snapshot) -> None:
        data = frame(snapshot)
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
            await self._turns.take(self._desk.lender.meet, hello.relay, hello.leases)
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
        except Away:
            pass  # the store says so, once; the relay dials again and tells everything again
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
                self._talk(self._lend(peer, message))
            case LeaseReturned(source=source, returned=returned):
                await self._turns.take(self._desk.lender.take_back, source, peer.relay, returned)
                waiting = self._recalls.pop((peer.relay, source), None)
                if waiting is not None:
                    waiting.set()
            case LeaseAsked():
                peer.send(frame(await self._turns.take(self._desk.lender.tell, peer.relay, message)))
            case AnswersWanted() | ClaimWanted() if self._desk.shares:
                self._talk(self._answer_late(peer, message))
            case AnswersWanted():
                peer.send(frame(await self._turns.take(self._desk.answers, message)))
            case AnswerGone():
                await self._turns.take(self._desk.forget_answer, message)
                peer.send(frame(Answers(message.question)))
            case ClaimWanted():
                peer.send(frame(await self._turns.take(self._desk.claim, peer.relay, message)))
            case ClaimGone():
                await self._turns.take(self._desk.forget_claim, message)
            case Counters():
                self.counters[peer.relay] = message
            case Hello():
                await self._turns.take(self._desk.lender.meet, message.relay, message.leases)

    def _talk(self, talk: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(talk)
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    async def _answer_late(self, peer: Peer, wanted: AnswersWanted | ClaimWanted) -> None:
        """What is asked for may have happened at another node a moment ago, whose control books it within this time."""
        limit = asyncio.get_running_loop().time() + RECALL_WAIT_S
        try:
            while True:
                if isinstance(wanted, ClaimWanted):
                    found = await self._turns.take(self._desk.claim, peer.relay, wanted)
                    settled = found.claim is not None and (found.claim.standing != RUNNING)
                else:
                    found = await self._turns.take(self._desk.answers, wanted)
                    settled = (wanted.last is None or bool(found.line)) and len(found.others) == len(wanted.others)
                if settled or asyncio.get_running_loop().time() > limit:
                    peer.send(frame(found))
                    return
                await asyncio.sleep(LOOK_S)
        except Away:
            peer.hang_up()

    async def _lend(self, peer: Peer, wanted: LeaseWanted) -> None:
        # One at a time of an account, whatever budgets it is about: two relays would take from each other what each of them lacks.
        try:
            async with self._lending[wanted.account]:
                granted = await self._turns.take(self._desk.lender.lend, peer.relay, wanted)
                if granted is None:
                    granted = await self._recall(wanted, peer.relay)
                if granted is None:
                    granted = await self._turns.take(self._desk.lender.lend_rest, peer.relay, wanted)
                peer.send(frame(granted))
        except Away:
            peer.hang_up()  # the relay dials again, and asks again for whoever still waits

    async def _recall(self, wanted: LeaseWanted, but: str) -> Granted | None:
        """Ask the other relays for credit that they do not use, and wait a moment for their answers. Returns what was lent, if relays of
        another node gave enough back meanwhile."""
        waits: list[asyncio.Task[bool]] = []
        elsewhere: dict[Source, None] = {}
        loop = asyncio.get_running_loop()
        limit = loop.time() + RECALL_WAIT_S
        for relay, source in await self._turns.take(self._desk.lender.lenders, wanted, but):
            if relay in self._peers:
                event = self._recalls[(relay, source)] = asyncio.Event()
                waits.append(loop.create_task(event.wait()))
                self._send(relay, Recall(source))
            elif self._desk.shares:
                elsewhere[source] = None
        if elsewhere:
            await self._want(wanted.account, tuple(elsewhere))
        if waits:
            _, late = await asyncio.wait(waits, timeout=RECALL_WAIT_S)
            for wait in late:
                wait.cancel()
        granted = None
        if elsewhere:
            while granted is None and loop.time() < limit:
                await asyncio.sleep(LOOK_S)
                granted = await self._turns.take(self._desk.lender.lend, but, wanted)
            await self._want(wanted.account, ())
        return granted

    async def _want(self, account: str, sources: tuple[Source, ...]) -> None:
        """Tell the other nodes what relays here lack for this account, beside what they lack for others."""
        self._wants[account] = sources
        if not sources:
            del self._wants[account]
        await self._turns.take(self._desk.want, tuple(source for each in self._wants.values() for source in each))


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
