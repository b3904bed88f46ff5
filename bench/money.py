"""What money costs a request on the hot path: CPU of admission, hold, settlement and their two records, without sockets.

The real checks, leases, tariffs and records of one relay are run by themselves on a request that was read already: what is left out is
reading bytes, choosing an offer and passing the answer on, which a gateway without money does too. Batches are timed beside one of the
reference loop, as in `bench.harness`. `script/bench --money` prints the parts, which are the profile, and their sum.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench.arithmetic import charge, percentile
from bench.canned import CACHED_TOKENS, CHUNKS, PRICES, PROMPT_TOKENS, Wrong, ask
from bench.harness import Rig
from bench.reference import reference
from halley.chat.usage import Usage
from halley.errors import Refused
from halley.net.server import Connection, Request
from halley.policy.settlement import COMPLETE
from halley.serve import admit, routes, settle
from halley.serve.journal import Continuation, JournalWriter
from halley.serve.passage import passage
from halley.serve.relay import Run
from halley.store.journal import End, Record, Start, encode

LIMIT_US = 10.0
REFERENCE_US = 18.0
"""The limit is meant where the reference loop takes so long."""
_BATCH = 64
_REFERENCES = 24
_PATH = b"/v1/chat/completions"
_REPORTED = Usage(PROMPT_TOKENS, CHUNKS, CACHED_TOKENS)
_CHECKS = [check for check in (*admit.UNTIL_READ, *admit.AFTER_READING) if check is not admit.read]


class _Journal:
    """Takes records as the real one does, and writes them when it is told."""

    def __init__(self, path: Path) -> None:
        self.records: list[Record] = []
        self._continuations: list[Continuation] = []
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def append(self, record: Start | End, then: Continuation) -> None:
        self.records.append(record)
        self._continuations.append(then)

    def flush(self) -> None:
        records, self.records, self._continuations = self.records, [], []
        os.write(self._file, encode(records))

    def close(self) -> None:
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class Part:
    """Microseconds of CPU a request."""

    name: str
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Money:
    """The parts in the order in which a request comes to them, and the reference loop's microseconds beside them."""

    parts: tuple[Part, ...]
    reference_us: float

    @property
    def cpu_us(self) -> float:
        return sum(part.cpu_us for part in self.parts)

    @property
    def ratio(self) -> float:
        return self.cpu_us / self.reference_us

    @property
    def on_reference_us(self) -> float:
        """What it would take where the reference loop takes `REFERENCE_US`."""
        return self.ratio * REFERENCE_US

    def __str__(self) -> str:
        lines = [f"{part.name:42} {part.cpu_us:6.2f} us" for part in self.parts]
        total = f"money: {self.cpu_us:.2f} us of CPU a request, {self.ratio:.2f} of the reference loop's {self.reference_us:.1f} us"
        return "\n".join((*lines, f"{total}; {self.on_reference_us:.2f} us where that takes {REFERENCE_US:.0f}, limit {LIMIT_US:.0f}"))


class _Requests:
    """A batch of requests that were read, at one relay."""

    def __init__(self, rig: Rig, journal: _Journal) -> None:
        served = routes.find(b"POST", _PATH)
        assert served is not None
        fields = {b"host": b"127.0.0.1:4100", b"content-type": b"application/json", b"authorization": b"Bearer " + rig.key.encode()}
        connection = cast(Connection, rig.client)
        self.journal = journal
        self.runs: list[Run] = []
        for _ in range(_BATCH):
            request = Request(connection, b"POST", _PATH, b"", fields, ask("json"), "1.1", time.monotonic(), keep=True)
            run = Run(rig.gateway, request, served.route)
            admit.read(run)
            self.runs.append(run)

    def admitted(self) -> None:
        for run in self.runs:
            for check in _CHECKS:
                check(run)

    def held(self) -> None:
        journal = self.journal
        for run in self.runs:
            if run.hold.take():
                journal.append(settle.start(run), run.started)

    def served(self) -> None:
        """What comes between, which is not measured."""
        for run in self.runs:
            run.offer, run.attempts = run.offers[0], 1
            found = passage(run, run.offer)
            assert found is not None and not isinstance(found, Refused)
            run.passage = found
            run.admitted = run.first = run.gateway.monotonic()

    def settled(self) -> None:
        for run in self.runs:
            settle.conclude(run, COMPLETE, 200, _REPORTED, 0)


def _timed(work: Callable[[], object], count: int = 1) -> float:
    began = time.thread_time()
    for _ in range(count):
        work()
    return (time.thread_time() - began) / count


async def _measure(home: Path, batches: int) -> Money:
    rig, journal = Rig(home), _Journal(home / "records")
    real, rig.gateway.journal = rig.gateway.journal, cast(JournalWriter, journal)
    before = rig.gateway.tables.accounts["bench"].spendable
    spent: dict[str, list[float]] = {}
    beside: list[float] = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(batches):
            requests = _Requests(rig, journal)
            steps = (
                ("admission: key, model, worst case, limits", requests.admitted),
                ("hold: lease and start record", requests.held),
                (None, requests.served),
                ("settlement: charge and end record", requests.settled),
            )
            for name, step in steps:
                took = _timed(step) / _BATCH
                if name is not None:
                    spent.setdefault(name, []).append(took)
            _check(journal.records)
            spent.setdefault("both records: encoding and one write", []).append(_timed(journal.flush) / _BATCH)
            beside.append(_timed(reference, _REFERENCES))
            gc.collect(0)
        owed = charge(PROMPT_TOKENS, CACHED_TOKENS, CHUNKS, PRICES) * _BATCH * batches
        left = rig.gateway.tables.accounts["bench"].spendable
        if left != before - owed:
            raise Wrong(f"the lease is {left} instead of {before - owed}")
        parts = tuple(Part(name, percentile(each, 0.05) * 1e6) for name, each in spent.items())
        return Money(parts, percentile(beside, 0.05) * 1e6)
    finally:
        gc.enable()
        journal.close()
        rig.gateway.journal = real
        rig.close()


def _check(records: Sequence[Record]) -> None:
    kinds = [type(record) for record in records]
    if kinds != [Start] * _BATCH + [End] * _BATCH:
        raise Wrong("not every request has a start and an end")


def measure(batches: int = 200) -> Money:
    """Raises Wrong when money is not held and settled to the nano-dollar."""
    with tempfile.TemporaryDirectory(prefix="halley-money-") as home:
        os.makedirs(os.path.join(home, "journal"), exist_ok=True)
        return asyncio.run(_measure(Path(home), batches))
