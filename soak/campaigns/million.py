"""A million requests of one account: pages about usage come from the days alone, and pages of the log walk no further than they say."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from msgspec import structs

from halley.store import customers, logbook, usage
from halley.store.database import open_store
from soak.campaign import Campaign, Effort, Figures
from tests.store.raw import Database
from tests.store.test_usage import EVER, filled

MOST_MS = 100.0
_TIMES = 3
_ALL = logbook.Which("acme", 0.0, 1e11)


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` times 100,000 requests."""
    server = effort.postgres
    url = server.url(server.create()) if server is not None else ""
    made = open_store(url, place, "", {})
    with made.begin() as connection:
        customers.create_account(connection, "acme", 0.0, unlimited=False)
    filled(made, Database(url, place), effort.rounds * 100_000)
    store = open_store(url, place, "", {})
    with store.read() as connection:

        def log(which: logbook.Which) -> None:
            logbook.page(connection, which, None, 50, logbook.stop(connection, which, None))

        pages: dict[str, Callable[[], object]] = {
            "days_keys_models": lambda: usage.page(connection, EVER, usage.GROUPS, (20, "key_3", "m0"), 100),
            "days": lambda: usage.page(connection, EVER, ("day",), None, 100),
            "models": lambda: usage.page(connection, EVER, ("model",), None, 100),
            "days_of_a_key": lambda: usage.page(connection, structs.replace(EVER, key="key_3"), ("day",), None, 100),
            "total": lambda: usage.total(connection, EVER),
            "log": lambda: log(_ALL),
            "log_of_a_key": lambda: log(structs.replace(_ALL, key="key_3")),
            "log_without_a_hit": lambda: log(structs.replace(_ALL, status=418)),
            "log_of_what_runs": lambda: log(structs.replace(_ALL, running=True)),
        }
        took = {f"{name}_ms": round(min(_took_ms(page) for _ in range(_TIMES)), 1) for name, page in pages.items()}
    store.close()
    slow = {name: ms for name, ms in took.items() if ms > MOST_MS}
    assert not slow, f"slower than {MOST_MS:g} ms: {slow}"
    return {"rows": effort.rounds * 100_000, **took}


def _took_ms(page: Callable[[], object]) -> float:
    begun = time.perf_counter()
    page()
    return (time.perf_counter() - begun) * 1000


_ABOUT = "pages of usage and logs over a million requests"
CAMPAIGN = Campaign("million", "G1", _ABOUT, Effort(rounds=3), Effort(rounds=10), run, on_postgres=True)
