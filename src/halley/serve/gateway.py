"""The relay's application: what happens to a complete request, and the state that all requests of this process share.

Data plane paths are served here; everything else is forwarded to control. Health is answered here too, because it is about this process.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from typing import NamedTuple

import msgspec

from halley import logs
from halley.errors import Condition, Refused
from halley.exchanges.standing import Health, Readiness
from halley.net.client import Pool
from halley.net.clock import Clock
from halley.net.egress import Egress
from halley.net.server import Request
from halley.policy.budgets import Pot
from halley.policy.catalogue import day_of
from halley.serve import faults, lists, quotes, routes
from halley.serve.claims import HEADER, ClaimedRun, LargeClaimedRun
from halley.serve.credit import Credit
from halley.serve.drains import Drains
from halley.serve.forward import Forward
from halley.serve.journal import JournalWriter
from halley.serve.lectern import LARGE_BODY, LargeRun, Lectern
from halley.serve.link import Link
from halley.serve.memory import Memory
from halley.serve.peers import Peers
from halley.serve.pressure import Pressure
from halley.serve.pressure import refusal as overload
from halley.serve.questions import Questions
from halley.serve.relay import Run
from halley.serve.retrieval import Retrieval
from halley.serve.tables import PoolFactory, Tables
from halley.store.messages import Answers, Counters, Folded, FromControl, Granted, Hello, LeaseTold, Recall

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PUBLIC = b"access-control-allow-origin: *\r\n"


class Bounds(NamedTuple):
    """What a relay takes on. `memory` is in bytes and refuses new work when it is held; `abandoned` answers are read to their end without a
    client, each for `abandoned_s`."""

    lag_s: float = 0.2
    memory: int = 1 << 40
    journal_lag_s: float = 120.0
    answer_bytes: int = 64 << 20
    abandoned: int = 64
    abandoned_s: float = 120.0


class Station(NamedTuple):
    """Where a relay works and as whom: its name, HALLEY_HOME, the directory of the node's sockets, how many relays share a key's limits,
    the largest JSON body in bytes, the scheme that clients of the listener speak, how much is taken on, and whether
    Idempotency-Keys are known."""

    name: str
    home: str
    run: str
    workers: int = 1
    body_limit: int = 1 << 25
    scheme: str = "http"
    bounds: Bounds = Bounds()
    claims: bool = True


class Gateway:
    """One relay process. How it ends is told by its owner: `unready` says so to who asks, `draining` tries no second offer any more,
    `turning_away` takes no new work."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
    roll = staticmethod(random.random)

    def __init__(
        self, station: Station, *, peers: Peers, clock: Clock, pools: PoolFactory, web: Pool, egress: Egress | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.clock = clock
        self.web = web
        self.egress = egress or Egress(clock)
        self.peers = peers
        self.relay = f"{station.name}-{int(time.time() * 1000):x}-{os.getpid()}"
        self.tables = Tables(pools, station.workers)
        directory = os.path.join(station.home, "journal")
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self.journal = JournalWriter(directory, self.relay, loop)
        self.link = Link(os.path.join(station.run, "link.sock"), self._hello, self._receive, self._connected)
        self.runs: set[Run] = set()
        self.credit = Credit(self.link.send, time.monotonic, budgets=self.tables.budgets, held=self._held)
        self.questions = Questions(self.link.send, time.monotonic)
        self.bounds = bounds = station.bounds
        self.pressure = Pressure(bounds.lag_s, bounds.memory)
        self.memory = Memory(clock.now)
        self.drains = Drains(bounds.abandoned, bounds.abandoned_s)
        self.lectern = Lectern(loop)
        self.unready = self.draining = self.turning_away = False
        self.behind = False  # accounting is so late that no more paid work is taken on
        self.refusals: dict[int, int] = {}
        self.ready = asyncio.Event()
        self._station = station
        self._catalogue = lists.Public()
        self._id_prefix = "req_" + _base32(int(time.time() * 1000), 10) + f"{random.getrandbits(32):08X}"
        self._ids = 0
        clock.every_second.append(self._each_second)

    def new_id(self) -> str:
        """`req_` and 26 characters: process start, random, count."""
        self._ids += 1
        return f"{self._id_prefix}{self._ids:08X}"

    @property
    def body_limit(self) -> int:
        return self._station.body_limit

    def forget(self, run: Run) -> None:
        """It waits for nothing from control any more."""
        self.credit.forget(run)
        self.questions.forget(run)

    def reads_apart(self, run: Run) -> bool:
        """Whether the request's body, which has grown, is being read elsewhere. Raises Refused when too many wait."""
        if len(run.request.body) > LARGE_BODY:
            self.lectern.read(run)
            return True
        run.seen = run.route.dialect.peek(run.request.body, run.request.path)
        return False

    # ---- net.server.Application ---------------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> None:
        served = routes.find(request.method, request.path)
        if served is not None:
            large = len(request.body) > LARGE_BODY
            if HEADER in request.fields and self._station.claims and served.route.dialect.billed:
                run = (LargeClaimedRun if large else ClaimedRun)(self, request, served.route)
            else:
                run = (LargeRun if large else Run)(self, request, served.route)
            if self.pressure.refusal is None:
                run.begin()
            else:
                run.refused(self.pressure.refusal)
            return
        try:
            self._handle_rest(request)
        except Refused as refusal:
            self._refuse(request, refusal)

    def refuse(self, refusal: Refused, path: bytes) -> tuple[bytes, bytes]:
        """A guard of the server refused: fields and body in the words of the path's dialect."""
        status, fields, body = faults.answer(refusal, routes.error_writer(path), self.new_id())
        self.count_refusal(status)
        return fields, body

    def limit(self, method: bytes, path: bytes, fields: dict[bytes, bytes]) -> int:
        """Body limit of a route, bytes: so far one for all. In overload a large body is refused before it is read."""
        if self.pressure.refusal is not None and _announced(fields) > LARGE_BODY:
            raise overload()
        return self._station.body_limit

    def count_refusal(self, status: int) -> None:
        self.refusals[status] = self.refusals.get(status, 0) + 1

    # ---- what is not an exchange --------------------------------------------------------------------------------------------------

    def _handle_rest(self, request: Request) -> None:
        path, method = request.path, request.method
        if b"upgrade" in request.fields and path.startswith(b"/v1"):
            raise Refused(Condition.UPGRADE, "WebSocket and other upgrades are not served; use HTTP streaming.")
        reading = method in routes.READING
        allowed = routes.allowed(path)
        if path == routes.HEALTH and reading:
            self._json(request, 200, msgspec.json.encode(Health()))
        elif path == routes.READY and reading:
            self._readiness(request)
        elif path == routes.CATALOGUE and reading:
            self._json(request, 200, self._catalogue.body(day_of(self.clock.wall)), _PUBLIC)
        elif path == routes.QUOTE and method == b"POST":
            self._json(request, 200, quotes.answer(self, request))
        elif path == routes.UNIT_QUOTE and method == b"POST":
            self._json(request, 200, quotes.of_units(self, request))
        elif (deed := routes.deed(method, path)) is not None:
            Retrieval(self, request, *deed).begin()
        elif routes.lists(path) and reading:
            request.connection.answer(*lists.answer(self, request))
        elif path in routes.PAGES and reading:
            fields = b"location: %b\r\ncontent-type: text/plain\r\nx-request-id: %b\r\n" % (routes.PAGES[path], self.new_id().encode())
            request.connection.answer(308, fields, b"See %b\n" % routes.PAGES[path])
        elif routes.at_control(path):
            Forward(self, request).begin()
        elif allowed is not None:
            refusal = Refused(Condition.WRONG_METHOD, f"{_shown(method)} is not served at {_shown(path)}; use {_shown(allowed)}.")
            self._refuse(request, refusal, b"allow: %b\r\n" % allowed)
        else:
            self._unknown(request)

    def _unknown(self, request: Request) -> None:
        meant = routes.suggestion(request.path)
        if meant is not None:
            root = self._root(request)
            raise Refused(
                Condition.UNKNOWN_URL,
                f"There is nothing at {_shown(request.path)}. Did you mean {root}{_shown(meant)}? "
                f"The base URL of an OpenAI client is {root}/v1.",
            )
        if request.path.startswith((b"/v1", b"/api/")):
            raise Refused(
                Condition.UNKNOWN_URL,
                f"There is nothing at {_shown(request.path)}. The base URL of an OpenAI client is {self._root(request)}/v1.",
            )
        if request.body and request.method in routes.READING:
            raise Refused(Condition.INVALID, "A page is asked for without a body.")
        Forward(self, request).begin()

    def _root(self, request: Request) -> str:
        snapshot = self.tables.snapshot
        if snapshot is not None and snapshot.public_url:
            return snapshot.public_url
        return f"{self._station.scheme}://{_shown(request.fields.get(b'host', b'localhost'))}"

    def _readiness(self, request: Request) -> None:
        ready = self.is_ready
        state = Readiness(
            ready=ready,
            draining=self.unready,
            control=self.link.up,
            journal_lag_s=round(self.journal.lag_s(self.clock.now), 1),
            overloaded=self.pressure.reason,
            loop_lag_ms=_ms(self.pressure.lag_s),
            memory_bytes=self.pressure.resident,
        )
        self._json(request, 200 if ready else 503, msgspec.json.encode(state))

    @property
    def is_ready(self) -> bool:
        return self.ready.is_set() and not self.unready

    def _json(self, request: Request, status: int, body: bytes, extra: bytes = b"") -> None:
        request.connection.answer(status, b"%bx-request-id: %b\r\n%b" % (faults.JSON, self.new_id().encode(), extra), body)

    def _refuse(self, request: Request, refusal: Refused, extra: bytes = b"") -> None:
        status, fields, body = faults.answer(refusal, routes.error_writer(request.path), self.new_id())
        self.count_refusal(status)
        request.connection.answer(status, fields + extra, body)

    # ---- the link -----------------------------------------------------------------------------------------------------------------

    def _hello(self) -> Hello:
        return Hello(self.relay, os.getpid(), self.journal.stem, self.credit.states())

    def _connected(self) -> None:
        self.credit.reconnected()
        self.questions.reconnected()

    def _receive(self, message: FromControl) -> None:
        match message:
            case Granted():
                self.credit.granted(message)
            case Folded(offset=offset):
                self.journal.folded(offset)
                if self.behind:
                    self._look_behind()
            case Answers():
                self.questions.answered(message)
            case LeaseTold():
                self.credit.told(message)
            case Recall(source=source):
                self.credit.recalled(source)
            case _:
                logs.guard(message.pepper, *(provider.api_key for provider in message.providers))
                self.tables.apply(message)
                self.credit.reviewed()
                self._catalogue = lists.Public(message, self.tables.models)
                self.ready.set()

    def _each_second(self) -> None:
        now = self.clock.now
        self.pressure.each_second()
        self.memory.each_second(now)
        self.lectern.each_second(now)
        self.journal.each_second(now)
        self._look_behind()
        self.credit.each_second(now)
        self.questions.each_second(now)
        self.drains.each_second(now)
        self.link.send(Counters(self._counters(), self.is_ready))

    def _held(self) -> set[Pot]:
        """The pots that open requests hold of."""
        return {pot for run in self.runs for pot in run.hold.held_in}

    def _look_behind(self) -> None:
        self.behind = self.journal.lag_s(self.clock.now) > self.bounds.journal_lag_s

    def _counters(self) -> dict[str, int]:
        values = {f'halley_refusals_total{{status="{status}"}}': count for status, count in self.refusals.items()}
        for (model, provider, _), offer in self.tables.offers.items():
            for (status, ending), count in offer.by_status.items():
                labels = f'model="{_label(model)}",provider="{_label(provider)}",status="{status}",ending="{ending}"'
                series = f"halley_requests_total{{{labels}}}"
                values[series] = values.get(series, 0) + count
        values["halley_open_requests"] = len(self.runs)
        values["halley_relay_tasks"] = len(asyncio.all_tasks())
        values["halley_open_large_bodies"] = self.lectern.open
        values["halley_journal_bytes_total"] = self.journal.written
        pressure, label = self.pressure, f'{{relay="{_label(self._station.name)}"}}'
        values[f"halley_loop_lag_ms{label}"] = _ms(pressure.lag_s)
        values[f"halley_memory_bytes{label}"] = pressure.resident
        values[f"halley_memory_blocks{label}"] = self.memory.blocks
        values[f"halley_overloaded{label}"] = int(pressure.reason is not None)
        values["halley_loop_late_total"] = pressure.late
        return values


def _shown(raw: bytes) -> str:
    """A piece of a client's head in a message: printable, bounded, and no key that stands there by mistake."""
    return logs.clean(raw[:200].decode("latin-1").encode("ascii", "backslashreplace").decode())


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _announced(fields: dict[bytes, bytes]) -> int:
    """How long a body says it will be. One that does not say may be as long as it likes."""
    length = fields.get(b"content-length", b"")
    return int(length) if length.isdigit() else sys.maxsize


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _base32(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits = _CROCKFORD[digit] + digits
    return digits
