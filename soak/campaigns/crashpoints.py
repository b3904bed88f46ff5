"""kill -9 at every named crash point, the first time that it is passed and later times, under mixed traffic.

A round is a home of its own. Its first start passes the points of a first start; then each life of the gateway is armed with some points of
relays and some of control, which are hit one after the other. After every life the books hold. One relay and two take turns.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence, Set
from contextlib import closing
from pathlib import Path

from halley import crash
from soak.campaign import Campaign, Effort, Figures, say
from soak.siege import LONG, Siege, siege
from tests.harness.crowd import Crowd
from tests.harness.mixed import MIXED, STUBBORN, desert, over, strike, throw
from tests.harness.simulator import Simulator

# Passed by a first start only, in this order.
_FIRST = (
    "control.migration.begun",
    "control.migration.statement",
    "control.migration.uncommitted",
    "control.migration.committed",
    "control.starter.written",
)
# The latest time at which a point is hit, where few requests pass it; 8 elsewhere.
_LATEST = {
    "relay.progress.written": 2,
    "relay.segment.opened": 1,
    "relay.segment.begun": 1,
    "relay.lease.granted": 3,
    "relay.lease.returned": 1,
    "control.lease.uncommitted": 3,
    "control.lease.committed": 3,
    "control.relay_end.uncommitted": 1,
    "control.relay_end.committed": 1,
    "control.relay_end.unlocked": 1,
    "control.key.uncommitted": 2,
    "control.key.committed": 2,
    "control.payment.uncommitted": 2,
    "control.payment.committed": 2,
    "control.rotation.drafted": 1,
    "control.rotation.uncommitted": 1,
    "control.rotation.committed": 1,
    "control.rotation.backup": 1,
    "control.rotation.wiped": 1,
    "control.rotation.promoted": 1,
}
# Beside SQLite's file lie backups of it, which a rotation of the master key reaches.
_OF_SQLITE = {"control.rotation.backup"}
# Needs another relay that has credit to give back.
_OF_TWO = {"relay.lease.returned"}
_OF_ONE_ROLE = 4
_WAVE = 50
_WAVE_S = 2.0
_LIFE_S = 90.0


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    hits: Counter[str] = Counter()
    requests = crashed = 0
    slowest = 0.0
    with Simulator(place) as simulator:
        for turn in range(effort.rounds):
            # The last round has two relays, so that a single one passes every point.
            workers = 2 - (effort.rounds - 1 - turn) % 2
            with siege(place / f"home-{turn}", simulator, workers, effort.postgres) as besieged:
                _first_start(besieged, hits)
                if effort.postgres is None:
                    _back_up(besieged.gateway.home / "halley.db")
                for points in _lives(dice, workers, _passed(effort)):
                    blow = _live(besieged, dice, points)
                    hits.update(points)
                    found = besieged.audit(blow)
                    besieged.gateway.stop(dice.choice((signal.SIGKILL, signal.SIGTERM)))
            requests += len(found.requests)
            crashed += found.endings["crash"]
            slowest = max(slowest, besieged.slowest_s)
            say(f"{turn + 1} rounds, {hits.total()} crashes, {requests} requests")
    missed = _passed(effort) - hits.keys()
    assert not missed, f"never hit: {sorted(missed)}"
    return {
        "points": len(hits),
        "crashes": hits.total(),
        "fewest_of_a_point": min(hits.values()),
        "requests": requests,
        "ended_crash": crashed,
        "slowest_settled_s": round(slowest, 1),
    }


def _passed(effort: Effort) -> set[str]:
    """The points that a gateway passes on the database of the campaign."""
    return {point for point in crash.POINTS if not point.startswith("move.")} - (_OF_SQLITE if effort.postgres is not None else set())


def _permits(besieged: Siege) -> Path:
    return besieged.gateway.home / crash.PERMITS


def _arm(besieged: Siege, points: Sequence[str], nth: Sequence[int]) -> None:
    place = _permits(besieged)
    place.mkdir(exist_ok=True)
    for point in points:
        (place / point).touch()
    besieged.gateway.environ[crash.VARIABLE] = ",".join(f"{point}:{number}" for point, number in zip(points, nth, strict=True))


def _left(besieged: Siege) -> set[str]:
    return {path.name for path in _permits(besieged).iterdir()}


def _first_start(besieged: Siege, hits: Counter[str]) -> None:
    """A first start that dies at each of its points, and is started again each time."""
    (besieged.gateway.home / "up.lock").touch()
    _arm(besieged, _FIRST, [1] * len(_FIRST))
    _start(besieged)
    assert not _left(besieged), f"not hit by a first start: {_left(besieged)}"
    hits.update(_FIRST)
    besieged.settle_in()
    besieged.gateway.stop()


def _back_up(store: Path) -> None:
    """As a migration would have left it; a rotation of the master key has to reach it."""
    with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(f"{store}.before-0001-from-0000-1")) as copy:
        source.backup(copy)


def _start(besieged: Siege) -> None:
    """As often as a process dies at its point before the node has served: its supervisor gives up then, its owner does not."""
    while True:
        left = _left(besieged)
        try:
            besieged.gateway.start()
        except AssertionError:
            if _left(besieged) == left:
                raise
        else:
            break


def _lives(dice: random.Random, workers: int, passed: Set[str]) -> list[tuple[str, ...]]:
    """Every other point that is passed once, a few of each role to a life."""
    known = [point for point in crash.POINTS if point in passed and point not in _FIRST]
    roles = [[point for point in known if point.startswith(role)] for role in ("relay.", "control.")]
    for points in roles:
        points[:] = [point for point in points if workers > 1 or point not in _OF_TWO]
        dice.shuffle(points)
    relay, control = roles
    lives = range(0, max(len(relay), len(control)), _OF_ONE_ROLE)
    return [(*relay[each : each + _OF_ONE_ROLE], *control[each : each + _OF_ONE_ROLE]) for each in lives]


def _live(besieged: Siege, dice: random.Random, points: tuple[str, ...]) -> float:
    """One life of the gateway, until all its points are hit. A time before the last blow."""
    _arm(besieged, points, [dice.randint(1, _LATEST.get(point, 8)) for point in points])
    _start(besieged)
    limit = time.monotonic() + _LIFE_S
    while True:
        began, left = time.monotonic(), _left(besieged)
        with Crowd(besieged.gateway.url) as crowd:
            throw(crowd, dice, besieged.keys, _WAVE, (*MIXED, STUBBORN, LONG))
            _provoke(besieged, dice, left)
            _hold_out(besieged, crowd, left)
            desert(crowd, dice, 4)
            if not _left(besieged):
                crowd.until(over)
        # Whoever has not got its answer leaves with the wave, except with the last one.
        if not _left(besieged):
            break
        assert began < limit, f"not hit: {sorted(left)}\n{besieged.gateway.logs()[-8000:]}"
    besieged.gateway.environ.pop(crash.VARIABLE)
    return began


def _hold_out(besieged: Siege, crowd: Crowd, left: set[str]) -> None:
    """Everybody reads for a while; until every role has lost a process if that is sooner."""
    limit = time.monotonic() + _WAVE_S
    while time.monotonic() < limit:
        crowd.listen(0.02)
        hit = left - _left(besieged)
        if all(any(point.startswith(role) for point in hit) for role in {point.partition(".")[0] for point in left}):
            break


def _provoke(besieged: Siege, dice: random.Random, left: set[str]) -> None:
    """What traffic alone does not bring about: payments, new keys, a new master key, and relays that die."""
    if any(point.startswith("control.payment.") for point in left):
        for _ in range(2):
            besieged.pay()
    if any(point.startswith("control.key.") for point in left):
        for _ in range(2):
            with contextlib.suppress(OSError, http.client.HTTPException):
                besieged.office("keys.create", name=f"key-{dice.getrandbits(32):x}", account="rich")
    if any(point.startswith("control.rotation.") for point in left):
        with contextlib.suppress(OSError, http.client.HTTPException):
            besieged.office("secrets.rotate")
    if any(point.startswith("control.relay_end.") for point in left) and not any(point.startswith("relay.") for point in left):
        strike(besieged.gateway.children(), dice.choice(besieged.relays))


CAMPAIGN = Campaign("crashpoints", "G2", "kill -9 at every named crash point", Effort(rounds=1), Effort(rounds=50), run, on_postgres=True)
