"""A stream of events as one array."""

from __future__ import annotations

import json

import pytest

from halley.dialects.gemini import Elements
from halley.errors import Condition, Refused
from halley.wire import sse
from tests.dialects.gemini.samples import cases, stream_bytes


@pytest.mark.parametrize("case", cases("streams"))
def test_elements_are_the_frames(case: str) -> None:
    found = Elements()
    frames = [*sse.frames(stream_bytes(case))]
    data = b"".join(found.feed(frame) for frame in frames) + found.feed(b": nothing\n\n") + found.end() + found.end()
    assert json.loads(data) == [json.loads(sse.payload(frame)) for frame in frames] and found.over


def test_an_array_of_nothing_and_one_that_fails() -> None:
    assert Elements().end() == b"[]"
    refusal = Refused(Condition.UPSTREAM, "broken")
    assert json.loads(Elements().fail(refusal, "req_1"))[0]["error"]["message"] == "broken"
    begun = Elements()
    assert [*json.loads(begun.feed(b"data: {}\n\n") + begun.fail(refusal, "req_1"))[1]] == ["error"] and begun.end() == b""
