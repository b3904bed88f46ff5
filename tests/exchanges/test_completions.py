"""Completions: what is read of a request, and what its stream is metered by."""

from __future__ import annotations

import json

import pytest

from halley.errors import Refused
from halley.exchanges.completions import content_bytes, meter, outbound, peek


def look(**fields: object) -> tuple[int, int | None, bool]:
    seen = peek(json.dumps({"model": "m", "prompt": "a"} | fields).encode(), b"")
    return seen.n, seen.cap, seen.stream


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 1),
        ({"prompt": ["a", "b"]}, 2),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1], [2, 3]], "n": 2}, 4),
        ({"n": 2, "best_of": 5}, 5),
    ],
)
def test_every_prompt_is_continued_as_often_as_is_asked(fields: dict[str, object], count: int) -> None:
    assert look(**fields) == (count, None, False)


def test_a_cap_is_taken_even_if_it_is_nothing() -> None:
    assert look(max_tokens=0, stream=True) == (1, 0, True)


def test_a_cap_that_is_set_for_the_caller_has_its_one_name() -> None:
    body = b'{"model":"m","prompt":"a"}'
    assert json.loads(outbound(body, peek(body, b""), "m", 300, "max_completion_tokens")) == {
        "model": "m",
        "prompt": "a",
        "max_tokens": 300,
    }


def test_what_is_no_request_is_refused_by_its_field() -> None:
    for body, param in ((b'{"model":"m"}', "prompt"), (b'{"model":"m","prompt":"a","best_of":0}', "best_of")):
        with pytest.raises(Refused) as caught:
            peek(body, b"")
        assert caught.value.param == param


def test_text_is_what_is_delivered() -> None:
    assert content_bytes(b'{"choices":[{"text":"a\\"b"},{"text": "cd"}]}') == 6
    seen = peek(b'{"model":"m","prompt":"a","stream":true}', b"")
    metered = meter(seen, strip=True)
    frame = b'data: {"choices":[{"text":"%b","finish_reason":null}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
    end = b'data: {"choices":[{"text":"","finish_reason":"stop"}]}\n\n'
    assert metered.feed(frame % b"ab" + frame % b"cd") == frame % b"ab" + frame % b"cd"
    assert metered.feed(end + usage + b"data: [DONE]\n\n") == end + b"data: [DONE]\n\n"
    assert metered.finished and metered.usage is not None
    assert (metered.usage.input, metered.usage.output) == (3, 2)
