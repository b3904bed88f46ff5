"""Crash points are documented, stand where they say, and cost an unarmed process nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from halley import crash
from halley.serve.crashes import WRAPPED
from tests.house.tree import ROOT, modules, name, parsed

DOORS = ("crash.here", "crash.due", "_soon")


def calls() -> list[tuple[str, str]]:
    """Module and point of every `here("…")`, `due("…")` and `_soon("…")`."""
    found: list[tuple[str, str]] = []
    for path in modules():
        for node in ast.walk(parsed(path)):
            match node:
                case ast.Call(func=func, args=[ast.Constant(value=str(point))]) if ast.unparse(func) in (
                    "crash.here",
                    "crash.due",
                    "_soon",
                ):
                    found.append((name(path), point))
                case _:
                    continue
    return found


def test_every_point_stands_in_exactly_one_place() -> None:
    assert sorted(point for _, point in calls()) == sorted(crash.POINTS)


def test_the_relays_points_are_not_in_its_way() -> None:
    assert {module for module, point in calls() if point.startswith("relay.")} == {"serve/crashes.py"}
    assert {module for module, _ in calls() if module.startswith(("serve/", "net/"))} == {"serve/crashes.py"}


def test_an_unarmed_relay_does_not_load_them() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, halley.serve.__main__; print('halley.serve.crashes' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "False\n"


@pytest.mark.parametrize(("owner", "method"), [(owner, method) for owner, method, _ in WRAPPED], ids=lambda value: str(value))
def test_what_is_wrapped_exists(owner: type, method: str) -> None:
    assert callable(vars(owner).get(method)), f"serve/crashes.py wraps {owner.__name__}.{method}, which is gone"


def test_every_point_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `((?:relay|control|move)\.[\w.]+)` \| (.*) \|$", text, re.MULTILINE)) == crash.POINTS
