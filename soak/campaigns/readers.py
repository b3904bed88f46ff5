"""Clients that read slowly or not at all beside clients that read: memory stays, the upstream waits, and who takes nothing is let go."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

from soak.campaign import Campaign, Effort, Figures, say
from soak.probe import Height, Probe
from soak.watch import figures
from tests.harness.audit import audit
from tests.harness.crowd import request
from tests.harness.gateway import Gateway
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

LONG = "sim/tokens-90000+write-16384"
QUICK = "sim/tokens-20"
GROWTH_MIB = 64.0
RATE = 1024  # bytes a second of a slow reader
# A clients' receive buffer and what the kernel doubles it to, so that little hides there.
_RECEIVE = 4096
# Seconds beyond the limit in which stuck clients must be gone: one is stuck from when its buffers are full, and that takes time.
_AFTER_S = 60.0


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` is twenty clients of both kinds, `seconds` how long a client may take nothing."""
    stuck_s = effort.seconds
    count = 20 * effort.rounds
    with Simulator(place) as simulator:
        settings = configuration(simulator.url, (LONG, QUICK), server=f"write_stall_seconds = {stuck_s}", max_output=100_000)
        with Gateway(place, settings) as gateway, contextlib.ExitStack() as stack:
            key = customer(gateway, "reader", "100000")
            relay = gateway.children()["relay-0"]
            normal = (gateway.url, "/v1/chat/completions", encoded(QUICK), key, 0.02)
            with Probe(*normal) as before:
                time.sleep(3.0)
            clients = [_reader(gateway.url, key) for _ in range(count)]
            for client in clients:
                stack.callback(client.close)
            slow, stuck = clients[: count // 2], clients[count // 2 :]
            with Height([relay]) as height, Probe(*normal) as beside:
                until(lambda: figures(gateway)["halley_open_requests"] >= count, lambda: "not all streams are open", 60.0)
                began = time.monotonic()
                say(f"{count} streams are open, {len(stuck)} of them take nothing")
                gone = 0.0
                while time.monotonic() - began < stuck_s + _AFTER_S:
                    _sip(slow)
                    if not gone and figures(gateway)["halley_open_requests"] <= len(slow) + 2:
                        gone = time.monotonic() - began
                        break
            assert gone, f"stuck clients are still there: {figures(gateway)['halley_open_requests']}"
            until(lambda: simulator.state()["open_streams"] <= len(slow) + 2, lambda: f"upstreams go on: {simulator.state()}", 20.0)
            generated = [row["completion_tokens"] for row in simulator.bill()["attempts"] if row["model"] == LONG]
            assert generated and max(generated) < 90_000, "an upstream was read to its end for a client that took nothing"
            assert height.growth <= GROWTH_MIB, f"the relay grew by {height.growth} MiB"
            assert beside.lost == 0 and set(beside.statuses) == {200}, f"{beside.statuses}, {beside.faults[:3]}"
            assert len(slow) == sum(not _ended(client) for client in slow), "a client that reads slowly was let go"
            for client in slow:
                client.close()
            until(lambda: figures(gateway)["halley_open_requests"] == 0, lambda: "requests stay open", 30.0)
            found = audit(gateway, simulator, unread=(LONG,))
    left = sum(request.ending == "left" for request in found.requests)
    assert left == count, found.endings
    return {
        "slow": len(slow),
        "stuck": len(stuck),
        "stuck_gone_after_s": round(gone, 1),
        "growth_mib": height.growth,
        "most_generated": max(generated),
        "normal": len(beside.seconds),
        "normal_p99_ms": beside.p99_ms,
        "normal_p99_before_ms": before.p99_ms,
        "audited": len(found.requests),
    }


def _reader(url: str, key: str) -> socket.socket:
    place = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE)
    client.settimeout(20.0)
    client.connect((place.hostname, place.port))
    client.sendall(request(key, encoded(LONG, stream=True)))
    client.setblocking(False)
    return client


def _sip(clients: list[socket.socket]) -> None:
    """A second of slow reading, in four sips."""
    for _ in range(4):
        for client in clients:
            with contextlib.suppress(BlockingIOError):
                client.recv(RATE // 4)
        time.sleep(0.25)


def _ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


CAMPAIGN = Campaign(
    "readers", "G22", "clients that read slowly or not at all", Effort(rounds=2, seconds=3), Effort(rounds=15, seconds=30), run
)
