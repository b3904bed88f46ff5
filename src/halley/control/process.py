"""The control process put together: the rounds that fold journals and bury dead relays, the link, and the two HTTP applications.

Rounds are named background loops: what goes wrong in one is logged, and the next round tries again.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Mapping

import uvicorn
from starlette.applications import Starlette

from halley import logs
from halley.control import admin, web
from halley.control.desk import Desk
from halley.control.detect import detect
from halley.control.herald import Herald
from halley.control.link import Link
from halley.control.plan import Plan
from halley.control.turns import Turns
from halley.store import verify
from halley.store.database import Away
from halley.store.replay import BATCH_BYTES

# The longest time that a journal is without an fsync, and how soon the first record after a pause is folded.
SECURE_S = 0.1
# The time between two commits for a relay under load: what a commit costs is shared by all requests of that time.
FOLD_S = 0.5
BURY_S = 1.0
# The sweeper looks every so often, or ten times within the life of a hold if that is sooner.
SWEEP_S = 60.0
# How soon this node hears what happened at others that share its database.
BEAT_S = 0.5
# How long an answer that has begun may still take at the end.
_ANSWER_S = 5.0

_log = logs.get("halley.control")


class Control:
    def __init__(self, plan: Plan, environ: Mapping[str, str]) -> None:
        self.plan = plan
        self.turns = Turns("desk")
        self.readers = Turns("reader")
        self.clerks = Turns("clerk")
        self.desk = Desk(plan, environ)
        self.link = Link(self.desk, self.turns)
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[_Server] = []
        self._covered: dict[str, int] = {}
        self._folded_at: dict[str, float] = {}

    async def start(self) -> None:
        """Everything listens when this returns; leftovers of an earlier life are in the ledger by then."""
        await self.turns.take(self.desk.settle_in)
        if self.desk.shares:
            self.link.begin(await self.turns.take(self.desk.beat))
        await self._bury()
        run = self.plan.run
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self.link.listen(run / "link.sock")
        spawn = asyncio.get_running_loop().create_task
        for name, app in (("web.sock", web.application(self.desk, self.turns, self.clerks, self.link)), ("admin.sock", self._admin())):
            path = run / name
            path.unlink(missing_ok=True)
            server = _Server(app, os.fspath(path))
            self._servers.append(server)
            self._tasks.append(spawn(server.serve(), name=name))
            await server.listening()
            path.chmod(0o600)
        self._tasks += [spawn(self._fold_rounds(), name="fold"), spawn(self._bury_rounds(), name="bury")]
        self._tasks.append(spawn(self._sweep_rounds(), name="sweep"))
        herald = Herald(self.desk.store, self.turns, self.plan.alerts, self.desk.now, random.random)
        self._tasks += [spawn(herald.rounds(), name="alerts"), spawn(self._check_rounds(), name="check")]
        if self.desk.shares:
            self._tasks.append(spawn(self._beats(), name="beat"))
        if self.plan.detect:
            self._tasks.append(spawn(self._detect(), name="detect"))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Fold to the end, then close; `hurry` waits for nobody who is being answered. Relays that still run keep their journals, and the
        next control goes on from here."""
        for server in self._servers:
            server.should_exit = True
        for task in self._tasks:
            if task.get_name() in ("fold", "bury", "sweep", "alerts", "check", "beat", "detect"):
                task.cancel()
        hurried = asyncio.ensure_future(hurry.wait())
        answering = asyncio.ensure_future(asyncio.wait(self._tasks, timeout=_ANSWER_S))
        await asyncio.wait({hurried, answering}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        answering.cancel()
        await self.fold_all()
        await self._bury()
        await self.link.close()
        self.readers.close()
        self.clerks.close()
        await self.turns.take(self.desk.close)
        self.turns.close()
        for name in ("link.sock", "web.sock", "admin.sock"):
            (self.plan.run / name).unlink(missing_ok=True)

    def _admin(self) -> Starlette:
        return admin.application(self.desk, self.turns, self.readers, self.link)

    async def _fold_rounds(self) -> None:
        while True:
            try:
                for relay in await self.turns.take(self.desk.journals):
                    await self._fold_when_due(relay)
            except Away:
                pass
            except Exception as fault:  # top of a named background loop
                _log.error("a folding round failed", fault=fault)
                await asyncio.sleep(BURY_S)
            await asyncio.sleep(SECURE_S)

    async def _fold_when_due(self, relay: str) -> None:
        try:
            behind = await self.turns.take(self.desk.secure, relay)
            now = time.monotonic()
            if behind >= BATCH_BYTES or (behind and now - self._folded_at.get(relay, -FOLD_S) >= FOLD_S):
                self._folded_at[relay] = now
                await self._fold_some(relay)
        except Away:
            pass  # the store says so, once
        except Exception as fault:  # top of a named background loop: one relay's journal must not hold up the others'
            _log.error("a relay's journal could not be folded", relay=relay, fault=fault)

    async def _fold_some(self, relay: str) -> None:
        """One commit, however much is being written meanwhile; more only while there is a backlog of whole batches."""
        covered = self._covered.get(relay, 0)
        while (offset := await self.turns.take(self.desk.fold, relay)) is not None:
            self.link.folded(relay, offset)
            behind, covered = offset - covered, offset
            self._covered[relay] = covered
            if behind < BATCH_BYTES // 2:
                break

    async def fold_all(self) -> None:
        """Everything that is in the journals now."""
        for relay in await self.turns.take(self.desk.journals):
            while (offset := await self.turns.take(self.desk.fold, relay)) is not None:
                self.link.folded(relay, offset)

    async def _bury_rounds(self) -> None:
        while True:
            await asyncio.sleep(BURY_S)
            try:
                await self._bury()
            except Away:
                pass
            except Exception as fault:  # top of a named background loop
                _log.error("a round over dead relays failed", fault=fault)

    async def _bury(self) -> None:
        for relay in await self.turns.take(self.desk.borrowers):
            if relay not in self.link.connected and await self.turns.take(self.desk.end_if_gone, relay):
                self._covered.pop(relay, None)
                self._folded_at.pop(relay, None)
                _log.info("the journal of a relay that is gone was closed", relay=relay)

    async def _beats(self) -> None:
        while True:
            try:
                await self.link.hear(await self.turns.take(self.desk.beat))
            except Away:
                pass
            except Exception as fault:  # top of a named background loop
                _log.error("the other nodes could not be heard", fault=fault)
            await asyncio.sleep(BEAT_S)

    async def _sweep_rounds(self) -> None:
        limit = self.plan.hold_seconds
        while True:
            await asyncio.sleep(min(SWEEP_S, limit / 10))
            try:
                for relay, count in (await self.turns.take(self.desk.sweep)).items():
                    _log.error("holds past their deadline were ended; this is a bug", relay=relay, count=count, limit=limit)
                await self.turns.take(self.desk.expire)
            except Away:
                pass
            except Exception as fault:  # top of a named background loop
                _log.error("a round over late holds and old answers failed", fault=fault)

    async def _check_rounds(self) -> None:
        while True:
            await asyncio.sleep(self.plan.ledger_check_s)
            try:
                found = await self.readers.take(self._verified)
                if found.differences:
                    await self.turns.take(self.desk.differ, found)
            except Away:
                pass
            except Exception as fault:  # top of a named background loop
                _log.error("a round over the ledger failed", fault=fault)

    def _verified(self) -> verify.Found:
        with self.desk.store.read() as connection:
            return verify.verify(connection)

    async def _detect(self) -> None:
        providers, models = await detect()
        if providers:
            await self.turns.take(self.desk.detected, providers, models)
            await self.link.push()
            _log.info("model servers were found on loopback", provider=", ".join(each.name for each in providers), count=len(models))


class _Server(uvicorn.Server):
    """uvicorn on a Unix socket, without its own signals: the process has one owner of signals."""

    def __init__(self, app: Starlette, path: str) -> None:
        self._listening = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                app, uds=path, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="off", ws="none"
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)

    async def listening(self) -> None:
        await self._listening.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()
