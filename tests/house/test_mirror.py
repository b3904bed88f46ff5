"""Every module has its test: `src/halley/policy/urls.py` is tested in `tests/policy/test_urls.py`.

A module that is better tested through a neighbour stands in `ELSEWHERE` with the file that does it. Modules without a function or class of
their own, such as a table in `__init__.py`, are tested through their users.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.tree import ROOT, modules, name, parsed

ELSEWHERE: dict[str, str] = {
    # Values that processes exchange: written and read in the tests of both ends.
    "chat/usage.py": "policy/test_pricing.py",
    "policy/snapshot.py": "policy/test_routing.py",
    "store/journal.py": "serve/test_journal.py",
    # The ways of a whole request.
    "serve/relay.py": "serve/test_relay.py",
    "cli/settings.py": "cli/test_config.py",
}


def expected(path: Path) -> str:
    place = path.relative_to(path.parents[len(Path(name(path)).parts) - 1])
    return ELSEWHERE.get(name(path), (place.parent / f"test_{path.stem}.py").as_posix())


def has_code(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in parsed(path).body)


@pytest.mark.parametrize("path", [path for path in modules() if path.stem not in ("__init__", "__main__") and has_code(path)], ids=name)
def test_a_module_has_its_test(path: Path) -> None:
    assert (ROOT / "tests" / expected(path)).is_file(), f"write tests/{expected(path)}, or name another file in ELSEWHERE and say why"


def test_elsewhere_names_modules_that_exist() -> None:
    assert not {module for module in ELSEWHERE if not (ROOT / "src" / "halley" / module).is_file()}
