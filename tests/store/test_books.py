"""The ledger against a tiny model of it: whatever happens in whatever order, every nano-dollar is where the model has it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.harness.postgres import Server
from tests.store.bookkeeping import Books

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)

TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=_SLOW)


def test_the_books_agree_on_postgresql(postgres: Server) -> None:
    class There(Books):
        url = postgres.url(postgres.create())

    run_state_machine_as_test(There, settings=settings(TestBooks.settings, max_examples=8))
