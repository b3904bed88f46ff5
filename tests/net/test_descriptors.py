"""Clients get the descriptors that the process may have, and no more than were asked for."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from halley.net.descriptors import clients
from tests.house.tree import ROOT


@pytest.mark.parametrize(("wanted", "limit", "most"), [(16384, 1 << 20, 16384), (16384, 1024, 384), (100, 1024, 100), (100, 10, 1)])
def test_two_descriptors_stand_behind_a_client(wanted: int, limit: int, most: int) -> None:
    assert clients(wanted, limit) == most


def test_the_limit_is_raised_as_far_as_it_may_be() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = (
        "import resource; from halley.net.descriptors import raise_limit;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}));"
        "print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT / "src")
    told, is_now = map(int, done.stdout.split())
    assert told == is_now
    assert told == hard or hard == resource.RLIM_INFINITY
