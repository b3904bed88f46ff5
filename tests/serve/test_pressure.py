"""Overload: what starts it, what ends it, and what a client is told meanwhile."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from halley.serve.pressure import BEAT_S, CALM_S, LATE_BEATS, Pressure, memory_limit
from tests.serve.rig import rig

MB = 1 << 20


def watch(memory: int = 100 * MB) -> Pressure:
    return Pressure(0.2, memory)


def beats(pressure: Pressure, late_s: float, count: int, now: float = 0.0) -> float:
    for _ in range(count):
        now += BEAT_S + late_s
        pressure.beat(late_s, now)
    return now


def test_one_late_beat_refuses_nobody() -> None:
    pressure = watch()
    pressure.beat(5.0, 5.0)
    assert pressure.refusal is None
    beats(pressure, 0.0, 1)
    beats(pressure, 5.0, LATE_BEATS - 1)
    assert pressure.refusal is None
    assert pressure.late == LATE_BEATS


def test_late_beats_in_a_row_refuse_and_a_calm_second_ends_it() -> None:
    pressure = watch()
    now = beats(pressure, 0.25, LATE_BEATS)
    assert pressure.reason == "lag"
    assert pressure.refusal is not None and pressure.refusal.retry_after_s == CALM_S
    calm = round(CALM_S / BEAT_S)
    now = beats(pressure, 0.0, calm - 2, now)
    now = beats(pressure, 0.15, 1, now)  # under the limit, and not calm
    now = beats(pressure, 0.0, calm - 2, now)
    assert pressure.reason == "lag", "it does not flap"
    beats(pressure, 0.0, 3, now)
    assert pressure.reason is None and pressure.refusal is None


def test_memory_refuses_over_its_limit_and_ends_well_below_it() -> None:
    pressure = watch()
    pressure.beat(0.0, 1.0, 101 * MB)
    assert pressure.reason == "memory"
    pressure.beat(0.0, 2.0, 99 * MB)
    assert pressure.reason == "memory", "it does not flap"
    pressure.beat(0.0, 3.0, 94 * MB)
    assert pressure.reason is None


def test_the_lag_that_is_shown_is_the_worst_of_the_last_second() -> None:
    pressure = watch()
    for late_s in (0.01, 0.3, 0.02):
        pressure.beat(late_s, 1.0)
    pressure.each_second()
    assert pressure.lag_s == 0.3
    pressure.each_second()
    assert pressure.lag_s == 0.0


def test_a_loop_that_is_held_up_is_noticed_and_its_memory_is_known() -> None:
    async def work() -> Pressure:
        pressure = Pressure(0.02, 1 << 50)
        pressure.start(asyncio.get_running_loop())
        for _ in range(LATE_BEATS + 1):
            time.sleep(0.15)  # this is the load
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert pressure.reason == "lag"
        limit = time.monotonic() + 20
        while not pressure.resident and time.monotonic() < limit:  # noqa: ASYNC110
            await asyncio.sleep(BEAT_S)
        pressure.stop()
        return pressure

    pressure = asyncio.run(work())
    assert 5 * MB < pressure.resident < 1 << 40
    assert pressure.late >= LATE_BEATS


@pytest.mark.parametrize(("configured", "workers", "least", "most"), [(64, 4, 64 * MB, 64 * MB), (None, 1, 64 * MB, 1 << 50)])
def test_the_memory_limit_is_what_is_configured_or_a_share_of_the_machine(
    configured: int | None, workers: int, least: int, most: int
) -> None:
    assert least <= memory_limit(configured, workers) <= most


def test_relays_share_the_machine() -> None:
    assert memory_limit(None, 4) == memory_limit(None, 1) // 4


def test_in_overload_new_work_is_refused_without_a_trace_and_open_streams_go_on(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        stream = found.ask(stream=True)
        found.call.stream(b'data: {"choices":[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}\n\n')
        pressure = found.gateway.pressure
        beats(pressure, 0.25, LATE_BEATS)
        refused = found.ask()
        assert refused.status == 503
        assert refused.error["code"] == "overloaded"
        assert refused.field("retry-after") == "1"
        assert len(found.calls) == 1 and len(found.records()) == 1
        ready = found.post(b"", path=b"/readyz", method=b"GET")
        assert b'"overloaded":"lag"' in ready.body
        found.call.stream(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n', done=True)
        found.flush()
        assert stream.body.endswith(b"data: [DONE]\n\n")
        beats(pressure, 0.0, round(CALM_S / BEAT_S) + 1, 10.0)
        assert found.ask().status == 0, "admitted: its answer is the upstream's to give"
        found.call.fail("connect", written=False)


def test_in_overload_a_large_body_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        limit = found.gateway.limit
        assert limit(b"POST", b"/v1/chat/completions", {b"content-length": b"20000000"}) == 1 << 25
        found.gateway.pressure.beat(0.0, 1.0, 1 << 50)
        assert limit(b"POST", b"/v1/chat/completions", {b"content-length": b"20000"}) == 1 << 25
        for fields in ({b"content-length": b"20000000"}, {b"transfer-encoding": b"chunked"}):
            with pytest.raises(Exception, match="more to do than it can"):
                limit(b"POST", b"/v1/chat/completions", fields)
        found.gateway.pressure.beat(0.0, 1.0, 0)
