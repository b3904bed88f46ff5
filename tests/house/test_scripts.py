"""The scripts run in a plain POSIX shell with nothing but coreutils and a Python, install once, and say what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.house.tree import ROOT

COREUTILS = ("sh", "cat", "mkdir", "rm", "mv", "chmod", "printf", "dirname", "cksum", "sleep", "env", "ln")
SHELL = [
    path for path in sorted((ROOT / "script").iterdir()) if path.is_file() and path.read_bytes().startswith((b"#!/bin/sh", b"# Sourced"))
]

# Stands in for an interpreter: makes a "virtual environment" of itself, counts installs, and shows what is started.
PYTHON = """#!/bin/sh
case "$*" in
    *"import venv, ensurepip"*) [ ! -f {box}/no-venv ] ;;
    *"version_info >= (3, 11)"*) [ ! -f {box}/too-old ] ;;
    *version_info*) echo 3.11 ;;
    "-m venv "*) mkdir -p "$3/bin" "$3/site" && cat "$0" >"$3/bin/python" && chmod +x "$3/bin/python" ;;
    "-m pip --version") ;;
    "-m pip install "*) echo install >>{box}/installs; sleep {pause}; [ ! -f {box}/offline ] ;;
    *get_path*) echo "${{0%/bin/python}}/site" ;;
    *shlex*) printf '#!/bin/sh\\nexec "%s" -P -m halley.cli.main "$@"\\n' "$0" ;;
    "-P -m halley.cli.main "*) echo "started: $*"; echo "bytecode: ${{PYTHONDONTWRITEBYTECODE-unset}}" ;;
esac
"""


class Box:
    """A copy of the scripts and locks in a directory of its own, and a PATH that holds coreutils and a stand-in for Python."""

    def __init__(self, place: Path, pause: str = "0") -> None:
        self.place = place
        self.checkout = place / "it's a checkout"
        shutil.copytree(ROOT / "script", self.checkout / "script")
        (self.checkout / "src").mkdir()
        for lock in ROOT.glob("*.lock"):
            shutil.copy(lock, self.checkout)
        self.path = place / "bin"
        self.path.mkdir()
        for command in COREUTILS:
            found = shutil.which(command)
            assert found
            (self.path / command).symlink_to(found)
        python = self.path / "python3.11"
        python.write_text(PYTHON.format(box=place, pause=pause), encoding="utf-8")
        python.chmod(0o755)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", self.checkout / "script" / "server", *words],
            env={"PATH": str(self.path), "HOME": str(self.place / "home"), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.place,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def set(self, flag: str) -> None:
        (self.place / flag).touch()

    @property
    def installs(self) -> int:
        path = self.place / "installs"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_a_script_is_posix_shell(script: Path) -> None:
    shell = shutil.which("dash")
    if shell is None and not os.environ.get("CI"):
        pytest.skip("dash is not installed")
    assert shell, "install dash"
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    text = script.read_text(encoding="utf-8")
    for bashism in ("[[ ", "function ", "source ", "<<<", "&>", "pipefail", "local ", "$'"):
        assert not any(line.strip().startswith(bashism) or f" {bashism}" in line for line in text.splitlines() if "#" not in line), bashism


def commands() -> Iterable[Path]:
    return [path for path in (*(ROOT / "script").iterdir(), ROOT / ".ci" / "run") if path.is_file() and path.read_bytes().startswith(b"#!")]


@pytest.mark.parametrize("script", commands(), ids=lambda path: path.name)
def test_a_script_can_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)


def test_the_first_start_installs_and_the_second_does_not(tmp_path: Path) -> None:
    box = Box(tmp_path)
    code, out, err = box.run("--port", "0", "a b")
    assert (code, box.installs) == (0, 1), err
    assert "started: -P -m halley.cli.main up --port 0 a b" in out
    assert "bytecode: unset" in out
    assert (box.checkout / ".venv" / "site" / "halley.pth").read_text(encoding="utf-8") == f"{box.checkout}/src\n"
    code, out, err = box.run()
    assert (code, err, box.installs) == (0, "", 1)


def test_a_changed_lock_or_a_moved_checkout_installs_again(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.run()
    with (box.checkout / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    box.run()
    assert box.installs == 2
    box.checkout = box.checkout.rename(tmp_path / "elsewhere")
    box.run()
    assert box.installs == 3
    assert (box.checkout / ".venv" / "site" / "halley.pth").read_text(encoding="utf-8") == f"{box.checkout}/src\n"


def test_an_install_that_fails_is_said_and_tried_again(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.set("offline")
    code, out, err = box.run()
    assert (code, out) == (1, "")
    assert "could not be installed" in err
    (tmp_path / "offline").unlink()
    assert box.run()[0] == 0
    assert box.installs == 2


def test_two_starts_at_once_install_once(tmp_path: Path) -> None:
    box = Box(tmp_path, pause="1")
    both = [box.start(), box.start()]
    for process in both:
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert "started:" in out
    assert box.installs == 1
    assert not (box.checkout / ".venv.lock").exists()


def test_the_mark_of_a_start_that_died_is_taken_over(tmp_path: Path) -> None:
    box = Box(tmp_path)
    gone = subprocess.Popen(["true"])
    gone.wait(timeout=10)
    mark = box.checkout / ".venv.lock"
    mark.mkdir()
    (mark / "pid").write_text(f"{gone.pid}\n", encoding="utf-8")
    assert box.run()[0] == 0
    assert not mark.exists()


def test_a_missing_venv_is_answered_with_the_line_to_type(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.set("no-venv")
    code, _, err = box.run()
    assert code == 1
    assert "sudo apt-get install -y python3.11-venv" in err


def test_a_missing_python_is_answered_with_the_line_to_type(tmp_path: Path) -> None:
    box = Box(tmp_path)
    (box.path / "python3.11").unlink()
    code, _, err = box.run()
    assert code == 1
    assert "sudo apt-get install -y python3 python3-venv" in err
