"""What is read along an answer that passes as it came."""

from __future__ import annotations

import pytest

from halley.chat.usage import Usage, Whole
from halley.dialects.gemini.errors import is_error
from halley.dialects.gemini.reply import GeminiMeter, content_bytes, meter, read_whole
from halley.dialects.gemini.request import peek
from halley.wire import sse
from tests.dialects.gemini.samples import answer_bytes, cases, stream_bytes


def metered(data: bytes, step: int = 1 << 20) -> GeminiMeter:
    found = meter(peek(b'{"contents": {}}', b"/v1beta/models/m:streamGenerateContent"), strip=True)
    given = b"".join(found.feed(data[start : start + step]) for start in range(0, len(data), step)) + found.rest()
    assert given == data[: len(given)]
    return found


def test_whole_answers() -> None:
    assert read_whole(answer_bytes("thinking")) == Whole(Usage(input=8, output=63, cache_read=4, reasoning=60), True)
    assert read_whole(answer_bytes("blocked_prompt")) == Whole(Usage(input=8), True)
    assert read_whole(b'{"error": {}}') == Whole(None, False)
    assert read_whole(b'{"candidates": [], "usageMetadata": {"promptTokenCount": -1}}') == Whole(None, True)
    assert read_whole(b"[]") is read_whole(b"") is None


def test_content_is_text_and_arguments() -> None:
    assert (
        content_bytes(
            b'{"candidates": [{"content": {"parts": [{"text": "\xc3\xa9a"}, {"functionCall": {"name": "f", "args": {"a":1}}}, {}]}}]}'
        )
        == 10
    )
    assert content_bytes(b'{"text": "abc", "tex') == 3


@pytest.mark.parametrize("step", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("case", [case for case in cases("streams") if case != "error_midway"])
def test_the_last_report_counts_however_the_stream_was_cut(case: str, step: int) -> None:
    found = metered(stream_bytes(case), step)
    last = [frame for frame in sse.frames(stream_bytes(case))][-1]
    assert found.usage == found.usage_of(last) != None  # noqa: E711
    assert found.finished and not found.failed and not found.done
    assert found.counted[0] == len(stream_bytes(case))


def test_a_stream_that_was_cut_has_a_partial_report_and_what_was_delivered() -> None:
    found = metered(stream_bytes("text").split(b"data: ")[1].join([b"data: ", b""]) + b'data: {"candidates": [{"finishReason": "STOP"')
    assert (found.usage, found.partial, found.finished) == (None, Usage(input=8), False)
    assert found.delivered_bytes == 3


def test_an_error_is_no_end() -> None:
    found = metered(stream_bytes("error_midway"))
    assert found.failed and not found.finished and found.usage is None


def test_text_about_an_end_is_none() -> None:
    frame = b'data: {"candidates": [{"content": {"parts": [{"text": "say \\"finishReason\\": \\"STOP\\" and {\\"error\\": 1}"}]}}]}\n\n'
    assert not metered(frame).finished and not metered(frame).failed


@pytest.mark.parametrize(
    ("body", "readable"),
    [(b'{"error": {}}', True), (b'[{"error": {}}]', True), (b'{"message": "x"}', True), (b"[]", False), (b"<html>", False), (b"{}", False)],
)
def test_errors_that_a_client_can_read(body: bytes, readable: bool) -> None:
    assert is_error(body) is readable
