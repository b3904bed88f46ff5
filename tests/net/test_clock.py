from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime

from net_harness import run, until

from halley.net.clock import Clock


def test_every_sweep_refreshes_the_time_and_calls_who_asked(loop: str) -> None:
    async def work() -> None:
        clock = Clock(period_s=0.01)
        calls: list[float] = []
        clock.every_second.append(lambda: calls.append(clock.now))
        clock.start(asyncio.get_running_loop())
        await until(lambda: len(calls) >= 3)
        clock.stop()
        assert calls == sorted(set(calls))
        assert clock.tick() >= calls[-1]
        assert abs(parsedate_to_datetime(clock.date.decode()).timestamp() - clock.wall) < 1.01
        assert clock.date.endswith(b" GMT")
        stopped_at = len(calls)
        await asyncio.sleep(0.05)
        assert len(calls) == stopped_at

    run(loop, work)


def test_a_sweep_that_raises_is_not_the_last(loop: str) -> None:
    async def work() -> None:
        clock = Clock(period_s=0.01)
        calls: list[int] = []
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

        def fail() -> None:
            calls.append(1)
            raise ArithmeticError

        clock.every_second.append(fail)
        clock.start(asyncio.get_running_loop())
        await until(lambda: len(calls) >= 2)
        clock.stop()
        assert len(reported) >= 1

    run(loop, work)
