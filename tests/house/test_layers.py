"""The layer drawing holds, in what is written and in what a running relay has loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def loaded_by(module: str) -> set[str]:
    """Top-level packages in memory after an import, in an interpreter of its own."""
    code = f"import {module}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=True)
    return set(done.stdout.split())


def test_import_contracts_hold() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], capture_output=True, text=True, timeout=120, env=ENVIRONMENT, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["halley.serve.gateway", "halley.serve.__main__"])
def test_a_relay_loads_nothing_of_database_or_pages(module: str) -> None:
    assert not loaded_by(module) & {"sqlalchemy", "alembic", "sqlite3", "starlette", "uvicorn", "markdown_it", "click", "logging.config"}


def test_the_tester_loads_nothing_beyond_the_base_install() -> None:
    assert not loaded_by("halley.cli.smoke") & {"uvloop", "sqlalchemy", "starlette", "uvicorn", "cryptography", "markdown_it", "anyio"}
