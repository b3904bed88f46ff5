"""Moderation: what is judged before a provider judges."""

from __future__ import annotations

import json

import pytest

from halley.chat.usage import Usage
from halley.errors import Refused
from halley.exchanges.moderation import MOST_PICTURES, peek, read_whole


def test_texts_and_pictures() -> None:
    assert peek(b'{"input":"a"}', b"").model == "omni-moderation-latest"
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    seen = peek(json.dumps({"model": "m", "input": parts}).encode(), b"")
    assert (seen.model, seen.image_urls, seen.cap) == ("m", ["https://example.com/a.png"], 0)


def test_no_picture_is_left_unjudged() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert len(peek(json.dumps({"input": [picture] * MOST_PICTURES}).encode(), b"").image_urls) == MOST_PICTURES
    with pytest.raises(Refused) as caught:
        peek(json.dumps({"input": [picture] * (MOST_PICTURES + 1)}).encode(), b"")
    assert caught.value.param == "input"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"input":1}', b'{"input":[{"image_url":{"url":1}}]}', b'{"input":"a","model":""}'])
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(Refused):
        peek(body, b"")


def test_answers() -> None:
    for body, usage, answered in (
        (b'{"results":[]}', None, True),
        (b'{"results":[],"usage":{"prompt_tokens":7,"total_tokens":7}}', Usage(7), True),
        (b'{"results":[],"usage":{"prompt_tokens":-1}}', None, True),
        (b'{"results":[],"usage":null}', None, True),
        (b'{"error":{}}', None, False),
    ):
        whole = read_whole(body)
        assert whole is not None and (whole.usage, whole.answered) == (usage, answered)
    assert read_whole(b"no") is None
