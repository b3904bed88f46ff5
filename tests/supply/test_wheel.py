"""The wheel on its own: built, put into an empty environment with the base requirements alone, and good for a whole run of the tester."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

pytestmark = pytest.mark.skipif(os.environ.get("CI") != "true", reason="builds and installs from a package registry: run with CI=true")


def out(*command: str | Path, home: Path | None = None) -> str:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "PIP_", "HTTP", "http", "SSL", "LANG"))}
    environ = {**kept, "HALLEY_HOME": str(home)} if home else kept
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environ, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    out(sys.executable, "-m", "venv", place / "venv")
    pip = (place / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "-q")
    out(*pip, "wheel", "--no-deps", "-w", place, ROOT)
    (wheel,) = place.glob("halley-*.whl")
    out(*pip, "install", "--require-hashes", "-r", ROOT / "requirements-base.lock")
    out(*pip, "install", "--no-deps", "--no-index", wheel)
    out(*pip, "check")
    return place / "venv"


def test_the_base_install_is_halley_and_three_packages(venv: Path) -> None:
    listed = json.loads(out(venv / "bin" / "python", "-m", "pip", "list", "--format=json", "--disable-pip-version-check"))
    assert {each["name"].lower() for each in listed} - {"pip", "setuptools"} == {"click", "halley", "httptools", "msgspec"}


def test_the_tester_of_a_base_install_runs_every_contract_against_its_own_simulator(venv: Path, tmp_path: Path) -> None:
    halley = venv / "bin" / "halley"
    run = json.loads(out(halley, "contract", "run", "--mock", "--profile", "full", "--json", home=tmp_path))
    assert (run["verdict"], [each["contract"] for each in run["not_run"]]) == ("go", ["rate-limit"])
    assert {each["result"] for each in run["outcomes"]} == {"pass"} and len(run["outcomes"]) > 20
    smoke = json.loads(out(halley, "smoke", "--mock", "--json", home=tmp_path))
    assert (smoke["verdict"], smoke["smoke_test_run"]["pass_fail"]) == ("go", "PASS")
    assert "| Verdict | go (exit 0) |" in out(halley, "contract", "report", "last", home=tmp_path)
