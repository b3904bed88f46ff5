"""The command line answers at once, loads what it runs, and says plainly what is missing."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

from halley.cli import main


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from halley.cli.main import halley\n"
        "try: halley(['--help'])\n"
        "except SystemExit: pass\n"
        "loaded = [m for m in sys.modules if m.startswith('halley.') and m not in ('halley.cli', 'halley.cli.main', 'halley.errors')]\n"
        "assert not loaded, loaded\n"
        "assert not {'sqlalchemy', 'starlette', 'uvicorn', 'asyncio', 'ssl'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in main.COMMANDS)


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main.halley, ["bogus"])
    assert result.exit_code == 2
    assert "No such command" in result.stderr


def test_a_missing_dependency_is_named_with_its_remedy() -> None:
    assert 'install "halley[server]"' in main._missing("up", "uvicorn")
    assert "not part of this installation" in main._missing("up", "halley.cli.up")


def test_a_command_that_finds_a_running_control_loads_neither_the_database_nor_the_catalogue() -> None:
    code = (
        "import importlib, sys\n"
        "for name in 'keys accounts credit balance budgets teams users tokens ledger logs models'.split():\n"
        "    importlib.import_module(f'halley.cli.{name}')\n"
        "import halley.control.asks\n"
        "heavy = {'sqlalchemy', 'alembic', 'cryptography', 'starlette', 'asyncio', 'halley.exchanges', 'halley.policy.catalogue'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
