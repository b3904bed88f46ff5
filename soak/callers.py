"""A steady stream of requests, on new connections and on kept ones, streamed and whole, whatever becomes of the earlier ones."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence

from tests.harness.crowd import request, request_id
from tests.harness.priced import encoded

_KEPT = 20  # connections that are kept as long as the gateway keeps them
_PATIENCE_S = 20.0


class Callers:
    """`per_s` requests a second. `outcomes` says "served", or how the answer or the fault begins; `calls` is when each began
    (`time.monotonic()`) and how long it took, seconds; `heard` is when the answer to each request was whole, by Halley's id of it."""

    def __init__(self, url: str, key: str, dice: random.Random, models: Sequence[str], per_s: float) -> None:
        self._host, _, port = url.removeprefix("http://").rpartition(":")
        self._port = int(port)
        self._key = key
        self._models = models
        self._per_s = per_s
        self._dice = dice
        self._kept: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.Queue()
        for _ in range(_KEPT):
            self._kept.put_nowait(None)
        self.outcomes: Counter[str] = Counter()
        self.calls: list[tuple[float, float]] = []
        self.heard: dict[str, float] = {}

    async def call_until(self, over: asyncio.Event) -> None:
        calls: set[asyncio.Task[None]] = set()
        begun, count = time.monotonic(), 0
        while not over.is_set():
            kept = self._dice.random() < 0.5 and not self._kept.empty()
            calls.add(asyncio.create_task(self._call(self._kept.get_nowait() if kept else None, keep=kept)))
            calls = {call for call in calls if not call.done()}
            count += 1
            await asyncio.sleep(max(0.0, begun + count / self._per_s - time.monotonic()))
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
                body = encoded(self._dice.choice(self._models), stream=stream)
                writer.write(request(self._key, body))
                head = await reader.readuntil(b"\r\n\r\n")
                if b"content-length: " in head:
                    answer = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
                    whole = answer.endswith(b"}")
                else:
                    answer = await reader.readuntil(b"\r\n0\r\n\r\n")
                    whole = b"[DONE]" in answer
                served = head.startswith(b"HTTP/1.1 200 ") and whole
                self.outcomes["served" if served else f"{head[:12]!r} {answer[-200:]!r}"] += 1
                if served and (id := request_id(head)):
                    self.heard[id] = time.monotonic()
                stays = keep and b"connection: close" not in head
        except (OSError, asyncio.IncompleteReadError) as fault:
            self.outcomes[repr(fault)] += 1
        self.calls.append((begun, time.monotonic() - begun))
        if pair is not None and not stays:
            pair[1].close()
        if keep:
            self._kept.put_nowait(pair if stays else None)
