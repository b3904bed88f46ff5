"""One run: starts the fakes and the rows, checks every row, interleaves short loads in random order, and puts the figures together.

A row that fails a check is left out of the figures and named with the reason; it never stands there with a number that was not earned.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired

from bench import http, measure, nginx
from bench.arithmetic import Figure, Rep, figure
from bench.canned import KINDS, Wrong
from bench.http import Door, Light
from bench.measure import Idle, Streams
from bench.processes import NotReady, Program, pinned
from bench.rows import Place, Row, Started

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything takes. Loads are short and many, because a shared machine is quiet for seconds only."""

    rounds: int
    load_s: int
    light_rounds: int
    light_s: float
    light_per_s: float
    streams: int
    stream_s: float
    idle: int  # streams that are open and silent; 0 leaves them out
    checks: Mapping[str, int] = field(default_factory=lambda: {"json": 40, "sse": 10})


FULL = Plan(rounds=6, load_s=2, light_rounds=3, light_s=3.0, light_per_s=150.0, streams=1000, stream_s=5.0, idle=9000)
SHORT = Plan(rounds=3, load_s=2, light_rounds=2, light_s=1.5, light_per_s=150.0, streams=1000, stream_s=3.0, idle=0)


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that a run says about one row."""

    name: str
    note: str
    start: Started
    figures: Mapping[str, Figure]
    light: Light | None
    streams: Streams | None
    streams_fault: str
    idle: Idle | None
    idle_fault: str
    memory_mb: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Result:
    """The rows that count, the direct light load they are compared with, and why other rows do not count."""

    rows: Sequence[Measured]
    direct: Light
    refused: Mapping[str, str]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def start_fakes(stack: ExitStack, place: Place) -> None:
    stack.callback(nginx.start_upstream(place.directory, place.upstreams, place.load_core).stop)
    command = [sys.executable, "-m", "bench.paced", "--port", str(place.upstreams["paced"])]
    program = Program(pinned(place.load_core, command), place.directory / "paced.log", cwd=ROOT)
    stack.callback(program.stop)
    program.wait_until(lambda: http.serves(f"http://127.0.0.1:{place.upstreams['paced']}", "/open"), nginx.START_S)


class Run:
    """The rows of one run and what was measured so far."""

    __slots__ = (
        "_idle",
        "_idle_fault",
        "_lights",
        "_memory",
        "_place",
        "_plan",
        "_reps",
        "_started",
        "_streams",
        "_streams_fault",
        "refused",
        "rows",
    )

    def __init__(self, plan: Plan, place: Place, rows: Sequence[Row]) -> None:
        self._plan = plan
        self._place = place
        self.rows = list(rows)
        self.refused: dict[str, str] = {}
        self._started: dict[str, Started] = {}
        self._reps: dict[tuple[str, str], list[Rep]] = {(row.name, kind): [] for row in rows for kind in KINDS}
        self._lights: dict[str, list[float]] = {row.name: [] for row in rows} | {"direct": []}
        self._streams: dict[str, Streams] = {}
        self._streams_fault: dict[str, str] = {}
        self._idle: dict[str, Idle] = {}
        self._idle_fault: dict[str, str] = {}
        self._memory: dict[str, dict[str, float]] = {}

    def measure(self) -> Result:
        with ExitStack() as stack:
            start_fakes(stack, self._place)
            for row in list(self.rows):
                stack.callback(row.stop)
                self._guarded(row, lambda row=row: self._begin(row))
            self._loads()
            self._light_loads()
            for row in list(self.rows):
                self._guarded(row, lambda row=row: measure.check_answers(row, {"json": 2, "sse": 2}))
            for row in list(self.rows):
                say(f"{row.name}: {self._plan.streams} streams")
                self._long_streams(row)
            for row in list(self.rows):
                self._memory[row.name] = measure.memory_of(row)
            for row in list(self.rows):
                self._idle_streams(row)
                self._guarded(row, row.check_books)
            return self._result()

    def _begin(self, row: Row) -> None:
        say(f"{row.name}: start and checks")
        self._started[row.name] = row.start()
        measure.check_row(row, self._plan.checks)
        for _ in range(row.warm_up):
            http.answer(row.doors()["json"], "json")

    def _loads(self) -> None:
        for number in range(self._plan.rounds):
            turns = [(row, kind) for row in self.rows for kind in KINDS]
            random.shuffle(turns)
            for row, kind in turns:
                if row in self.rows:
                    say(f"round {number + 1} of {self._plan.rounds}: {row.name} {kind}")
                    self._guarded(row, lambda row=row, kind=kind: self._load(row, kind))

    def _load(self, row: Row, kind: str) -> None:
        self._reps[row.name, kind].append(measure.repetition(row, kind, self._plan.load_s, self._place))

    def _light_loads(self) -> None:
        direct = Door(f"http://127.0.0.1:{self._place.upstreams['json']}{nginx.PATH}", {})
        for number in range(self._plan.light_rounds):
            say(f"light load {number + 1} of {self._plan.light_rounds}")
            self._lights["direct"] += self._light(direct)
            for row in list(self.rows):
                self._guarded(row, lambda row=row: self._lights[row.name].extend(self._light(row.doors()["json"])))

    def _light(self, door: Door) -> list[float]:
        return http.light_load(door, self._plan.light_per_s, self._plan.light_s)

    def _long_streams(self, row: Row) -> None:
        """Not all gateways hold a thousand streams; those who do not keep their other figures, with the fault beside them."""
        try:
            self._streams[row.name] = measure.long_streams(row, self._plan.streams, self._plan.stream_s, self._place)
        except (Wrong, TimeoutExpired) as fault:
            self._streams_fault[row.name] = str(fault)
        self._until_all_left()

    def _idle_streams(self, row: Row) -> None:
        """As with long streams: a row that does not hold them keeps its other figures. Last, because nothing gives all the memory back."""
        if not self._plan.idle:
            return
        say(f"{row.name}: {self._plan.idle} idle streams")
        try:
            self._idle[row.name] = measure.idle_streams(row, self._plan.idle, self._place)
        except (Wrong, OSError, TimeoutExpired) as fault:
            self._idle_fault[row.name] = str(fault)
        self._until_all_left()

    def _until_all_left(self) -> None:
        end = time.monotonic() + 10
        while measure.streams_open(self._place) and time.monotonic() < end:
            time.sleep(0.2)

    def _guarded(self, row: Row, work: Callable[[], None]) -> None:
        """Takes a row out of the run, with the reason, when it fails."""
        try:
            work()
        except (Wrong, NotReady, OSError, TimeoutExpired) as fault:
            self.refused[row.name] = str(fault)
            self.rows.remove(row)
            say(f"{row.name} does not count: {fault}")

    def _result(self) -> Result:
        rows = [
            Measured(
                name=row.name,
                note=row.note,
                start=self._started[row.name],
                figures={kind: figure(self._reps[row.name, kind]) for kind in KINDS},
                light=http.light(self._lights[row.name]),
                streams=self._streams.get(row.name),
                streams_fault=self._streams_fault.get(row.name, ""),
                idle=self._idle.get(row.name),
                idle_fault=self._idle_fault.get(row.name, ""),
                memory_mb=self._memory[row.name],
            )
            for row in self.rows
        ]
        return Result(rows, http.light(self._lights["direct"]), self.refused)
