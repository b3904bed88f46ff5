"""The shape of an Anthropic error."""

import json

from halley.dialects import anthropic, error_writer
from halley.errors import Condition, Refused


def test_an_error_has_the_type_of_the_table_and_the_request_id_twice() -> None:
    status, fields, body = anthropic.write_error(Refused(Condition.BAD_KEY, "no"), "req_1")
    assert (status, fields) == (401, b"request-id: req_1\r\n")
    assert json.loads(body) == {"type": "error", "error": {"type": "authentication_error", "message": "no"}, "request_id": "req_1"}


def test_overload_has_a_status_of_its_own() -> None:
    assert anthropic.write_error(Refused(Condition.OVERLOADED, "busy"), "r")[0] == 529


def test_paths_under_messages_answer_in_these_words() -> None:
    assert error_writer(b"/v1/messages") is anthropic.write_error
    assert error_writer(b"/v1/messages/count_tokens") is anthropic.write_error
