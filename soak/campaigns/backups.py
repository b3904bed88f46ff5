"""Backups under load, each restored in an empty home: clean, nearly up to date, its key and its open holds good. And stores of every
schema, taken on by a gateway that serves at once, and put back to what they were.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from soak.callers import Callers
from soak.campaign import Campaign, Effort, Figures, say
from tests.harness import books
from tests.harness.audit import audit
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.postgres import Server, stored
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator
from tests.store import tagged
from tests.store.test_steps import HEAD, KNOWN, TAG, at
from tests.store.test_tags import facts

_PER_S = 200
_MODEL = "sim/tokens-5"
# Open while a backup is made, with progress in the ledger: it has more pieces than a progress record waits for.
_LONG = "sim/tokens-3900+slow-2ms"
_OPEN = 8
_ASKED = 40
# Longer than a node is not seen before another one ends what it left open.
_LOST_S = 1000
# What a copy may lack of what was answered, and the bound, for whatever else the machine does.
_PROMISED_S = 1.0
_BOUND_S = 10 * _PROMISED_S


class Copy(NamedTuple):
    """A backup, and when its command began and ended, `time.monotonic()`."""

    path: Path
    began: float
    ended: float


class Kept(NamedTuple):
    """What a store says of a request; `charge` is that of its last progress while it is open."""

    at: float
    ending: str
    charge: int


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` backups, and as many schemas, the newest first."""
    behind, windows, ended = [], [], 0
    with Simulator(place) as simulator:
        toml = configuration(simulator.url, (_MODEL, _LONG))
        with stored(Gateway(place, toml, workers=2), effort.postgres) as gateway:
            key = customer(gateway, "steady", "50000")
            callers = Callers(gateway.url, key, random.Random(effort.seed), (_MODEL,), _PER_S)
            copies = asyncio.run(_copies(gateway, callers, key, effort.rounds))
            failures = callers.outcomes - Counter(served=callers.outcomes["served"])
            assert not failures, f"{failures.most_common(3)}\n{gateway.logs()[-3000:]}"
            audit(gateway, simulator)
            original = _kept(gateway)
        for copy in copies:
            restored = _restored(place / f"of-{copy.path.name}", toml, copy, gateway, effort.postgres)
            copied = _kept(restored)
            wrong = {id: (kept, original[id]) for id, kept in copied.items() if kept.ending and kept != original[id]}
            assert not wrong, f"the copy is not what was: {wrong}"
            behind.append(_behind(copied, callers.heard, copy.began))
            windows.append(_behind(copied, callers.heard, copy.ended))
            assert windows[-1] < _BOUND_S, f"{copy.path.name} lacks what was answered {windows[-1]:.2f} s before it was done"
            ended += _go_on(restored, simulator, key)
            say(f"{copy.path.name}: {len(copied)} requests, {windows[-1]:.3f} s behind, {ended} open holds ended")
        upgraded = [_upgrade(place / f"from-{revision}", revision, simulator) for revision in KNOWN[::-1][: effort.rounds]]
    return {
        "backups": len(copies),
        "requests": len(callers.calls),
        "took_worst_s": round(max(copy.ended - copy.began for copy in copies), 2),
        "behind_begin_worst_s": round(max(behind), 3),
        "behind_end_worst_s": round(max(windows), 3),
        "behind_end_late": sum(window > _PROMISED_S for window in windows),
        "open_holds_ended": ended,
        "schemas_taken_on": len(upgraded),
        "taken_back": sum(upgraded),
    }


def _behind(copied: Mapping[str, Kept], heard: Mapping[str, float], moment: float) -> float:
    """How long before that moment the first answer was whole whose end the copy lacks; seconds."""
    lacking = [when for id, when in heard.items() if when <= moment and not (id in copied and copied[id].ending)]
    return max((moment - when for when in lacking), default=0.0)


async def _copies(gateway: Gateway, callers: Callers, key: str, rounds: int) -> Sequence[Copy]:
    over = asyncio.Event()
    calling = asyncio.create_task(callers.call_until(over))
    made: list[Copy] = []
    for number in range(rounds):
        path = gateway.place / f"copy-{number}"
        await asyncio.sleep(1.0)
        made.append(await asyncio.to_thread(_copy, gateway, key, path))
    over.set()
    await calling
    return made


