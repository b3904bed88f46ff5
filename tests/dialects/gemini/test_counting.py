"""Counting tokens, in both forms."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from halley.chat.doors import Unreadable
from halley.chat.usage import Usage
from halley.dialects.gemini.counting import outbound, peek, read_count, read_counted, write_count, write_counted
from halley.errors import Refused
from tests.dialects.gemini.samples import TARGET, ask, plain, written


def test_both_forms_count_the_same_ask() -> None:
    found = ask("system")
    plainly = written(found)
    wrapped = {"generate_content_request": {"model": "models/x"} | plainly}
    assert plain(read_count(json.dumps(plainly).encode())) == plain(read_count(json.dumps(wrapped).encode()))
    assert read_count(json.dumps(wrapped).encode()).extras == ()
    with pytest.raises(Refused):
        read_count(b"{}")


def test_a_provider_is_asked_with_everything_that_counts() -> None:
    found = ask("tool_loop")
    made = write_count(found, TARGET)
    assert json.loads(made.body) == {"generateContentRequest": {"model": f"models/{TARGET.model}"} | written(found)}
    assert [loss.path for loss in write_count(replace(found, end_user="u"), TARGET).losses] == ["end_user"]


def test_counts() -> None:
    assert read_counted(b'{"totalTokens": 7, "cachedContentTokenCount": 3}') == Usage(input=7, cache_read=3)
    assert json.loads(write_counted(Usage(input=7, cache_read=3))) == {"totalTokens": 7, "cachedContentTokenCount": 3}
    assert json.loads(write_counted(Usage(input=7))) == {"totalTokens": 7}
    for body in (b"", b"{}", b'{"totalTokens": -1}'):
        with pytest.raises(Unreadable):
            read_counted(body)


@pytest.mark.parametrize("name", ["generateContentRequest", "generate_content_request"])
def test_a_request_in_the_other_form_that_is_null_is_none(name: str) -> None:
    body = json.dumps({"contents": [{"parts": [{"text": "x"}]}], name: None}).encode()
    seen = peek(body, b"/v1beta/models/m:countTokens")
    assert outbound(body, seen, "n", None, "") == body
