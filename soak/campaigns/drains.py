"""SIGTERM with hundreds of open streams: none is cut before the drain limit, each gets one error event at it, everything is booked."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

from soak.campaign import Campaign, Effort, Figures, say
from tests.harness import books
from tests.harness.audit import audit
from tests.harness.crowd import Crowd, Member
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.postgres import Server, stored
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

_STREAMS = 50  # per round of effort
_GOES_ON = "sim/tokens-5000+slow-200ms"
_GONE_S = 2.0


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` is how many times fifty streams are open, `seconds` the drain limit."""
    streams, limit_s = effort.rounds * _STREAMS, effort.seconds
    figures: dict[str, float | int | str] = {"streams": streams, "limit_s": limit_s}
    for workers in (1, 2):
        for what, at_once in (("limit", False), ("second", True)):
            folder = place / f"{what}-{workers}"
            folder.mkdir()
            gone_s = _drain(folder, workers, streams, limit_s, effort.postgres, at_once=at_once)
            say(f"{workers} workers: gone {gone_s:.2f} s after the {what}")
            figures[f"gone_after_{what}_s_{workers}"] = round(gone_s, 2)
    return figures


def _drain(place: Path, workers: int, streams: int, limit_s: float, server: Server | None, *, at_once: bool) -> float:
    """One life of a gateway with open streams at its end. The seconds from the limit, or from the second SIGTERM, until it is gone."""
    ends = f"sim/tokens-{int(limit_s * 4)}+slow-100ms"
    with Simulator(place) as simulator:
        toml = configuration(simulator.url, (ends, _GOES_ON), server=f"drain_seconds = {limit_s}")
        gateway = stored(Gateway(place, toml, workers=workers), server)
        with gateway, Crowd(gateway.url) as ending, Crowd(gateway.url) as going_on:
            key = customer(gateway, "patient", "5000")
            with Crowd(gateway.url) as leaving:
                for crowd, model, share in ((going_on, _GOES_ON, 0.6), (leaving, _GOES_ON, 0.2), (ending, ends, 0.2)):
                    for _ in range(round(streams * share)):
                        crowd.ask(key, encoded(model, stream=True))
                for crowd in (going_on, leaving, ending):
                    crowd.until(lambda member: member.flowing)
                left = {member.id for member in leaving}
                since = time.monotonic()
                os.kill(gateway.pid, signal.SIGTERM)
                url = gateway.url
                until(lambda: ask(url, "GET", "/readyz")[0] == 503, lambda: "still ready")
                assert not any(member.ended for member in going_on), "readiness is not the first to change"
                leaving.part(Member.reset)  # a hang-up seen during the drain is settled as a hang-up
            if at_once:
                os.kill(gateway.pid, signal.SIGTERM)
                since = time.monotonic() - limit_s
            else:
                ending.until(lambda member: member.whole)
                assert not any(map(_errors, ending)), "a stream that had the time to end was cut"
                while time.monotonic() < since + limit_s - 0.2:
                    going_on.listen(0.05)
                early = [member for member in going_on if member.ended or _errors(member)]
                assert not early, f"{len(early)} streams were ended before the limit"
            for crowd in (going_on, ending):
                crowd.until(lambda member: member.whole)
            code = gateway.wait_end()
            gone_s = time.monotonic() - since - limit_s
            assert code == 0, f"exit code {code}:\n{gateway.logs()[-4000:]}"
            assert gone_s <= _GONE_S, f"the process was gone {gone_s:.2f} s after it should end"
            members = (*going_on, *ending)
            broken = sum(_errors(member) for member in members)
            whole = sum(b"[DONE]" in member.received for member in members)
            assert all(_errors(member) + (b"[DONE]" in member.received) == 1 for member in members)
            assert all(_errors(member) == 1 for member in going_on)
            _assert_all_booked(gateway)
            gateway.start()
            found = audit(gateway, simulator)
            assert found.endings == +Counter(complete=whole, broke=broken, left=len(left)), found.endings
            assert {request.id for request in found.requests if request.ending == "left"} == left
    return gone_s


def _errors(member: Member) -> int:
    return member.received.count(b'data: {"error"')


def _assert_all_booked(gateway: Gateway) -> None:
    """At the end of the process, not at the next start."""
    with books.store(gateway.home) as connection:
        open_requests = sum(not row.ending for row in books.requests(connection))
        (held,) = connection.execute("SELECT COALESCE(SUM(amount), 0) FROM balances WHERE ledger_account LIKE 'held:%'").fetchone()
    journals = sorted(path.name for path in (gateway.home / "journal").iterdir())
    assert (open_requests, held, journals) == (0, 0, []), f"{open_requests} open requests, {held} held, left: {journals}"


_ABOUT = "SIGTERM, and a second one, with open streams"
CAMPAIGN = Campaign("drains", "G17", _ABOUT, Effort(rounds=1, seconds=5.0), Effort(rounds=10, seconds=20.0), run, on_postgres=True)
