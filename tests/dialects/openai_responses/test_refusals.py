"""Errors both ways: a provider's body in no dialect's words, and Halley's own as a body and as the end of a stream."""

from __future__ import annotations

import json

import pytest

from halley.chat.doors import ProviderError
from halley.dialects.openai_responses import DOORS, is_error, write_error_event
from halley.dialects.openai_responses.refusals import failed_code
from halley.errors import Condition, Refused
from halley.wire import sse


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (
            b'{"error":{"message":"no such model","type":"invalid_request_error","param":"model","code":"model_not_found"}}',
            ProviderError(404, "no such model", "model_not_found", "model"),
        ),
        (b'{"error":{"message":"no","type":"server_error","param":null,"code":null}}', ProviderError(404, "no", "server_error")),
        (b'{"error":"no"}', ProviderError(404, "no")),
        (b'{"message":"no"}', ProviderError(404, "no")),
        (b'{"detail":"no"}', ProviderError(404, "no")),
        (b"<html>", ProviderError(404, "")),
    ],
)
def test_a_providers_error(body: bytes, read: ProviderError) -> None:
    assert DOORS.read_error(404, body) == read


def test_an_error_of_our_own() -> None:
    status, fields, body = DOORS.write_error(Refused(Condition.INVALID, "input is missing.", param="input"), "req")
    assert (status, fields) == (400, b"")
    assert json.loads(body) == {
        "error": {"message": "input is missing.", "type": "invalid_request_error", "param": "input", "code": "invalid_value"}
    }


def test_an_error_within_a_stream_is_a_response_that_failed() -> None:
    ((name, payload),) = sse.named(write_error_event(Refused(Condition.UPSTREAM, "broken"), "req"))
    frame = json.loads(payload)
    assert name == b"response.failed"
    assert (frame["type"], frame["response"]["status"]) == ("response.failed", "failed")
    assert frame["response"]["error"] == {"code": "server_error", "message": "broken"}


def test_codes_that_clients_act_on() -> None:
    assert failed_code(0, "context_length_exceeded") == "context_length_exceeded"
    assert failed_code(429, "odd") == "rate_limit_exceeded"
    assert failed_code(529, "overloaded_error") == "server_error"


def test_what_a_client_can_read_as_an_error() -> None:
    assert is_error(b'{"error":{}}')
    assert not is_error(b'{"errors":1}')
    assert not is_error(b"<html>")
