"""Rerank: whose usage counts."""

from __future__ import annotations

import pytest

from halley.chat.usage import Usage
from halley.errors import Refused
from halley.exchanges.rerank import peek, read_whole


@pytest.mark.parametrize(
    ("more", "usage"),
    [
        (b"", None),
        (b',"usage":{"total_tokens":7}', Usage(7)),
        (b',"usage":{"prompt_tokens":6}', Usage(6)),
        (b',"usage":{"total_tokens":"x"}', None),
        (b',"meta":{"billed_units":{"search_units":1}}', Usage()),
        (b',"meta":{"billed_units":{}}', None),
    ],
)
def test_usage_in_the_words_of_several_makers(more: bytes, usage: Usage | None) -> None:
    whole = read_whole(b'{"results":[{"index":0,"relevance_score":0.9}]' + more + b"}")
    assert whole is not None and (whole.answered, whole.usage) == (True, usage)


def test_what_is_no_answer() -> None:
    whole = read_whole(b'{"message":"no"}')
    assert whole is not None and not whole.answered
    assert read_whole(b"<html>") is None


def test_documents_are_texts_or_objects() -> None:
    assert peek(b'{"model":"m","query":"q","documents":["a",{"text":"b"}]}', b"").model == "m"
    for body in (b'{"model":"m","query":"q","documents":[]}', b'{"model":"m","documents":["a"]}', b'{"query":"q","documents":["a"]}'):
        with pytest.raises(Refused):
            peek(body, b"")
