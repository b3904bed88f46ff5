"""An hour at 100 requests a second with faults on both sides: nothing grows, nothing is lost, and the books agree every minute.

A minute is load on a fixed schedule, every fifth with `ledger verify` in its middle. Then a consistent cut: the load rests until everything
has ended, the ledger is held against the simulator's bill for that minute, and the bill is emptied, so that the simulator does not grow.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.arithmetic import percentile
from soak.campaign import Campaign, Effort, Figures, say
from soak.load import Load
from soak.mix import BILLED_TO_END, LONG, MIX, SERVED, Dealer
from soak.watch import LagWatch, Taken, figures, lost, slope, taken
from tests.harness.audit import VERIFY_S, audit
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.postgres import stored
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

RATE = 100.0
WORKERS = 2
WARM_UP_S = 900.0
# A reading in ten seconds, least squares over what comes after the warm-up: MiB per hour and process.
SLOPE_MIB = 4.0
# Blocks in use at rest in a relay, from the first cut after the warm-up to the last: a leak of one object in fifty requests shows.
BLOCKS = 0.02
# Of a run that is too short for a slope: MiB from the first cut to the last.
GROWTH_MIB = 24.0
# How many more files a process may have open after the load than at its first rest. Kept upstream connections are as many as the busiest
# moment needed, and go when they have been idle for `pool_idle_seconds`: that is waited for.
DESCRIPTORS = 4
LET_GO_S = 180.0
LAG_S = 2.0
# The share of due requests that a relay may refuse as overloaded, when the machine has other work.
SHED = 0.01
_READING_S = 10.0
_QUIET_S = 60.0


@dataclass
class Hour:
    """What is seen on the way."""

    gateway: Gateway
    simulator: Simulator
    load: Load
    seconds: float
    since: float = 0.0
    began: float = field(default_factory=time.monotonic)
    memory: defaultdict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    cuts: list[dict[str, Taken]] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)
    blocks: list[tuple[float, int]] = field(default_factory=list)
    requests: int = 0
    charges: int = 0
    bill: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    verifying_s: list[float] = field(default_factory=list)

    def flow(self, seconds: float) -> None:
        """Load for so long, with readings, and now and then a look at the ledger in the middle."""
        self.load.flow()
        began = reading = time.monotonic()
        end = began + seconds
        # It reads all there is, so not every time; every cut does it too.
        verifying = began + seconds / 2 if len(self.cuts) % 5 == 0 else end
        while (now := time.monotonic()) < end:
            if now >= reading:
                reading += _READING_S
                self._read()
            if now >= verifying:
                verifying = end
                self._verify()
            time.sleep(max(min(end, reading, verifying) - time.monotonic(), 0.01))
        self.load.pause()

    def cut(self) -> None:
        """Waits until nothing is under way, audits what came since the last cut, and empties the bill."""
        until(lambda: self.load.open == 0, lambda: f"{self.load.open} requests do not end", _QUIET_S)
        until(lambda: self._idle(), lambda: f"something is still open: {dict(figures(self.gateway))}", _QUIET_S)
        quiet = time.time()
        found = audit(self.gateway, self.simulator, unread=(LONG,), since=self.since)
        self.since = quiet
        self.simulator.reset()
        self.requests += len(found.requests)
        self.charges += found.charges
        self.bill += found.bill
        self.endings += found.endings
        seen = figures(self.gateway)
        self.tasks.append(seen["halley_relay_tasks"])
        blocks = sum(value for series, value in seen.items() if series.startswith("halley_memory_blocks"))
        self.blocks.append((time.monotonic() - self.began, blocks))
        self.cuts.append({name: taken(pid) for name, pid in self._processes().items()})
        assert not self.load.odd, f"answers that are not right: {dict(self.load.odd.most_common(5))}"
        assert self.load.shed <= max(SHED * self.load.sent, 20), f"{self.load.shed} of {self.load.sent} requests were refused as overload"
        now = self.cuts[-1]
        memory = ", ".join(f"{name} {each.memory:.0f}" for name, each in now.items())
        say(f"{self.load.sent} sent, {len(found.requests)} audited; MiB: {memory}")

    def let_go(self) -> None:
        """Waits until what was kept for the next minute's load is closed."""

        def open_files() -> dict[str, int]:
            return {name: taken(pid).descriptors - self.cuts[0][name].descriptors for name, pid in self._processes().items()}

        until(
            lambda: all(more <= DESCRIPTORS for more in open_files().values()),
            lambda: f"more open files than at the first rest, and they stay: {open_files()}",
            LET_GO_S,
        )

    def churn(self, turn: int) -> None:
        """A key is made, serves, is revoked, and serves no more."""
        name = f"passing-{turn}"
        key = self.gateway.cli_json("keys", "create", "--name", name, "--account", "first")["key"]
        until(lambda: self._status(key) == 200, lambda: "a new key is not served")
        self.gateway.cli("keys", "revoke", name)
        until(lambda: self._status(key) == 401, lambda: "a revoked key is served", 5.0)

    def _status(self, key: str) -> int:
        return ask(self.gateway.url, "POST", "/v1/chat/completions", encoded("sim/echo"), key=key)[0]

    def _idle(self) -> bool:
        seen = figures(self.gateway)
        return seen["halley_open_requests"] == 0 and seen["halley_open_holds"] == 0 and self.simulator.state()["open_streams"] == 0

    def _processes(self) -> dict[str, int]:
        return {"supervisor": self.gateway.pid, **self.gateway.children()}

    def _read(self) -> None:
        at = time.monotonic() - self.began
        for name, pid in self._processes().items():
            self.memory[name].append((at, taken(pid).memory))

    def _verify(self) -> None:
        began = time.monotonic()
        done = self.gateway.cli("ledger", "verify", "--json", check=False, limit_s=VERIFY_S)
        assert json.loads(done.stdout)["differences"] == [], done.stdout
        self.verifying_s.append(time.monotonic() - began)


