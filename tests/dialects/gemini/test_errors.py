"""The shape of a Gemini error."""

from __future__ import annotations

import json

import pytest

from halley.dialects import error_writer, gemini
from halley.dialects.gemini.errors import error_object, write_error_element, write_error_event
from halley.errors import Condition, Refused

BUSY = Refused(Condition.OVERLOADED, "busy")


@pytest.mark.parametrize("condition", list(Condition))
def test_an_error_has_its_http_status_as_code_and_a_status_word(condition: Condition) -> None:
    status, fields, body = gemini.write_error(Refused(condition, "no"), "req_1")
    assert fields == b""
    assert json.loads(body) == {"error": {"code": status, "message": "no", "status": condition.value.gemini_status}}


def test_paths_under_v1beta_answer_in_these_words() -> None:
    assert error_writer(b"/v1beta/models/x:generateContent") is gemini.write_error


def test_in_a_stream_it_is_a_frame_or_the_last_element() -> None:
    body = gemini.write_error(BUSY, "req_1")[2]
    assert write_error_event(BUSY, "req_1") == b"data: " + body + b"\n\ndata: "
    assert json.loads(write_error_element(BUSY, "req_1", first=True)) == [json.loads(body)]
    assert json.loads(b"[{}" + write_error_element(BUSY, "req_1", first=False)) == [{}, json.loads(body)]


@pytest.mark.parametrize(
    ("status", "word", "own"),
    [(400, "invalid_request_error", "INVALID_ARGUMENT"), (418, "", "INTERNAL"), (400, "OUT_OF_RANGE", "OUT_OF_RANGE")],
)
def test_words_of_other_dialects_become_those_of_the_status(status: int, word: str, own: str) -> None:
    assert error_object(status, "no", word)["error"] == {"code": status, "message": "no", "status": own}
