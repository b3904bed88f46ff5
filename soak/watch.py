"""What the processes of a node take, and what its relays say of themselves: readings for a campaign that looks for growth."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from tests.harness.gateway import Gateway
from tests.harness.http import Client
from tests.harness.process import until

_LOST = (
    "Traceback (most recent call last)",
    "was never retrieved",
    "was never awaited",
    "Exception ignored",
    "was destroyed but it is pending",
)


class Taken(NamedTuple):
    """What a process takes now. Memory is the resident set, MiB."""

    memory: float
    descriptors: int
    threads: int


def taken(pid: int) -> Taken:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Taken(int(status["VmRSS"].split()[0]) / 1024, len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]))


def figures(gateway: Gateway) -> Mapping[str, int]:
    """The node's metrics, by series, from the moment when its relays have told theirs for the first time."""
    until(lambda: "halley_relay_tasks" in _read(gateway), lambda: "no relay tells its figures")
    return _read(gateway)


def _read(gateway: Gateway) -> Mapping[str, int]:
    with gateway.client() as client:
        lines = client.ask("GET", "/metrics").body().decode().splitlines()
    return {name: int(value) for name, _, value in (line.rpartition(" ") for line in lines if line and not line.startswith("#"))}


def slope(readings: Sequence[tuple[float, float]]) -> float:
    """Growth per second by least squares over (seconds, value)."""
    x, y = fmean(at for at, _ in readings), fmean(value for _, value in readings)
    spread = sum((at - x) ** 2 for at, _ in readings)
    return sum((at - x) * (value - y) for at, value in readings) / spread if spread else 0.0


def lost(gateway: Gateway) -> Iterator[str]:
    """Lines of the log that speak of an exception nobody took care of."""
    return (line for line in gateway.logs().splitlines() if any(sign in line for sign in _LOST))


class LagWatch:
    """Asks every relay once a second how old its oldest unfolded journal record is. Start it under load: idle relays accept unevenly."""

    def __init__(self, url: str, relays: int) -> None:
        self._url = url
        self._wanted = relays
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)
        self.relays: dict[str, Client] = {}
        self.lags: list[float] = []
        self.fault = ""

    def __enter__(self) -> LagWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30.0)

    def _run(self) -> None:
        try:
            while len(self.relays) < self._wanted and not self._stop.wait(0.1):
                self._meet(Client(self._url))
            while not self._stop.wait(1.0):
                self.lags.append(max(self._lag(client)[1] for client in self.relays.values()))
        except (OSError, EOFError, AssertionError) as fault:
            self.fault = repr(fault)
        finally:
            for client in self.relays.values():
                client.close()

    def _meet(self, client: Client) -> None:
        """Keeps the first connection to each relay; whose it is, is told by the ids that the relay gives."""
        relay, _ = self._lag(client)
        if self.relays.setdefault(relay, client) is not client:
            client.close()

    def _lag(self, client: Client) -> tuple[str, float]:
        reply = client.ask("GET", "/readyz")
        return reply.fields["x-request-id"][:-8], float(json.loads(reply.body())["journal_lag_s"])
