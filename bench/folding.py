"""What the control process spends on a request that is over: a journal as a relay writes it, folded round by round into a store on disk.

No sockets: the real records, the real rounds, the real desk and SQLite, and CPU of all threads, user and system. Every round stands beside
a piece of the reference loop, and the ratio of the two is what repeats. `script/bench --folding` prints it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.arithmetic import charge
from bench.canned import CACHED_TOKENS, CHUNKS, PRICES, PROMPT_TOKENS, Wrong
from bench.reference import reference
from halley import pricelist
from halley.chat.usage import Usage
from halley.control.plan import Plan
from halley.control.process import FOLD_S, SECURE_S, Control
from halley.money import Price
from halley.policy.snapshot import ModelRow
from halley.store import customers, prices
from halley.store.journal import End, Start, encode
from halley.store.messages import LeaseWanted
from halley.store.values import FileAccount

_ACCOUNT = "bench"
_RELAY = "relay-0-19a3f2c4e1b-12345"
_CREDIT = 10**18
_HOLD = 10**7
# So many requests are open at any moment; where a round ends, their starts and ends lie on its two sides.
_OPEN = 64
_PER_S = 12_000
_REFERENCES = 500
_PRICE = Price(*(PRICES[name] * 1000 for name in ("input", "output", "cache_read")))
_MODEL = ModelRow("bench-json", "bench", _PRICE, pricelist.version(_PRICE), ())
_USAGE = Usage(PROMPT_TOKENS, CHUNKS, CACHED_TOKENS)


@dataclass(frozen=True, slots=True)
class Folding:
    """Microseconds of CPU per request, and of one turn of the reference loop; requests folded in a second of the clock; bytes per request
    in the journal and in the store."""

    cpu_us: float
    reference_us: float
    per_s: float
    journal_bytes: float
    store_bytes: float

    @property
    def ratio(self) -> float:
        return self.cpu_us / self.reference_us

    def __str__(self) -> str:
        return (
            f"folding: {self.cpu_us:.1f} us of CPU a request, {self.ratio:.2f} of the reference loop's {self.reference_us:.1f} us\n"
            f"{self.per_s:.0f} requests/s; {self.journal_bytes:.0f} bytes a request in the journal, {self.store_bytes:.0f} in the store"
        )


def _start(number: int, now: float) -> Start:
    return Start(_id(number), now, _ACCOUNT, "key_0123456789abcdef", "chat", _MODEL.id, _MODEL.version, _HOLD, True, False, PROMPT_TOKENS)


def _end(number: int, now: float) -> End:
    paid = charge(PROMPT_TOKENS, CACHED_TOKENS, CHUNKS, PRICES)
    return End(_id(number), now, "complete", 200, "bench-json", _USAGE, False, paid, 0, 1, 245, 590, 0.113, 1.207, 1.318)


def _id(number: int) -> str:
    return f"req_01KB8Z3M4Q9F3A71C2{number:08X}"


def pieces(requests: int, per_round: int) -> Iterator[bytes]:
    """The journal of `requests` requests, in pieces of what is written between two rounds."""
    written = []
    now = time.time()
    for number in range(requests + _OPEN):
        now += 1 / _PER_S
        if number < requests:
            written.append(_start(number, now))
        if number >= _OPEN:
            written.append(_end(number - _OPEN, now))
        if number % per_round == per_round - 1:
            yield encode(written)
            written = []
    yield encode(written)


async def _fold(home: Path, requests: int, per_round: int, url: str) -> Folding:
    control = Control(Plan(home, home / "run", url, accounts=(FileAccount(_ACCOUNT, False),)), {})
    desk, turns = control.desk, control.turns
    await turns.take(desk.settle_in)
    await turns.take(_endow, control)
    file = os.open(home / "journal" / f"{_RELAY}.0.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    (home / "journal" / f"{_RELAY}.lock").touch()
    journal = spent = beside = passed = 0.0
    rounds = 0
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    for piece in pieces(requests, per_round):
        os.write(file, piece)
        journal += len(piece)
        clock, began = time.perf_counter(), time.process_time()
        for _ in range(int(FOLD_S / SECURE_S)):
            await turns.take(desk.journals)
            await turns.take(desk.secure, _RELAY)
        await control.fold_all()
        ended = time.process_time()
        passed += time.perf_counter() - clock
        spent += ended - began
        for _ in range(_REFERENCES):
            reference()
        beside += time.process_time() - ended
        rounds += 1
    os.close(file)
    await turns.take(_check, control, requests)
    await turns.take(desk.close)
    turns.close()
    gc.unfreeze()
    store = sum(path.stat().st_size for path in home.glob("halley.db*"))
    return Folding(spent / requests * 1e6, beside / rounds / _REFERENCES * 1e6, requests / passed, journal / requests, store / requests)


def _endow(control: Control) -> None:
    desk = control.desk
    with desk.store.begin() as connection:
        customers.add_credit(connection, _ACCOUNT, _CREDIT, time.time())
        prices.remember(connection, (_MODEL,), time.time())
    desk.lender.lend(_RELAY, LeaseWanted(_ACCOUNT, _CREDIT, _CREDIT))


def _check(control: Control, requests: int) -> None:
    desk = control.desk
    owed = charge(PROMPT_TOKENS, CACHED_TOKENS, CHUNKS, PRICES) * requests
    with desk.store.begin() as connection:
        left = customers.account(connection, _ACCOUNT).held
    if desk.folded_requests != requests or left != _CREDIT - owed:
        raise Wrong(f"{desk.folded_requests} of {requests} requests are in the ledger, and the lease is {left} instead of {_CREDIT - owed}")


def measure(requests: int = 60_000, per_round: int = int(_PER_S * FOLD_S), url: str = "") -> Folding:
    """Into a new store of SQLite, or an empty database. Raises Wrong when the ledger does not hold exactly what the journal says."""
    with tempfile.TemporaryDirectory(prefix="halley-folding-") as home:
        return asyncio.run(_fold(Path(home), requests, per_round, url))
