"""A real store in a temporary home, and the records that a relay would write."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from halley import pricelist
from halley.chat.usage import Usage
from halley.money import Price
from halley.policy import pricing
from halley.policy.snapshot import ModelRow
from halley.store import customers, ledger, prices
from halley.store.database import Store, open_store
from halley.store.journal import End, Start
from tests.harness.postgres import Server
from tests.store.raw import Database

PRICE = Price(input=1_000_000, output=4_000_000)
MODEL = ModelRow("m", "o", PRICE, pricelist.version(PRICE), ())
RELAY = "relay-0-1-1"


@pytest.fixture(scope="session")
def shelf(request: pytest.FixtureRequest) -> Callable[[], Database]:
    """Hands out the one PostgreSQL database of this process, with nothing in it but the schema."""
    made: list[Database] = []

    def empty() -> Database:
        if not made:
            server: Server = request.getfixturevalue("postgres")
            made.append(Database(server.url(server.create())))
        made[0].empty()
        return made[0]

    return empty


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Where the test's store is: what is true of a store is true on both. "postgresql, its own" is for a test that spoils the schema."""
    if request.param == "sqlite":
        made = Database("", tmp_path)
        yield made
        made.close()
    elif request.param == "postgresql":
        yield request.getfixturevalue("shelf")()
    else:
        yield request.getfixturevalue("fresh")


@pytest.fixture
def fresh(postgres: Server) -> Iterator[Database]:
    """A PostgreSQL database of the test's own, with nothing in it."""
    name = postgres.create()
    made = Database(postgres.url(name))
    yield made
    made.close()
    postgres.drop(name)


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(database.url, tmp_path, "", {})
    with opened.begin() as connection:
        customers.create_account(connection, "acme", 0.0, unlimited=False)
        customers.create_account(connection, "free", 0.0, unlimited=True)
        customers.add_credit(connection, "acme", 10**12, 0.0)
        ledger.grant(connection, "acme", RELAY, 10**11, 0.0)
        prices.remember(connection, (MODEL,), 0.0)
    yield opened
    opened.close()


@pytest.fixture
def pair() -> Callable[..., tuple[Start, End]]:
    """A request that began and ended: `pair(account=…, tokens=…, loss=…)`, a loss in whole tokens of 1000."""
    numbers = itertools.count()

    def make(account: str = "acme", tokens: int = 100, hold: int = 10**6, loss: int = 0) -> tuple[Start, End]:
        name = f"req_{next(numbers):026d}"
        usage = Usage(loss // 1000) if loss else Usage(tokens, tokens)
        charge = pricing.charge(PRICE, usage)
        ending = "complete" if not loss else "broke"
        paid = 0 if loss else charge
        start = Start(name, 1.0, account, "key_1", "chat", "m", MODEL.version, hold, account == "acme", False, tokens)
        end = End(name, 2.0, ending, 200, "p", usage, False, paid, loss, 1, 10, 20, 0.1, 0.2, 0.3)
        return start, end

    return make
