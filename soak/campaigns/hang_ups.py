"""Clients of every dialect that hang up at every place of an answer's life: one row and one ending each, the upstream let go, the charge as
the settlement table says and the simulator's bill bears out.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak.campaign import Campaign, Effort, Figures, say
from soak.leavers import CUTS, PROBE, Leaver, configuration, leavers
from tests.harness import books
from tests.harness.audit import Audited, audit
from tests.harness.crowd import WAYS, Crowd
from tests.harness.gateway import Gateway
from tests.harness.postgres import stored
from tests.harness.priced import customer, encoded
from tests.harness.process import LIMIT_S, until
from tests.harness.settlement import Request
from tests.harness.simulator import Simulator

# Turns at once: of 24 clients half have an upstream that bills to the end, and 64 such answers are read for nobody at a time.
_AT_ONCE = 5
# Within which an upstream that can be cancelled is let go; the bound is ten times that, for whatever else the machine does.
_PROMISED_S = 1.0
_BOUND_S = 10 * _PROMISED_S
# How likely a client that does not wait is to go at once, with those that came before it.
_GOING = 0.2
_GAUGES = ("halley_open_requests", "halley_open_holds")


@dataclass(slots=True)
class Tally:
    """What was seen. `let_go` are the seconds from each hang-up to the end of its upstream's answer, where that could be cancelled."""

    clients: int = 0
    crossed: int = 0
    rows: int = 0
    ended_first: int = 0
    endings: Counter[str] = field(default_factory=Counter[str])
    let_go: list[float] = field(default_factory=list[float])


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` of every place, dialect, cancel rule and way of telling usage."""
    dice = random.Random(effort.seed)
    tally = Tally()
    found = Audited(())
    with Simulator(place) as simulator:
        everybody = [leaver for cut in CUTS for leaver in leavers(cut, random.Random(0), range(effort.rounds))]
        unread = {leaver.model for leaver in everybody if not leaver.sees_all}
        gateway = stored(Gateway(place, configuration(simulator.url, everybody)), effort.postgres)
        with gateway:
            key = customer(gateway, "leaver", "50000")
            for cut in CUTS:
                gone: list[Leaver] = []
                for first in range(0, effort.rounds, _AT_ONCE):
                    turns = range(first, min(first + _AT_ONCE, effort.rounds))
                    cast = tuple(leavers(cut, dice, turns))
                    _hang_up(gateway, simulator, key, cast, dice)
                    gone += cast
                found = audit(gateway, simulator, unread=unread)
                _judge(gone, tally, found, _rows(gateway), _calls(simulator))
                say(f"{cut.name}: {tally.clients} clients, {dict(tally.endings)}")
            _check_gauges(gateway)
    assert tally.ended_first * 20 <= tally.clients, f"{tally.ended_first} answers had ended before their clients left"
    return {
        "streams": tally.clients,
        "crossed": tally.crossed,
        "rows": tally.rows,
        **{f"ended_{ending}": count for ending, count in sorted(tally.endings.items())},
        "ended_before_the_client_left": tally.ended_first,
        "cancelled": len(tally.let_go),
        "let_go_p99_s": round(statistics.quantiles(tally.let_go, n=100)[-1], 3),
        "let_go_worst_s": round(max(tally.let_go), 3),
        "let_go_late": sum(seconds > _PROMISED_S for seconds in tally.let_go),
        "charges_nano": found.charges,
        "bill_nano": found.bill,
    }


def _hang_up(gateway: Gateway, simulator: Simulator, key: str, cast: Sequence[Leaver], dice: random.Random) -> None:
    """Each comes, and goes when its place is reached; returns when the upstream has nothing more to say."""
    cut = cast[0].cut
    asked = simulator.state()["requests"]
    with Crowd(gateway.url) as crowd:
        staying: list[Leaver] = []
        for leaver in cast:
            leaver.member = crowd.join(leaver.request(key))
            staying.append(leaver)
            # Some go together, so that the first of them has got farther than the last.
            if cut.comes == "sent" and dice.random() < _GOING:
                _leave(crowd, staying)
                staying.clear()
        if cut.comes == "asked":
            until(lambda: simulator.state()["requests"] >= asked + len(cast), lambda: f"not all were sent on: {simulator.state()}")
        if cut.comes != "seen":
            _leave(crowd, staying)
            staying.clear()
        limit = time.monotonic() + LIMIT_S
        while staying:
            assert time.monotonic() < limit, f"{staying[0].name} got {bytes(staying[0].received)!r}"
            crowd.listen(0.05)
            _leave(crowd, [leaver for leaver in staying if cut.seen(leaver)])
            staying = [leaver for leaver in staying if not leaver.left_at]
        # What came before this one was heard before it, and is on its way or over.
        crowd.ask(key, encoded(PROBE))
        crowd.until(lambda member: member.whole)
        until(lambda: simulator.state()["open_streams"] == 0, lambda: f"still open: {simulator.state()}")
    for leaver in cast:
        if leaver.way == "half-close":
            _read_out(leaver)


def _leave(crowd: Crowd, going: Iterable[Leaver]) -> None:
    for leaver in going:
        leaver.left_at = time.time()
        crowd.dismiss(leaver.there, WAYS[leaver.way])


def _read_out(leaver: Leaver) -> None:
    """Who has closed its own half gets an end of the other one, too."""
    connection = leaver.there.connection
    connection.settimeout(LIMIT_S)
    with contextlib.closing(connection), contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


def _judge(gone: Iterable[Leaver], tally: Tally, found: Audited, rows: Mapping[str, list[str]], calls: Mapping[str, list[Any]]) -> None:
    """Raises AssertionError that names the client and what is wrong."""
    known = {request.id: request for request in found.requests}
    for leaver in gone:
        requests = [known[id] for id in rows.get(leaver.name, ())]
        tally.clients += 1
        tally.crossed += leaver.crossed
        tally.rows += len(requests)
        if leaver.cut.sent != "whole":
            assert not requests, f"{leaver.name} never asked: {requests}"
            continue
        assert len(requests) == 1 or (leaver.cut.comes == "sent" and not requests), f"{leaver.name} has {requests}"
        for request in requests:
            (call,) = calls.get(request.id) or (None,)
            tally.endings[request.ending] += 1
            if call is not None and call["outcome"] == "complete" and call["closed"] <= leaver.left_at:
                tally.ended_first += not leaver.cut.closing
            else:
                _judge_one(leaver, request, call)
            if call is not None and call["outcome"] == "hung-up":
                tally.let_go.append(call["closed"] - leaver.left_at)
                assert tally.let_go[-1] < _BOUND_S, f"{leaver.name}: its upstream was let go after {tally.let_go[-1]:.1f} s"


def _judge_one(leaver: Leaver, request: Request, call: Any) -> None:
    """One that left before its upstream had ended: which ending, how counted, and whether the upstream could go on."""
    wanted = {"left"} if leaver.cancels else {"drained"}
    if leaver.cut.comes == "sent":
        wanted |= {"failed"}  # before it was sent on
    if leaver.cut.closing:
        wanted |= {"complete", "unreported"}
    assert request.ending in wanted, f"{leaver.name} ({leaver.model}): {request}"
    if request.ending == "failed":
        assert call is None, f"{leaver.name} was sent on: {request}"
        return
    assert call is not None, f"{leaver.name} was never sent on: {request}"
    if not leaver.cancels:
        assert call["outcome"] == "complete" and not call["cancelled"], f"{leaver.name}: what bills to its end was not read: {call}"
        assert request.estimated == (leaver.usage == "never"), f"{leaver.name} ({leaver.model}): {request}"
        assert leaver.usage == "never" or request.loss == 0, f"{leaver.name}: {request}"
    elif not leaver.cut.closing:
        assert call["outcome"] == "hung-up", f"{leaver.name}: its upstream went on: {call}"


def _rows(gateway: Gateway) -> Mapping[str, list[str]]:
    """Requests by the name that their clients gave them."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    with books.store(gateway.home) as connection:
        for id, name in connection.execute("SELECT id, client_request_id FROM requests"):
            found[name].append(id)
    return found


def _calls(simulator: Simulator) -> Mapping[str, list[Any]]:
    """What the upstream was asked, by Halley's id of the request."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for call in simulator.bill()["attempts"]:
        found[call["request_id"]].append(call)
    return found


def _check_gauges(gateway: Gateway) -> None:
    """Nothing is held any more."""

    def held() -> list[str]:
        lines = gateway.client().ask("GET", "/metrics").body().decode().splitlines()
        gauges = [line for line in lines if line.startswith(_GAUGES)]
        assert gauges, lines
        return [line for line in gauges if not line.endswith(" 0")]

    until(lambda: not held(), lambda: f"still held: {held()}")


_ABOUT = "clients of every dialect that hang up at every place of an answer's life"
CAMPAIGN = Campaign("hang-ups", "G3", _ABOUT, Effort(rounds=5), Effort(rounds=20), run, on_postgres=True)
