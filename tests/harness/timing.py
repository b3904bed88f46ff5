"""Which tests may hold a time against a bound, and where."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., object])


def timed(test: Test) -> Test:
    """On Python 3.11, of which the bounds are, and alone: beside other tests a path with much code waits for its caches, where a small
    reference loop does not. script/check runs these."""
    other = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the bounds are of Python 3.11, on which script/check in CI runs")
    beside = pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="a timing is taken alone, by script/check")
    return other(beside(test))
