"""Connections that dribble heads or bodies, or say nothing: each is closed at its limit, and good traffic loses no request."""

from __future__ import annotations

import contextlib
import resource
import selectors
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from soak.campaign import Campaign, Effort, Figures, Unavailable, say
from soak.probe import Probe
from soak.watch import figures, taken
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

QUICK = "sim/tokens-5"
_IDLE_S = 73.0
# The relay looks once a second; a sweep over thousands and a busy machine need their time too.
_GRACE_S = 5.0
# Kept upstream connections come and go, so many of them.
_DESCRIPTORS = 40

_CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"


class Kind(NamedTuple):
    """`share` of a round's clients; what is said first, then each second, and the limit: a setting's name and its default."""

    name: str
    share: int
    first: bytes
    then: bytes
    setting: str
    limit_s: float


KINDS = (
    Kind("heads", 100, _CHAT + b"X-Slow: ", b"a", "head_seconds", 10.0),
    Kind("bodies", 20, _CHAT + b"Content-Length: 1000000\r\n\r\n", b" ", "body_seconds", 28.0),
    Kind("idle", 500, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"", "idle_seconds", _IDLE_S),
)


class Guest(NamedTuple):
    kind: Kind
    connection: socket.socket
    came: float


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` is how many tenths of the goal's clients come; `seconds` is the idle limit, to which the others are in proportion."""
    limits = {kind.name: kind.limit_s * effort.seconds / _IDLE_S for kind in KINDS}
    settings = "\n".join(f"{kind.setting} = {limits[kind.name]}" for kind in KINDS)
    _allow_descriptors(sum(kind.share for kind in KINDS) * effort.rounds + 512)
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, (QUICK,), server=settings)) as gateway:
        key = customer(gateway, "good", "100000")
        relay = gateway.children()["relay-0"]
        good = (gateway.url, "/v1/chat/completions", encoded(QUICK), key, 0.02, True)
        with Probe(*good):
            time.sleep(2.0)
        until(lambda: figures(gateway)["halley_open_requests"] == 0, lambda: "requests stay open")
        at_rest = taken(relay)
        with Probe(*good) as probe:
            guests = [_come(gateway.url, kind) for kind in KINDS for _ in range(kind.share * effort.rounds)]
            most = taken(relay)
            say(f"{len(guests)} connections are open")
            stayed = _watch(guests, max(limits.values()) + _GRACE_S)
            slow_tests = _slowhttptest(place, gateway.url) if effort.seconds >= _IDLE_S else 0
        for kind in KINDS:
            longest = stayed[kind.name]
            assert longest <= limits[kind.name] + _GRACE_S, f"{kind.name}: open for {longest:.1f} s, the limit is {limits[kind.name]:g} s"
        assert probe.lost == 0 and set(probe.statuses) == {200}, f"good traffic: {probe.statuses}, {probe.faults[:3]}"
        until(
            lambda: taken(relay).descriptors <= at_rest.descriptors + _DESCRIPTORS,
            lambda: f"descriptors: {at_rest.descriptors} at rest, now {taken(relay).descriptors}",
        )
        found = audit(gateway, simulator)
        assert {request.ending for request in found.requests} == {"complete"}, found.endings
        after = taken(relay)
    return {
        "connections": len(guests),
        **{f"{name}_closed_after_s": round(seconds, 1) for name, seconds in stayed.items()},
        "good_requests": len(probe.seconds),
        "good_lost": probe.lost,
        "good_p99_ms": probe.p99_ms,
        "slowhttptest_runs": slow_tests,
        "files_at_rest": at_rest.descriptors,
        "files_most": most.descriptors,
        "files_after": after.descriptors,
        "mib_at_rest": round(at_rest.memory),
        "mib_most": round(most.memory),
        "mib_after": round(after.memory),
        "audited": len(found.requests),
    }


def _allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise Unavailable(f"this needs {count} open files, and {hard} are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _come(url: str, kind: Kind) -> Guest:
    place = urlsplit(url)
    connection = socket.create_connection((place.hostname or "", place.port or 80), 20.0)
    connection.sendall(kind.first)
    connection.setblocking(False)
    return Guest(kind, connection, time.monotonic())


def _watch(guests: list[Guest], limit_s: float) -> dict[str, float]:
    """Each says its byte a second, until all have been sent away or the limit is over: how long the last of each kind stayed."""
    stayed = {guest.kind.name: 0.0 for guest in guests}
    with contextlib.closing(selectors.DefaultSelector()) as selector:
        for guest in guests:
            selector.register(guest.connection, selectors.EVENT_READ, guest)
        end, due = max(guest.came for guest in guests) + limit_s, time.monotonic()
        while (waiting := selector.get_map()) and time.monotonic() < end:
            for ready, _ in selector.select(0.2):
                guest: Guest = ready.data
                with contextlib.suppress(BlockingIOError):
                    if _over(guest.connection):
                        stayed[guest.kind.name] = max(stayed[guest.kind.name], time.monotonic() - guest.came)
                        selector.unregister(guest.connection)
                        guest.connection.close()
            if time.monotonic() >= due:
                due += 1.0
                for each in list(waiting.values()):
                    with contextlib.suppress(OSError):
                        each.data.connection.send(each.data.kind.then)
        for each in list(selector.get_map().values()):
            stayed[each.data.kind.name] = float("inf")
            each.data.connection.close()
    return stayed


def _over(connection: socket.socket) -> bool:
    try:
        return not connection.recv(65536)
    except ConnectionError:
        return True


def _slowhttptest(place: Path, url: str) -> int:
    """The known attacks as others wrote them: slow heads, slow bodies, ranges. Good traffic runs beside."""
    program = shutil.which("slowhttptest")
    if program is None:
        raise Unavailable("slowhttptest is not installed (Debian package slowhttptest)")
    for number, attack in enumerate(("-H", "-B", "-R")):
        say(f"slowhttptest {attack}")
        command = [program, attack, "-c", "1000", "-r", "200", "-i", "5", "-l", "40", "-u", f"{url}/v1/chat/completions", "-t", "POST"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, f"{number}: {done.stdout[-500:]}{done.stderr[-500:]}"
    return 3


CAMPAIGN = Campaign(
    "floods",
    "G23",
    "connections that dribble or say nothing, in thousands",
    Effort(rounds=2, seconds=15),
    Effort(rounds=10, seconds=_IDLE_S),
    run,
)
