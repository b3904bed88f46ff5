"""The whole hot path without sockets: real server, gateway, relay, journal and upstream pool over transports that are lists.

What remains is the code's own work, so that its figures repeat where those over sockets scatter. A host's speed doubles and halves within
seconds: every batch is timed beside a batch of one fixed reference loop, and only the ratio of the two is worth comparing.
"""

from __future__ import annotations

import asyncio
import gc
import hmac
import os
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bench.arithmetic import percentile
from bench.canned import BODIES, PRICES, ask
from bench.reference import reference
from halley.dialects import OPENAI_CHAT
from halley.money import Price
from halley.net.client import Deadlines, Origin, Pool
from halley.net.clock import Clock
from halley.net.guards import Guards
from halley.net.listener import Listener
from halley.net.upstream import Upstream
from halley.policy.snapshot import AccountRow, KeyRow, ModelRow, OfferRow, ProviderRow, Snapshot
from halley.secret import Secret, SecretBytes
from halley.serve.gateway import Gateway, Station
from halley.serve.memory import keep_pages
from halley.serve.peers import Peers
from halley.store import keytext

_PEPPER = b"p" * 32
_CREDIT = 10**18
_BATCH = 64


class _Wire:
    """A transport as far as the hot path asks one. What is written is gone at once, as it is with a socket; `said` is kept if there is
    a list for it."""

    __slots__ = ("_socket", "said")

    def __init__(self, own: socket.socket) -> None:
        self.said: list[bytes] | None = None
        self._socket = own

    def write(self, data: bytes) -> None:
        if self.said is not None:
            self.said.append(data)

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name == "peername" else self._socket

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of request and its reply as the upstream's reads: `reads[0]` holds the head."""

    name: str
    request: bytes
    reads: tuple[bytes, ...]


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def loads(key: str) -> dict[str, Load]:
    """JSON; the canned stream in reads of 64 KiB, as it comes under load; and one frame per read, as it comes from a slow model."""

    def request(kind: str) -> bytes:
        body = ask(kind)
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:4100\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    head = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 25 Nov 2026 00:00:00 GMT\r\nConnection: keep-alive\r\n"
    whole = BODIES["json"]
    json_head = head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(whole)
    json = Load("json", request("json"), (json_head + whole,))
    sse_head = head + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = BODIES["sse"]
    bulk = sse_head + b"".join(_chunked(body[at : at + 32768]) for at in range(0, len(body), 32768)) + b"0\r\n\r\n"
    frames = [frame + b"\n\n" for frame in body.split(b"\n\n") if frame]
    single = (sse_head, *(_chunked(frame) for frame in frames), b"0\r\n\r\n")
    return {load.name: load for load in (json, Load("sse", request("sse"), (bulk,)), Load("frames", request("sse"), single))}


class Rig:
    """One relay in this thread's running loop. `serve` takes a batch of requests of one kind through it."""

    def __init__(self, home: Path) -> None:
        keep_pages()
        self.clock = Clock()
        self.clock.start(asyncio.get_running_loop())
        wanted = OPENAI_CHAT.reply_fields | {b"x-request-id"}
        deadlines = Deadlines(5.0, 60.0, 60.0)

        def pool(origin: Origin) -> Pool:
            return Pool(origin, deadlines=deadlines, clock=self.clock, wanted=wanted)

        web = Pool(Origin("unix", "control", 0, str(home / "web.sock")), deadlines=deadlines, clock=self.clock, wanted=wanted)
        station = Station("relay-0", str(home), str(home))
        self.gateway = Gateway(station, peers=Peers(()), clock=self.clock, pools=pool, web=web)
        self.key = keytext.make()
        self.gateway._receive(_snapshot(self.key))
        account = self.gateway.tables.accounts["bench"]
        account.lend(_CREDIT)
        self._listener = Listener(self.gateway, Guards(), self.clock)
        self._own, self._other = socket.socketpair()
        self._clients = [self._client() for _ in range(_BATCH)]
        self.client = self._clients[0][0]
        self.pool = self.gateway.tables.offers["bench-json", "bench", "bench-json"].host.pool
        for _ in range(_BATCH):
            upstream = Upstream(self.pool)
            upstream.connection_made(cast(asyncio.Transport, _Wire(self._own)))
            self.pool.take_back(upstream)

    def _client(self) -> tuple[Any, _Wire]:
        wire = _Wire(self._own)
        connection = self._listener._connection()
        connection.connection_made(cast(asyncio.Transport, wire))
        return connection, wire

    async def serve(self, load: Load) -> None:
        request = load.request
        for connection, _ in self._clients:
            connection.data_received(request)
        await asyncio.sleep(0)
        busy = [upstream for upstream in self.pool.connections if upstream.call is not None]
        assert len(busy) == _BATCH, len(busy)
        for read in load.reads:
            for upstream in busy:
                upstream.get_buffer(-1)[: len(read)] = read
                upstream.buffer_updated(len(read))
        await asyncio.sleep(0)

    async def said(self, load: Load) -> list[bytes]:
        """What each client is sent when the load is served."""
        for _, wire in self._clients:
            wire.said = []
        await self.serve(load)
        found = [b"".join(wire.said or ()) for _, wire in self._clients]
        for _, wire in self._clients:
            wire.said = None
        return found

    def close(self) -> None:
        self.clock.stop()
        self.gateway.journal.close()
        self._own.close()
        self._other.close()


