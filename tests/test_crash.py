"""Two keys arm a crash point, it kills once, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from halley import crash

PROGRAM = """
import sys
from halley import crash
armed = crash.arm("relay", sys.argv[1], {"HALLEY_CRASH": sys.argv[2]})
for turn in range(5):
    print(turn, flush=True)
    crash.here("relay.start.written")
    crash.here("relay.end.written")
print("lived", armed)
"""


def live(home: Path, value: str) -> tuple[int, list[str], str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(home), value], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def permit(home: Path, *names: str) -> None:
    (home / crash.PERMITS).mkdir(exist_ok=True)
    for name in names:
        (home / crash.PERMITS / name).touch()


def test_one_key_alone_arms_nothing(tmp_path: Path) -> None:
    assert live(tmp_path, "relay.start.written")[1][-1].strip() == "lived"
    permit(tmp_path, "relay.start.written")
    assert live(tmp_path, "")[1][-1].strip() == "lived"
    assert (tmp_path / "crash" / "relay.start.written").exists()


def test_a_process_dies_the_nth_time_and_says_before_that_it_will(tmp_path: Path) -> None:
    permit(tmp_path, "relay.start.written")
    code, said, log = live(tmp_path, "relay.start.written:3")
    assert (code, said) == (-9, ["0", "1", "2"])
    assert "THIS PROCESS WILL KILL ITSELF" in log and "relay.start.written" in log


def test_a_permit_is_good_for_one_death_and_the_next_point_of_the_list_follows(tmp_path: Path) -> None:
    permit(tmp_path, "relay.start.written", "relay.end.written")
    value = "control.fold.read,relay.start.written,relay.end.written:2"
    assert [live(tmp_path, value)[:2] for _ in range(2)] == [(-9, ["0"]), (-9, ["0", "1"])]
    assert live(tmp_path, value)[1][-1].strip() == "lived"


def test_a_permit_that_another_process_took_kills_nobody(tmp_path: Path) -> None:
    permit(tmp_path, "relay.start.written")
    armed = crash.Armed("relay.start.written", 1, str(tmp_path / "crash" / "relay.start.written"))
    (tmp_path / "crash" / "relay.start.written").unlink()
    assert not armed.due("relay.start.written")
    assert not armed.due("relay.start.written")


@pytest.mark.parametrize("value", ["relay.nowhere", "relay.start.written:0", "relay.start.written:x", "yes"])
def test_what_is_no_point_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(crash.CannotArm, match=r"relay\.start\.unwritten"):
        crash.arm("control", str(tmp_path), {"HALLEY_CRASH": value})
