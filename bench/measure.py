"""The measurements of one row, each of which waits, counts and gives values back. What is compared with what, `bench.run` decides."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import wrk
from bench.arithmetic import Rep
from bench.canned import BODIES, KINDS, Wrong, check_exact, check_meaning
from bench.http import Door, answer
from bench.processes import cpu_s, memory_mb, pinned
from bench.rows import Place, Row

_IDLE_S = 0.3
_IDLE_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Streams:
    """How many long streams a row carries: asked for and reached chunks a second, CPU of the gateway in percent of a core, lag of chunks
    in milliseconds, and upstream streams still open one second after all readers left."""

    streams: int
    asked_per_s: float
    per_s: float
    cpu_percent: float
    lag_p50_ms: float
    lag_p99_ms: float
    left_after_1s: int


@dataclass(frozen=True, slots=True)
class Idle:
    """What streams cost that are open and silent: how many they were, and the memory of each part before and with them, MB."""

    open: int
    before_mb: Mapping[str, float]
    with_mb: Mapping[str, float]

    @property
    def memory_mb(self) -> float:
        """Of the part that holds the streams: the one that grew most."""
        return self.with_mb[max(self.with_mb, key=lambda part: self.with_mb[part] - self.before_mb[part])]

    @property
    def per_stream_kb(self) -> float:
        return (sum(self.with_mb.values()) - sum(self.before_mb.values())) * 1024 / self.open


def cpu_of(row: Row) -> dict[str, float]:
    return {part: sum(map(cpu_s, pids)) for part, pids in row.parts().items()}


def memory_of(row: Row) -> dict[str, float]:
    groups = {**row.parts(), **row.bystanders()}
    return {part: sum(map(memory_mb, pids)) for part, pids in groups.items()}


def _spent(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {part: seconds - before[part] for part, seconds in after.items()}


def wait_until_idle(row: Row) -> None:
    """Waits until the row hardly uses its core any more (3 %), so that work it put off is counted with the load that caused it."""
    end = time.monotonic() + _IDLE_WITHIN_S
    last = sum(cpu_of(row).values())
    while time.monotonic() < end:
        time.sleep(_IDLE_S)
        now = sum(cpu_of(row).values())
        if now - last <= 0.03 * _IDLE_S + 0.001:
            return
        last = now


def repetition(row: Row, kind: str, seconds: int, place: Place) -> Rep:
    before = cpu_of(row)
    totals = wrk.load(row.doors()[kind], kind, row.connections[kind], seconds * row.patience, place.load_core, place.directory)
    busy = _spent(cpu_of(row), before)
    wait_until_idle(row)
    if row.exact and totals.received < totals.answers * len(BODIES[kind]):
        raise Wrong(f"{totals.answers} {kind} answers in {totals.received} bytes: bodies are missing")
    return Rep(totals.answers, totals.seconds, _spent(cpu_of(row), before), sum(busy.values()))


def check_answers(row: Row, count: Mapping[str, int]) -> None:
    for kind in KINDS:
        for _ in range(count[kind]):
            status, body = answer(row.doors()[kind], kind)
            if status != 200:
                raise Wrong(f"status {status} for {kind}: {body[:300]!r}")
            (check_exact if row.exact else check_meaning)(kind, body)


def check_row(row: Row, count: Mapping[str, int]) -> None:
    """Everything that has to be right before a row counts: bodies, a wrong key, and its books over exactly these answers."""
    check_answers(row, count)
    if row.checks_keys:
        door = row.doors()["json"]
        status, body = answer(door, "json", {"Authorization": "Bearer sk-wrong"})
        if status not in (400, 401, 403) or b'"choices"' in body:
            raise Wrong(f"a wrong key is answered with {status}")
    row.check_total(count)


def long_streams(row: Row, count: int, seconds: float, place: Place) -> Streams:
    door = row.doors()["paced"]
    command = [sys.executable, "-m", "bench.streams", "--url", door.url, "--streams", str(count), "--seconds", f"{seconds:g}"]
    root = Path(__file__).parent.parent
    reader = subprocess.Popen(
        pinned(place.load_core, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    )
    assert reader.stdin and reader.stdout and reader.stderr
    reader.stdin.write(json.dumps(door.fields))
    reader.stdin.close()
    line = ""
    cpu: dict[str, float] = {}
    for line in reader.stdout:
        cpu[line.strip()] = sum(cpu_of(row).values())
    if reader.wait(30):
        raise Wrong(f"{count} streams: {reader.stderr.read()[-500:].strip()}")
    result = json.loads(line)
    time.sleep(1.0)
    left = streams_open(place)
    return Streams(
        streams=count,
        asked_per_s=count * 50.0,
        per_s=result["per_s"],
        cpu_percent=(cpu["to"] - cpu["from"]) / result["seconds"] * 100,
        lag_p50_ms=result["lag_p50_ms"],
        lag_p99_ms=result["lag_p99_ms"],
        left_after_1s=left,
    )


def idle_streams(row: Row, count: int, place: Place) -> Idle:
    """Opens so many, waits until each has brought its first chunk, and looks at the memory while all are silent."""
    door = row.doors()["idle"]
    before = _memory_of_parts(row)
    command = [sys.executable, "-m", "bench.idle", "--url", door.url, "--streams", str(count)]
    root = Path(__file__).parent.parent
    holder = subprocess.Popen(
        pinned(place.load_core, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    )
    assert holder.stdin and holder.stdout and holder.stderr
    try:
        holder.stdin.write(json.dumps(door.fields) + "\n")
        holder.stdin.flush()
        if holder.stdout.readline() != "open\n":
            raise Wrong(f"{count} idle streams: {holder.stderr.read()[-500:].strip()}")
        if (there := streams_open(place)) < count:
            raise Wrong(f"of {count} idle streams the upstream has {there}")
        return Idle(count, before, _memory_of_parts(row))
    finally:
        holder.stdin.close()
        holder.wait(60)


def _memory_of_parts(row: Row) -> dict[str, float]:
    return {part: sum(map(memory_mb, pids)) for part, pids in row.parts().items()}


def streams_open(place: Place) -> int:
    """How many streams the paced upstream is still sending."""
    connection = Door(f"http://127.0.0.1:{place.upstreams['paced']}/", {}).connect()
    try:
        connection.request("GET", "/open")
        return int(json.loads(connection.getresponse().read())["open"])
    finally:
        connection.close()