def _snapshot(key: str) -> Snapshot:
    price = Price(PRICES["input"] * 1000, PRICES["output"] * 1000, PRICES["cache_read"] * 1000)
    models = tuple(
        ModelRow(f"bench-{kind}", "bench", price, "price_1", (OfferRow("bench", f"bench-{kind}"),), (), 128_000, 16_384) for kind in BODIES
    )
    return Snapshot(
        1,
        SecretBytes(_PEPPER),
        (KeyRow("key_1", hmac.digest(_PEPPER, key.encode(), "sha256"), "bench", "bench", rpm=10**9, tpm=10**12, concurrency=10**5),),
        (AccountRow("bench", False),),
        (ProviderRow("bench", "openai-compatible", "http://127.0.0.1:9/v1", Secret("sk-upstream-0123456789abcdefghijklmnopqrstuv")),),
        models,
    )


_REFERENCES = 96


def _time(work: Callable[[], object], count: int) -> float:
    began = time.thread_time()
    for _ in range(count):
        work()
    return (time.thread_time() - began) / count


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU for one request of a load, the reference loop's beside it, and their ratio. Each is a 5th percentile of batches,
    the moments in which the host was quiet."""

    name: str
    cpu_us: float
    reference_us: float

    @property
    def ratio(self) -> float:
        return self.cpu_us / self.reference_us


async def _measure(home: Path, names: Sequence[str], batches: int) -> list[Cost]:
    rig = Rig(home)
    known = loads(rig.key)
    try:
        for name in names:
            _check(name, await rig.said(known[name]))
        gc.collect()
        gc.freeze()
        gc.disable()
        spent: dict[str, list[float]] = {name: [] for name in names}
        beside: list[float] = []
        for _ in range(batches):
            for name in names:
                began = time.thread_time()
                await rig.serve(known[name])
                spent[name].append((time.thread_time() - began) / _BATCH)
                beside.append(_time(reference, _REFERENCES))
            gc.collect(0)
        calm = percentile(beside, 0.05) * 1e6
        return [Cost(name, percentile(each, 0.05) * 1e6, calm) for name, each in spent.items()]
    finally:
        gc.enable()
        gc.unfreeze()
        rig.close()


def _check(name: str, said: Sequence[bytes]) -> None:
    wanted = BODIES["json" if name == "json" else "sse"]
    for answer in said:
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer[:400]
        if name == "json":
            assert answer.endswith(wanted), answer[-400:]
        else:
            assert answer.count(b"data: ") == wanted.count(b"data: "), answer[-400:]


def measure(names: Sequence[str], batches: int = 150) -> list[Cost]:
    with tempfile.TemporaryDirectory(prefix="halley-harness-") as home:
        os.makedirs(os.path.join(home, "journal"), exist_ok=True)
        try:
            import uvloop

            return uvloop.run(_measure(Path(home), names, batches))
        except ImportError:
            return asyncio.run(_measure(Path(home), names, batches))


def main() -> None:
    for cost in measure(("json", "sse", "frames")):
        print(f"{cost.name:8} {cost.cpu_us:8.1f} us   reference {cost.reference_us:6.2f} us   ratio {cost.ratio:6.2f}")


if __name__ == "__main__":
    main()
