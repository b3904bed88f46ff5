"""The ledger against a tiny model of it: whatever happens in whatever order, every nano-dollar is where the model has it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.store.bookkeeping import Books

TestBooks = Books.TestCase
TestBooks.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large)
)
