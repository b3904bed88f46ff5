"""What a command of the tester costs before it does anything, counted in modules, what a person at a terminal sees of it, and how it ends
where a stream is closed or full, or somebody stops it."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from halley.cli import tester
from halley.secret import Secret
from tests.contract.servers import GOOD_KEY, serving
from tests.harness.process import HALLEY, LIMIT_S, environment

_COUNT = """
import sys
from pathlib import Path
before = set(sys.modules)
import halley.cli.main, halley.cli.smoke, halley.cli.contract
print(*sorted(set(sys.modules) - before))
"""
# What a start of 0.16 s had on the reference machine (`python -m bench.start`); a dozen more are a tenth of it.
MOST = 225
HEAVY = {
    "email", "http", "http.client", "urllib.request", "xml", "sqlite3", "sqlalchemy", "starlette", "uvloop", "uvicorn", "cryptography",
    "halley.simulator", "halley.control", "halley.serve", "halley.net", "halley.store", "multiprocessing", "asyncio.windows_events",
}  # fmt: skip


def test_a_command_of_the_tester_imports_little_and_nothing_of_the_server() -> None:
    done = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True, check=True, timeout=60)
    found = set(done.stdout.split())
    assert "halley.contract.runner" in found
    assert (len(found) <= MOST, found & HEAVY) == (True, set()), len(found)


def at_a_terminal(home: Path, *words: str, **more: str) -> tuple[int, str]:
    """Exit code and what a person sees, both streams in their order."""
    master, slave = pty.openpty()
    environ = {"PATH": os.environ["PATH"], "HALLEY_HOME": str(home), "COMETAPI_KEY": "sk-terminal0123456789", "TERM": "xterm", **more}
    with subprocess.Popen(
        [sys.executable, "-m", "halley.cli.main", *words], stdin=slave, stdout=slave, stderr=slave, env=environ
    ) as process:
        os.close(slave)
        seen = b""
        try:
            while data := os.read(master, 65536):
                seen += data
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(master)
    return process.returncode, seen.decode().replace("\r\n", "\n")


def test_a_person_sees_what_is_wrong_and_what_to_do_on_one_screen(tmp_path: Path) -> None:
    code, seen = at_a_terminal(tmp_path, "contract", "run", "--base-url", "http://127.0.0.1:1/v1")
    assert code == 5
    assert "connection-refused: nothing listens on that host and port\n  fix: start the server or correct the port\n" in seen
    lines = seen.split("\x1b[K")[-1].splitlines()
    assert len(lines) < 40 and max(map(len, lines)) <= 100 and lines[-1].endswith("verdict: network")


def test_a_person_sees_progress_and_a_log_does_not(tmp_path: Path) -> None:
    code, seen = at_a_terminal(tmp_path, "contract", "run", "--mock")
    assert code == 0 and "[1/13] chat" in seen and seen.endswith("verdict: go\n")
    assert max(len(line) for line in seen.split("\x1b[K")[-1].splitlines()) <= 100
    environ = {"PATH": os.environ["PATH"], "HALLEY_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "halley.cli.main", "contract", "run", "--mock"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=True)
    assert done.stderr == "" and "\x1b" not in done.stdout


def test_the_records_of_a_smoke_test_end_with_what_is_wrong(tmp_path: Path) -> None:
    code, seen = at_a_terminal(tmp_path, "smoke", "--base-url", "http://127.0.0.1:1/v1")
    assert code == 5
    assert seen.endswith("  fix: start the server or correct the port\nverdict: network (connection-refused)\n")


@contextmanager
def started(home: Path, *words: str, **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """A tester of its own process that may be stopped as a person does, whatever started these tests."""
    process = subprocess.Popen(
        [*HALLEY, *words], env={**environment(home), "COMETAPI_KEY": GOOD_KEY}, text=True, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler), **streams,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_run_that_a_person_stops_is_no_verdict_and_leaves_no_record(tmp_path: Path) -> None:
    asked = threading.Event()

    def silent(_: bytes) -> None:
        asked.set()

    junit = tmp_path / "junit.xml"
    with serving(silent) as url, started(tmp_path, "smoke", "--base-url", url, "--record", f"junit={junit}") as process:
        assert asked.wait(LIMIT_S)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=LIMIT_S)[1]
        assert (process.returncode, junit.exists()) == (130, False)
    assert "interrupted: no verdict" in said and not list(tmp_path.glob("evidence/*/run.*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_result_that_nobody_got_is_no_go_and_a_reader_who_left_is_no_fault(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full, started(tmp_path, "smoke", "--mock", stdout=full) as process:
        assert "evidence_missing (record-failed)" in process.communicate(timeout=LIMIT_S)[1]
        assert process.returncode == 3
    with started(tmp_path, "smoke", "--mock", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert (process.wait(LIMIT_S), process.stderr and process.stderr.read()) == (0, "verdict: go\n")


def test_a_stream_that_was_closed_before_the_start_changes_nothing(tmp_path: Path) -> None:
    command = f"{shlex.join(HALLEY)} smoke --base-url http://127.0.0.1:1 <&-; echo $?; {shlex.join(HALLEY)} smoke --mock 2>&-; echo $?"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment(tmp_path), timeout=LIMIT_S, check=False)
    assert done.stdout.startswith("2\n") and done.stdout.endswith("\n0\n") and "no key: set" in done.stderr


def test_a_baseline_that_cannot_be_read_or_written_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    for path, told in ((tmp_path, "Is a directory"), (tmp_path / "no" / "file", "the directory of that file does not exist")):
        with pytest.raises(click.UsageError, match=told):
            tester.carry_out(tester.Asked(mock=True, baseline=path), "chat")


def test_a_run_in_which_nothing_passed_writes_no_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALLEY_HOME", str(tmp_path))
    key = tester.Key(Secret(GOOD_KEY), "COMETAPI_KEY", [])
    made = tester.carry_out(tester.Asked(base_url="http://127.0.0.1:1", model="m", baseline=tmp_path / "b"), "chat", key)
    assert (made.verdict, (tmp_path / "b").exists()) == ("network", False)


def test_a_terminal_that_cannot_write_over_a_line_gets_no_progress(tmp_path: Path) -> None:
    code, seen = at_a_terminal(tmp_path, "contract", "run", "--mock", "--contract", "chat-stream", TERM="dumb", NO_COLOR="1")
    assert (code, "\x1b" in seen, "verdict: go" in seen) == (0, False, True)