def _copy(gateway: Gateway, key: str, path: Path) -> Copy:
    with Crowd(gateway.url) as crowd:
        for _ in range(_OPEN):
            crowd.ask(key, encoded(_LONG, stream=True))
        crowd.until(lambda member: member.received.count(b"data: ") > 1500)
        began = time.monotonic()
        done = gateway.cli_json("backup", str(path))
        ended = time.monotonic()
    assert done["found"]["differences"] == [], done
    return Copy(path, began, ended)


def _restored(place: Path, toml: str, copy: Copy, of: Gateway, server: Server | None) -> Gateway:
    """A gateway, not started yet, in a new home that was made from the copy and the master key alone."""
    gateway = Gateway(place, toml)
    gateway.home.mkdir(mode=0o700, parents=True)
    shutil.copy(of.home / "master.key", gateway.home / "master.key")
    if server is None:
        shutil.copy(copy.path, gateway.home / "halley.db")
    else:
        name = server.restore(copy.path)
        # A quarter of an hour later, when it is certain that the nodes of the copy are gone.
        server.sql(f"UPDATE nodes SET seen_at = seen_at - {_LOST_S}", name)  # noqa: S608 (a number of ours)
        server.hold(gateway, name)
    return gateway


def _go_on(gateway: Gateway, simulator: Simulator, key: str) -> int:
    """It serves; how many requests that were open are ended as after a crash, by what had been booked of them."""
    before = _kept(gateway)
    after = _serve(gateway, simulator, key, _MODEL)
    opened = {id: kept for id, kept in before.items() if not kept.ending}
    wanted = before | {id: kept._replace(ending="crash") for id, kept in opened.items()}
    assert {id: after[id] for id in before} == wanted, "requests of the copy have changed, or open ones were not ended by their progress"
    return len(opened)


def _serve(gateway: Gateway, simulator: Simulator, key: str, model: str) -> dict[str, Kept]:
    """A start in that home, with some requests at once: they are served, what was open has ended, the books agree. All requests."""
    simulator.reset()
    since = time.time()
    with gateway, Crowd(gateway.url) as crowd:
        for number in range(_ASKED):
            crowd.ask(key, encoded(model, stream=bool(number % 2)))
        crowd.until(lambda member: member.whole)
        assert {member.status for member in crowd} == {200}, {bytes(member.received[:300]) for member in crowd}
        until(lambda: all(kept.ending for kept in _kept(gateway).values()), lambda: f"still open:\n{gateway.logs()[-3000:]}")
        assert len(audit(gateway, simulator, since=since).requests) == _ASKED
        return _kept(gateway)


def _upgrade(place: Path, revision: str, simulator: Simulator) -> int:
    """A store of that schema, with an open hold, is in use at once; so is, in another home, the copy that the step has left beside it. How
    many copies there were."""
    known = facts(TAG)
    toml = configuration(simulator.url, tagged.MODELS)
    key = tagged.PREFIX + known["keys"]["good"]
    gateway = Gateway(place / "new", toml)
    gateway.place.mkdir(parents=True)
    at(revision, gateway.home)
    after = _serve(gateway, simulator, key, tagged.MODELS[0])
    assert after[known["open"]].ending == "crash" and after[known["open"]].charge > 0, f"{revision}: {after[known['open']]}"
    copies = sorted(gateway.home.glob(f"halley.db.before-{HEAD}-from-{revision}-*"))
    assert len(copies) == (revision != HEAD), f"{revision}: {copies}"
    for copy in copies:
        back = Gateway(place / "back", toml)
        back.home.mkdir(mode=0o700, parents=True)
        shutil.copy(gateway.home / "master.key", back.home / "master.key")
        shutil.copy(copy, back.home / "halley.db")
        again = _serve(back, simulator, key, tagged.MODELS[0])
        assert {id: again[id] for id in after if id in again} == {id: kept for id, kept in after.items() if id in again}, revision
        assert again.keys() & after.keys() >= {known["open"]}, f"{revision}: the copy lacks what was open"
    return len(copies)


def _kept(gateway: Gateway) -> dict[str, Kept]:
    """Every request of the store."""
    query = "SELECT id, at, ending, CASE WHEN ending IS NULL THEN coalesce(progress_charge, 0) ELSE charge END FROM requests"
    with books.store(gateway.home) as connection:
        return {id: Kept(at, ending or "", charge) for id, at, ending, charge in connection.execute(query)}


_ABOUT = "backups under load, restored in an empty home; stores of every schema taken on and taken back"
CAMPAIGN = Campaign("backups", "G35", _ABOUT, Effort(rounds=2), Effort(rounds=len(KNOWN)), run, on_postgres=True)
