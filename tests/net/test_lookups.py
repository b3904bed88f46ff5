"""Look-ups in threads of their own: bounded in number, abandoned without harm."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest
from net_harness import run, until

from halley.net.lookups import LOOKUPS, LookUps, look_up


def test_answers_and_faults_come_to_whoever_asked(loop: str) -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        if host == "nowhere.test":
            raise OSError("there is no such name")
        return [f"{host}:{port}"]

    async def work() -> None:
        lookups = LookUps(resolve)
        assert await asyncio.gather(*(lookups.ask("a", port) for port in range(50))) == [[f"a:{port}"] for port in range(50)]
        with pytest.raises(OSError, match="no such name"):
            await lookups.ask("nowhere.test", 80)

    run(loop, work)


def test_only_so_many_run_at_once_even_when_nobody_waits_for_them_any_more(loop: str) -> None:
    held = threading.Event()
    begun: list[str] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        begun.append(host)
        held.wait(10)
        return [host]

    async def work() -> None:
        lookups = LookUps(resolve)
        tasks = [asyncio.ensure_future(lookups.ask(f"h{number}", 80)) for number in range(LOOKUPS + 4)]
        await until(lambda: len(begun) == LOOKUPS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        waiting = asyncio.ensure_future(lookups.ask("next", 80))
        await asyncio.sleep(0.05)
        assert len(begun) == LOOKUPS
        held.set()
        assert await waiting == ["next"]

    run(loop, work)


def test_the_systems_resolver_gives_addresses_as_text() -> None:
    assert "127.0.0.1" in look_up("127.0.0.1", 80)
    with pytest.raises(UnicodeError):
        look_up("a" * 64 + ".test", 80)


def test_a_look_up_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    code = """
import asyncio, time
from halley.net.lookups import LookUps
async def main():
    lookups = LookUps(lambda host, port: time.sleep(60))
    try:
        await asyncio.wait_for(lookups.ask("a.test", 80), 0.05)
    except TimeoutError:
        print("gone")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "gone\n", "")
