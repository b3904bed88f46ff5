"""What all tests share: a property that takes longer on a busy machine is no fault of the property; and a PostgreSQL server, where one is
asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.harness import postgres as harness

HERE = Path(__file__).parent

settings.register_profile("halley", deadline=None)
settings.load_profile("halley")

# Most of what these take is waiting for processes: they come first, beside each other, so that no worker is left with a long file when the
# others have run out of work. Without `--no-loadscope-reorder` they would come last, because a file of them has few tests.
WAITING = ("processes", "gateway", "control", "cli", "net", "contract", "serve")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(WAITING)}
    items.sort(key=lambda item: places.get(item.path.relative_to(HERE).parts[0], len(places)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[harness.Server]:
    """One for each process that runs tests."""
    try:
        with harness.running() as server:
            yield server
    except harness.NoServer as lack:
        if os.environ.get("CI") == "true":
            pytest.fail(str(lack))
        pytest.skip(str(lack))
