"""Rolling restarts, reloads with changed settings and relays told to end, under a steady stream of requests: none is refused or fails."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from soak.campaign import Campaign, Effort, Figures, say
from tests.harness.audit import audit
from tests.harness.crowd import request
from tests.harness.gateway import Gateway
from tests.harness.priced import configuration, customer, encoded
from tests.harness.simulator import Simulator

_PER_S = 200
_KEPT = 20  # connections that are kept as long as the gateway keeps them
_MODELS = ("sim/tokens-5", "sim/tokens-10+slow-20ms")
_PATIENCE_S = 20.0


class Callers:
    """So many requests a second, whatever becomes of the earlier ones: on new connections and on kept ones, streamed and whole."""

    def __init__(self, url: str, key: str, dice: random.Random) -> None:
        self._host, _, port = url.removeprefix("http://").rpartition(":")
        self._port = int(port)
        self._key = key
        self._dice = dice
        self._kept: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.Queue()
        for _ in range(_KEPT):
            self._kept.put_nowait(None)
        self.outcomes: Counter[str] = Counter()
        self.took_s: list[float] = []

    async def call_until(self, over: asyncio.Event) -> None:
        calls: set[asyncio.Task[None]] = set()
        begun, count = time.monotonic(), 0
        while not over.is_set():
            kept = self._dice.random() < 0.5 and not self._kept.empty()
            calls.add(asyncio.create_task(self._call(self._kept.get_nowait() if kept else None, keep=kept)))
            calls = {call for call in calls if not call.done()}
            count += 1
            await asyncio.sleep(max(0.0, begun + count / _PER_S - time.monotonic()))
        await asyncio.gather(*calls)

    async def _call(self, pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None, *, keep: bool) -> None:
        begun = time.monotonic()
        stays = False
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if pair is None:
                    pair = await asyncio.open_connection(self._host, self._port)
                reader, writer = pair
                stream = self._dice.random() < 0.5
                body = encoded(self._dice.choice(_MODELS), stream=stream)
                writer.write(request(self._key, body))
                head = await reader.readuntil(b"\r\n\r\n")
                if b"content-length: " in head:
                    answer = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
                    whole = answer.endswith(b"}")
                else:
                    answer = await reader.readuntil(b"\r\n0\r\n\r\n")
                    whole = b"[DONE]" in answer
                self.outcomes["served" if head.startswith(b"HTTP/1.1 200 ") and whole else f"{head[:12]!r} {answer[-200:]!r}"] += 1
                stays = keep and b"connection: close" not in head
        except (OSError, asyncio.IncompleteReadError) as fault:
            self.outcomes[repr(fault)] += 1
        self.took_s.append(time.monotonic() - begun)
        if pair is not None and not stays:
            pair[1].close()
        if keep:
            self._kept.put_nowait(pair if stays else None)


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    with Simulator(place) as simulator:
        toml = configuration(simulator.url, _MODELS, server="workers = 2")
        with Gateway(place, toml, workers=None) as gateway:
            key = customer(gateway, "steady", "50000")
            callers = Callers(gateway.url, key, dice)
            kinds = asyncio.run(_restarts(gateway, callers, toml, dice, effort.rounds))
            failures = callers.outcomes - Counter(served=callers.outcomes["served"])
            assert not failures, (
                f"{failures.total()} of {callers.outcomes.total()} failed: {failures.most_common(3)}\n{gateway.logs()[-3000:]}"
            )
            found = audit(gateway, simulator)
            assert found.endings == {"complete": callers.outcomes["served"]}, found.endings
            took = sorted(callers.took_s)
            figures = {"restarts": effort.rounds, **kinds, "requests": len(took), "failures": 0}
            return {**figures, "p50_ms": round(statistics.median(took) * 1e3, 1), "worst_ms": round(took[-1] * 1e3, 1)}


async def _restarts(gateway: Gateway, callers: Callers, toml: str, dice: random.Random, rounds: int) -> dict[str, int]:
    over = asyncio.Event()
    calling = asyncio.create_task(callers.call_until(over))
    kinds: Counter[str] = Counter()
    # The first three are one of each, whatever the seed.
    for turn in range(rounds):
        kind = ("rolled", "changed", "told")[turn] if turn < 3 else dice.choice(("rolled", "changed", "told"))
        kinds[kind] += 1
        await asyncio.sleep(0.5)
        before = gateway.children()
        if kind == "told":
            name = dice.choice(("relay-0", "relay-1"))
            os.kill(before[name], signal.SIGTERM)
            await _until(lambda name=name, before=before: gateway.children().get(name, before[name]) != before[name])
            continue
        if kind == "changed":
            gateway.config.write_text(f'{toml}\n[billing]\nmarkup = "1.{turn}"\n')
        reloads = gateway.status()["reloads"]
        os.kill(gateway.pid, signal.SIGHUP)
        await _until(lambda reloads=reloads: gateway.status()["reloads"] > reloads)
        assert not gateway.status()["refused"], gateway.status()["refused"]
        after = gateway.children()
        changed = {name for name in before if after[name] != before[name]}
        assert changed == {"relay-0", "relay-1", *(("control",) if kind == "changed" else ())}, f"{kind}: {before} {after}"
        if turn % 20 == 19:
            say(f"{turn + 1} restarts")
    await asyncio.sleep(0.5)
    over.set()
    await calling
    return dict(kinds)


async def _until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(60.0):
        while not seen():  # noqa: ASYNC110  (what is awaited is a file of another process)
            await asyncio.sleep(0.02)


CAMPAIGN = Campaign("restarts", "G17", "rolling restarts and reloads at 200 requests a second", Effort(rounds=3), Effort(rounds=40), run)