def run(place: Path, effort: Effort) -> Figures:
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(place))
        gateway = Gateway(place, configuration(simulator.url, SERVED, bills_to_end=BILLED_TO_END), workers=WORKERS)
        stack.enter_context(stored(gateway, effort.postgres))
        keys = tuple(customer(gateway, name, "50000") for name in ("first", "second", "third"))
        processes = gateway.children()
        load = stack.enter_context(Load(gateway.url, Dealer(random.Random(effort.seed), keys), RATE))
        watch = stack.enter_context(LagWatch(gateway.url, WORKERS))
        hour = Hour(gateway, simulator, load, effort.seconds)
        left, turn, minute = effort.seconds, 0, min(60.0, effort.seconds / 3)
        while left > 0.5:
            hour.flow(min(minute, left))
            left -= minute
            hour.churn(turn)
            hour.cut()
            turn += 1
        hour.let_go()
        assert gateway.children() == processes, f"a process has died: {processes} became {gateway.children()}"
        return _judged(hour, watch)


def _judged(hour: Hour, watch: LagWatch) -> Figures:
    gateway, load = hour.gateway, hour.load
    assert load.missed == 0, f"{load.missed} due requests were not sent, because {load.most_open} were open"
    assert load.sent >= 0.99 * RATE * hour.seconds, f"only {load.sent} requests were sent"
    unmet = {kind.name for kind in MIX} - {name for name, _, _ in load.seen} if load.sent > 10_000 else set[str]()
    assert not unmet, f"kinds that were never asked: {unmet}"
    assert not (lines := list(lost(gateway))), f"{len(lines)} lines of the log speak of a lost exception: {lines[0]}"
    assert watch.lags and not watch.fault, f"the relays did not say their lag: {len(watch.relays)} were met. {watch.fault}"
    lag = percentile(watch.lags, 0.99)
    assert lag < LAG_S, f"p99 of the journal lag is {lag:.2f} s, the longest {max(watch.lags):.1f} s"
    first, last = hour.cuts[0], hour.cuts[-1]
    growth: dict[str, float] = {}
    for name, each in last.items():
        assert each.threads <= first[name].threads + 1, f"{name} had {first[name].threads} threads at rest, now {each.threads}"
        readings = [reading for reading in hour.memory[name] if reading[0] >= WARM_UP_S]
        if hour.seconds >= 2 * WARM_UP_S:
            growth[f"{name}_mib_per_hour"] = round(slope(readings) * 3600, 2)
        else:
            growth[f"{name}_mib_grown"] = round(each.memory - first[name].memory, 2)
    assert hour.tasks[-1] <= hour.tasks[0] + 2, f"tasks of the relays at rest: {hour.tasks}"
    blocks = [count for at, count in hour.blocks if at >= WARM_UP_S] or [hour.blocks[0][1], hour.blocks[-1][1]]
    assert blocks[-1] <= blocks[0] * (1 + BLOCKS) or hour.seconds < 2 * WARM_UP_S, f"blocks in use at rest grew: {blocks}"
    bound = SLOPE_MIB if hour.seconds >= 2 * WARM_UP_S else GROWTH_MIB
    assert all(value <= bound for value in growth.values()), f"memory grows by more than {bound} MiB: {growth}"
    statuses = {f"status_{status or 'none'}": count for status, count in sorted(load.statuses().items())}
    return {
        "sent": load.sent,
        "most_open": load.most_open,
        "latest_s": round(load.latest_s, 2),
        "shed": load.shed,
        "audits": len(hour.cuts),
        "audited": hour.requests,
        "charges_nano": hour.charges,
        "bill_nano": hour.bill,
        "lag_p99_s": lag,
        "lag_max_s": max(watch.lags),
        "lag_readings": len(watch.lags),
        "relays_read": len(watch.relays),
        "verify_max_s": round(max(hour.verifying_s), 2),
        "descriptors_most": max(each.descriptors for cut in hour.cuts for each in cut.values()),
        "tasks_at_rest": hour.tasks[-1],
        "blocks": blocks[0],
        "blocks_grown": blocks[-1] - blocks[0],
        **growth,
        **{f"{name}_files": each.descriptors for name, each in last.items()},
        **statuses,
        **{f"ended_{ending}": count for ending, count in sorted(hour.endings.items())},
    }


_ABOUT = "an hour at 100 requests/s with faults: nothing grows"
CAMPAIGN = Campaign("hour", "G34", _ABOUT, Effort(seconds=20), Effort(seconds=3600), run, on_postgres=True)
