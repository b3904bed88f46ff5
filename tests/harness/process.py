"""What both harnesses share: how a program of ours is started from a checkout, and how a test waits for something to become true."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
HALLEY = [sys.executable, "-m", "halley.cli.main"]
LIMIT_S = 30.0


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would reach into a test from outside: Halley's own settings, provider keys and proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HALLEY_", "COMET")) and not name.upper().endswith(("_API_KEY", "_PROXY", "_BASE_URL"))
    }
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "HALLEY_HOME": str(home), "HOME": str(home), **(more or {})}


def until(seen: Callable[[], bool], what: Callable[[], str], limit_s: float = LIMIT_S) -> None:
    """Returns when `seen` is true. Raises AssertionError with `what` after the limit."""
    limit = time.monotonic() + limit_s
    while not seen():
        assert time.monotonic() < limit, what()
        time.sleep(0.01)
