"""A client that asks one thing again and again beside a campaign, and how long each answer took; and a process's memory at its height."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from soak.watch import taken
from tests.harness.http import Client


class Probe:
    """Asks in a thread of its own from entry to exit. `seconds` are those of the answers, `lag_ms` the relay's own word where it gives one.

    `fresh` makes a connection for each question. What does not come, or not whole, is `lost`.
    """

    def __init__(
        self, url: str, path: str = "/readyz", body: bytes | None = None, key: str = "", pause_s: float = 0.01, fresh: bool = False
    ) -> None:
        self._url = url
        self._path = path
        self._body = body
        self._key = key
        self._pause_s = pause_s
        self._fresh = fresh
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.lag_ms = 0
        self.lost = 0
        self.faults: list[str] = []

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30.0)

    @property
    def longest_ms(self) -> int:
        return round(max(self.seconds, default=0.0) * 1000)

    @property
    def p99_ms(self) -> float:
        return round(percentile(self.seconds, 0.99) * 1000, 1)

    def _run(self) -> None:
        client: Client | None = None
        while not self._stop.wait(self._pause_s):
            try:
                began = time.perf_counter()
                if client is None:
                    client = Client(self._url)
                reply = client.ask("GET" if self._body is None else "POST", self._path, self._body, key=self._key)
                body = reply.body()
                self.seconds.append(time.perf_counter() - began)
                self.statuses[reply.status] += 1
                if self._path == "/readyz":
                    self.lag_ms = max(self.lag_ms, json.loads(body)["loop_lag_ms"])
            except (OSError, EOFError, ValueError) as fault:
                self.lost += 1
                self.faults.append(repr(fault))
                client = None
            if self._fresh and client is not None:
                client.close()
                client = None
        if client is not None:
            client.close()


class Height:
    """The most memory that some processes took, each for itself, looked at fifty times a second. MiB."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.before = {pid: taken(pid).memory for pid in pids}
        self.most = dict(self.before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="height", daemon=True)

    def __enter__(self) -> Height:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30.0)

    @property
    def growth(self) -> float:
        return round(max(self.most[pid] - self.before[pid] for pid in self.before), 1)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            for pid in self.before:
                try:
                    self.most[pid] = max(self.most[pid], taken(pid).memory)
                except (OSError, KeyError):
                    return  # it has ended; the campaign says what that means


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
