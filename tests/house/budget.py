"""A pytest plugin: `--budget SECONDS` ends a run that takes too long after the test in hand, with its closing line, as a failure."""

from __future__ import annotations

import time

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--budget", type=float, default=None, metavar="SECONDS", help="stop and fail when the run takes longer")


def pytest_configure(config: pytest.Config) -> None:
    seconds = config.getoption("budget")
    if seconds is not None:
        config.pluginmanager.register(Budget(time.monotonic() + seconds), "halley-budget")


class Budget:
    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    @pytest.hookimpl
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        if time.monotonic() > self._deadline:
            item.session.shouldfail = "the time budget of this run is used up"
