"""The shape of a Gemini error."""

import json

import pytest

from halley.dialects import error_writer, gemini
from halley.errors import Condition, Refused


@pytest.mark.parametrize("condition", list(Condition))
def test_an_error_has_its_http_status_as_code_and_a_status_word(condition: Condition) -> None:
    status, fields, body = gemini.write_error(Refused(condition, "no"), "req_1")
    assert fields == b""
    assert json.loads(body) == {"error": {"code": status, "message": "no", "status": condition.value.gemini_status}}


def test_paths_under_v1beta_answer_in_these_words() -> None:
    assert error_writer(b"/v1beta/models/x:generateContent") is gemini.write_error
