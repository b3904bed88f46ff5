"""The shape of an Anthropic error, written and read."""

import json

import pytest

from halley.chat.doors import ProviderError
from halley.dialects import anthropic, error_writer
from halley.dialects.anthropic import errors
from halley.errors import Condition, Refused


def test_an_error_has_the_type_of_the_table_and_the_request_id_twice() -> None:
    status, fields, body = anthropic.write_error(Refused(Condition.BAD_KEY, "no"), "req_1")
    assert (status, fields) == (401, b"request-id: req_1\r\n")
    assert json.loads(body) == {"type": "error", "error": {"type": "authentication_error", "message": "no"}, "request_id": "req_1"}


def test_overload_has_a_status_of_its_own() -> None:
    assert anthropic.write_error(Refused(Condition.OVERLOADED, "busy"), "r")[0] == 529


def test_a_code_stands_where_the_sdk_looks_for_it() -> None:
    _, _, body = anthropic.write_error(Refused(Condition.INVALID, "no threads", code="thread_unsupported_request"), "r")
    assert json.loads(body)["error"]["details"] == {"error_code": "thread_unsupported_request"}


def test_paths_under_messages_answer_in_these_words() -> None:
    assert error_writer(b"/v1/messages") is anthropic.write_error
    assert error_writer(b"/v1/messages/count_tokens") is anthropic.write_error


def test_an_error_event_has_a_name() -> None:
    event = errors.write_error_event(Refused(Condition.UPSTREAM, "broken"), "req_1")
    assert event == b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"broken"},"request_id":"req_1"}\n\n'


@pytest.mark.parametrize(
    "body, error",
    [
        (
            b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: Field required"},"request_id":"req_9"}',
            ProviderError(400, "max_tokens: Field required", "invalid_request_error"),
        ),
        (
            b'{"error":{"type":"invalid_request_error","message":"m","details":{"error_code":"thread_not_found"}}}',
            ProviderError(400, "m", "thread_not_found"),
        ),
        (b'{"error":{"type":"api_error","details":null}}', ProviderError(400, "The provider answered with status 400.", "api_error")),
        (b"<html>secret</html>", ProviderError(400, "The provider answered with status 400.")),
        (b'{"error":"text"}', ProviderError(400, "The provider answered with status 400.")),
    ],
)
def test_a_refusal_is_read(body: bytes, error: ProviderError) -> None:
    assert errors.read_error(400, body) == error


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (529, "overloaded_error"),
        (503, "overloaded_error"),
        (502, "api_error"),
        (0, "api_error"),
    ],
)
def test_a_status_has_a_type(status: int, kind: str) -> None:
    assert errors.error_type(status) == kind


def test_a_body_without_an_error_is_none() -> None:
    assert errors.is_error(b'{"type":"error","error":{}}')
    assert not errors.is_error(b'{"type":"message"}')
    assert not errors.is_error(b"<html>")
