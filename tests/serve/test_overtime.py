"""However well a request goes, it ends in a bounded time."""

from __future__ import annotations

from pathlib import Path

from halley.serve.overtime import Overtime
from tests.serve.rig import rig


def test_a_request_over_its_time_gets_504_or_an_error_event_and_is_settled(tmp_path: Path) -> None:
    with rig(tmp_path) as relay:
        overtime = Overtime(relay.gateway.runs, 60.0)
        began = relay.gateway.monotonic()
        silent, flowing = relay.ask(), relay.ask(stream=True)
        relay.calls[1].stream(b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n')
        overtime.each_second(began + 59.0)
        assert not any(call.aborted for call in relay.calls)
        overtime.each_second(began + 61.0)
        relay.flush()
        assert all(call.aborted for call in relay.calls)
        assert (silent.status, silent.error["code"]) == (504, "timeout")
        assert flowing.finished and flowing.body.count(b'"error"') == 1
        assert sorted((end.ending, end.status) for end in relay.ends()) == [("broke", 200), ("failed", 504)]
        overtime.each_second(began + 62.0)
        assert len(relay.ends()) == 2
