"""The time budget of a test run ends it as a failure, with pytest's closing line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.tree import ROOT


def test_a_run_over_its_budget_fails_with_its_closing_line(tmp_path: Path) -> None:
    path = tmp_path / "test_long.py"
    path.write_text("def test_one(): pass\ndef test_two(): pass\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.house.budget", "-p", "no:cacheprovider", "--rootdir", tmp_path, path]

    def run(budget: str) -> tuple[int, str]:
        done = subprocess.run([*command, "--budget", budget], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
        return done.returncode, done.stdout

    code, out = run("60")
    assert code == 0 and "2 passed" in out
    code, out = run("0")
    assert code != 0 and "time budget" in out
