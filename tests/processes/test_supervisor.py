"""The supervisor with real processes, signals and sockets; only what the children do is fake."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from halley.supervise.doors import home_directory
from tests.processes.node import LIMIT_S, ROOT, command, environment, give, node, running, until


def test_a_node_starts_every_child_and_says_where_it_serves(tmp_path: Path) -> None:
    begun = time.monotonic()
    with node(tmp_path / "it's home", workers=2) as up:
        took = time.monotonic() - begun
        assert set(up.children()) == {"upstream", "control", "relay-0", "relay-1"}
        assert up.status()["pid"] == up.process.pid
        up.until(lambda: "curl" in up.said())
        assert f"Halley serves on http://127.0.0.1:{up.port()}/v1" in up.said()
        curl = next(line for line in up.said().splitlines() if line.startswith("curl"))
        shown = subprocess.run(
            ["sh", "-c", curl.replace("curl", "printf '%s\\n'", 1)], capture_output=True, text=True, timeout=LIMIT_S, check=True
        )
        words = shown.stdout.splitlines()
        assert "Authorization: Bearer sk-starter" in words
        assert json.loads(words[-1])["model"] == "local/docs-assistant"
        assert (up.home.stat().st_mode & 0o777, (up.home / "run").stat().st_mode & 0o777) == (0o700, 0o700)
        up.signal(signal.SIGTERM)
        assert up.ended() == 0
        assert not (up.home / "up.json").exists()
    assert took < 20.0


def test_nothing_is_announced_before_every_child_is_ready(tmp_path: Path) -> None:
    with node(tmp_path / "home", {"control": {"silent": True}}, wait=False) as up:
        up.until(lambda: len(up.events(what="ready")) == 2 and len(up.events("control", "started")) == 1)
        assert "curl" not in up.said()
        assert not (up.home / "up.json").exists()
        up.signal(signal.SIGTERM)
        assert up.ended() == 0


def test_a_child_that_fails_at_its_first_start_ends_the_node_with_its_message(tmp_path: Path) -> None:
    with node(tmp_path / "home", {"control": {"fail": "the master key is another one"}}, wait=False) as up:
        assert up.ended() == 1
        assert "the master key is another one" in up.said()
        assert "halley did not start: control ended with exit code 1" in up.said()
        assert len(up.events("control", "started")) == 1
    assert not any(running(event.pid) for event in up.events())


def test_a_crashed_child_is_started_again_and_the_others_stay(tmp_path: Path) -> None:
    with node(tmp_path / "home", workers=2) as up:
        for name in ("relay-1", "control", "upstream"):
            before = up.children()
            os.kill(before[name], signal.SIGKILL)
            up.until(lambda name=name, before=before: up.children().get(name, before[name]) != before[name])
            assert {other: pid for other, pid in up.children().items() if other != name} == {
                other: pid for other, pid in before.items() if other != name
            }
        assert "relay-1 was ended by SIGKILL; it is started again in 0.1 s." in up.said()


def test_restarts_become_rarer_while_a_child_keeps_crashing(tmp_path: Path) -> None:
    with node(tmp_path / "home") as up:
        give(up.home, {"relay-0": {"exit_after_s": 0.0}})
        os.kill(up.children()["relay-0"], signal.SIGKILL)
        up.until(lambda: len(up.events("relay-0", "started")) >= 6)
        starts = [event.at_ms for event in up.events("relay-0", "started")][1:]
        gone = [event.at_ms for event in up.events("relay-0", "gone")]
        pauses = [start - end for end, start in zip(gone, starts[1:], strict=False)]
        assert all(pause >= least for pause, least in zip(pauses, (200, 400, 800, 1600), strict=False)), pauses


def test_relays_end_first_then_control_then_the_upstream(tmp_path: Path) -> None:
    with node(tmp_path / "home", {"relay-0": {"drain_s": 0.3}, "relay-1": {"drain_s": 0.1}}, workers=2) as up:
        up.signal(signal.SIGTERM)
        assert up.ended() == 0
        order = [(event.name, event.what) for event in up.events() if event.what in ("unready", "end", "term1", "ended")]
        assert set(order[:2]) == {("relay-0", "unready"), ("relay-1", "unready")}
        assert set(order[2:4]) == {("relay-0", "end"), ("relay-1", "end")}
        assert order[4:] == [
            ("relay-1", "ended"),
            ("relay-0", "ended"),
            ("control", "term1"),
            ("control", "ended"),
            ("upstream", "term1"),
            ("upstream", "ended"),
        ]


def test_a_relay_that_does_not_end_in_its_time_is_killed(tmp_path: Path) -> None:
    with node(tmp_path / "home", {"relay-0": {"deaf": True}}, drain_seconds=0.5) as up:
        begun = time.monotonic()
        up.signal(signal.SIGINT)
        assert up.ended() == 0
        assert time.monotonic() - begun >= 5.5
        assert "relay-0 did not end in time and is killed." in up.said()
        assert [event.what for event in up.events("control")][-1] == "ended"


def test_a_second_signal_is_passed_on_at_once(tmp_path: Path) -> None:
    with node(tmp_path / "home", {"relay-0": {"drain_s": 50.0}}, drain_seconds=60.0) as up:
        up.signal(signal.SIGTERM)
        up.until(lambda: bool(up.events("relay-0", "end")))
        up.signal(signal.SIGTERM)
        assert up.ended() == 0
        assert up.events("relay-0", "now")
        assert up.events("control", "ended")


def test_a_control_that_crashes_while_relays_drain_comes_back_to_fold(tmp_path: Path) -> None:
    with node(tmp_path / "home", {"relay-0": {"drain_s": 1.5}}) as up:
        up.signal(signal.SIGTERM)
        up.until(lambda: bool(up.events("relay-0", "end")))
        os.kill(up.events("control", "started")[0].pid, signal.SIGKILL)
        assert up.ended() == 0
        assert len(up.events("control", "started")) == 2
        assert up.events("control", "ended")


def test_a_rolling_restart_replaces_every_relay_and_refuses_nobody(tmp_path: Path) -> None:
    with node(tmp_path / "home", workers=2) as up:
        before = up.children()
        old = {before["relay-0"], before["relay-1"]}
        served: list[int] = []
        faults: list[OSError | ValueError] = []
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                try:
                    served.append(up.answer())
                except (OSError, ValueError) as fault:
                    faults.append(fault)
                time.sleep(0.002)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            up.signal(signal.SIGHUP)
            up.until(lambda: not any(running(pid) for pid in old))
            enough = len(served) + 20
            up.until(lambda: len(served) >= enough)
        finally:
            over.set()
            asking.join(LIMIT_S)
        assert faults == []
        after = up.children()
        assert set(after) == set(before)
        assert (after["control"], after["upstream"]) == (before["control"], before["upstream"])
        assert not old & set(after.values())
        assert set(served[-20:]) <= {after["relay-0"], after["relay-1"]}
        assert (up.status()["reloads"], up.status()["refused"]) == (1, "")
        # One after the other, and each leaves only when its successor serves.
        for name in ("relay-0", "relay-1"):
            ready = up.events(name, "ready")[1].at_ms
            left = up.events(name, "leave")[0].at_ms
            assert ready <= left


def test_a_rolling_restart_that_fails_keeps_the_old_relays(tmp_path: Path) -> None:
    with node(tmp_path / "home") as up:
        before = up.children()
        give(up.home, {"relay-0": {"fail": "no"}})
        up.signal(signal.SIGHUP)
        up.until(lambda: "the old one stays" in up.said())
        up.until(lambda: up.status().get("reloads") == 1)
        assert "relay-0 ended with exit code 1" in str(up.status()["refused"])
        assert up.children() == before
        assert up.answer() == before["relay-0"]


def test_children_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with node(home, {"relay-0": {"deaf": True}}) as up:
        children = up.children().values()
        up.signal(signal.SIGKILL)
        up.ended()
        until(lambda: not any(running(pid) for pid in children))
    with node(home) as again:
        again.until(lambda: again.status()["pid"] == again.process.pid)


def test_a_second_node_on_one_home_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with node(tmp_path / "home") as up:
        second = subprocess.run(command(up.home, {}), capture_output=True, text=True, env=environment(), timeout=LIMIT_S, check=False)
        assert second.returncode == 1
        assert f"is in use by process {up.process.pid}" in second.stderr
        assert up.process.poll() is None


def test_a_taken_port_is_named_with_the_flag_that_helps(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, node(tmp_path / "home", wait=False, port=taken.getsockname()[1]) as up:
        assert up.ended() == 1
        assert f"Port {taken.getsockname()[1]} on 127.0.0.1 is taken" in up.said()
        assert "--port" in up.said()


def test_a_directory_of_other_things_is_not_made_a_home(tmp_path: Path) -> None:
    home = tmp_path / "work"
    home.mkdir()
    home.chmod(0o755)
    (home / "letter.txt").write_text("dear reader")
    up = subprocess.run(command(home, {}), capture_output=True, text=True, env=environment(), timeout=LIMIT_S, check=False)
    assert up.returncode == 1 and f"{home} holds other things than a home of Halley's" in up.stderr
    assert home.stat().st_mode & 0o777 == 0o755 and [each.name for each in home.iterdir()] == ["letter.txt"]


def test_a_directory_with_nothing_but_the_configuration_becomes_a_home(tmp_path: Path) -> None:
    (tmp_path / "halley.toml").touch()
    home_directory(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_the_command_is_named_as_the_reader_can_call_it(tmp_path: Path) -> None:
    place = tmp_path / "bin"
    place.mkdir()
    (place / "python").symlink_to(sys.executable)
    (place / "halley").touch()
    (place / "halley").chmod(0o755)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    packages = os.pathsep.join([str(ROOT / "src"), *sys.path])

    def named(cwd: Path, path: str) -> str:
        words = [str(place / "python"), "-c", "from halley.cli.up import commands; print(commands())"]
        done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env={"PATH": path, "PYTHONPATH": packages}, timeout=LIMIT_S)
        return done.stdout.strip() or done.stderr

    assert named(tmp_path, "/usr/bin") == "bin/halley"
    assert named(elsewhere, "/usr/bin") == str(place / "halley")
    assert named(elsewhere, f"/usr/bin{os.pathsep}{place}") == "halley"
