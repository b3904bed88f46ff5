"""A real store in a temporary home, and the records that a relay would write."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from halley.chat.usage import Usage
from halley.money import Price
from halley.policy import catalogue, pricing
from halley.policy.snapshot import ModelRow
from halley.store import customers, ledger
from halley.store.database import Store, open_store
from halley.store.journal import End, Start

PRICE = Price(input=1_000_000, output=4_000_000)
MODEL = ModelRow("m", "o", PRICE, catalogue.version(PRICE), ())
RELAY = "relay-0-1-1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store("", tmp_path, "", {})
    with opened.begin() as connection:
        customers.create_account(connection, "acme", 0.0, unlimited=False)
        customers.create_account(connection, "free", 0.0, unlimited=True)
        customers.add_credit(connection, "acme", 10**12, 0.0)
        ledger.grant(connection, "acme", RELAY, 10**11, 0.0)
        customers.remember_prices(connection, (MODEL,), 0.0)
    yield opened
    opened.close()


@pytest.fixture
def pair() -> Callable[..., tuple[Start, End]]:
    """A request that began and ended: `pair(account=…, tokens=…, loss=…)`."""
    numbers = itertools.count()

    def make(account: str = "acme", tokens: int = 100, hold: int = 10**6, loss: int = 0) -> tuple[Start, End]:
        name = f"req_{next(numbers):026d}"
        usage = Usage(tokens, tokens)
        charge = pricing.charge(PRICE, usage)
        ending = "complete" if not loss else "broke"
        paid = 0 if loss else charge
        start = Start(name, 1.0, account, "key_1", "chat", "m", MODEL.version, hold, account == "acme", False, tokens)
        end = End(name, 2.0, ending, 200, "p", usage, False, paid, loss, 1, 10, 20, 0.1, 0.2, 0.3)
        return start, end

    return make
