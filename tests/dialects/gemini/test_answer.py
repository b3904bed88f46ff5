"""Usage with one meaning, and how an answer ends, in either direction."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from halley.chat.model import Finish
from halley.chat.usage import Usage
from halley.dialects.gemini.answer import given as is_given
from halley.dialects.gemini.answer import is_object, read_finish, read_usage, write_finish, write_usage


def test_usage_counts_tools_prompts_as_input_and_thoughts_as_output() -> None:
    found = read_usage(
        b'{"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "cachedContentTokenCount": 4, "candidatesTokenCount": 7,'
        b'"thoughtsTokenCount": 3, "totalTokenCount": 25,'
        b'"promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 2}, {"modality": "AUDIO", "tokenCount": 1}],'
        b'"candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}, {"modality": "IMAGE"}], "trafficType": "ON_DEMAND"}'
    )
    assert found == Usage(input=15, output=10, cache_read=4, reasoning=3, audio_in=1, image_in=2, audio_out=6)


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"{}", b'{"totalTokenCount": 5}', b'{"promptTokenCount": -1}', b'{"promptTokenCount": 3000000000}', b"[]"]
)
def test_no_usage_and_nonsense_are_none(raw: bytes) -> None:
    assert read_usage(raw) is None


COUNT = st.integers(0, 1000)


@given(COUNT, COUNT, COUNT, COUNT, COUNT)
def test_usage_is_read_as_it_was_written(cached: int, text: int, audio: int, thoughts: int, image: int) -> None:
    usage = Usage(
        input=cached + text + audio, output=text + thoughts + image, cache_read=cached, reasoning=thoughts, audio_in=audio, image_out=image
    )
    body = write_usage(usage)
    assert read_usage(json.dumps(body).encode()) == usage
    assert body["totalTokenCount"] == usage.input + usage.output


@pytest.mark.parametrize(
    ("word", "called", "finish"),
    [
        ("STOP", False, Finish("stop")),
        ("STOP", True, Finish("tool")),
        ("MAX_TOKENS", False, Finish("length")),
        ("MAX_TOKENS", True, Finish("length")),
        ("SAFETY", False, Finish("filter")),
        ("RECITATION", False, Finish("filter", word="RECITATION")),
        ("IMAGE_SAFETY", False, Finish("filter", word="IMAGE_SAFETY")),
        ("MALFORMED_FUNCTION_CALL", False, Finish("bad_call")),
        ("TOO_MANY_TOOL_CALLS", True, Finish("bad_call", word="TOO_MANY_TOOL_CALLS")),
        ("OF_THE_FUTURE", False, Finish("filter", word="OF_THE_FUTURE")),
    ],
)
def test_ends_are_read(word: str, called: bool, finish: Finish) -> None:
    assert read_finish(word, None, called) == finish
    if word != "OF_THE_FUTURE":
        assert write_finish(finish) == word


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        (Finish("stop_sequence", "END"), "STOP"),
        (Finish("context"), "MAX_TOKENS"),
        (Finish("refusal"), "SAFETY"),
        (Finish("pause", word="pause_turn"), "STOP"),
        (Finish("stop", word="SAFETY"), "STOP"),
    ],
)
def test_ends_of_others_have_the_nearest_word(finish: Finish, word: str) -> None:
    assert write_finish(finish) == word


def test_what_is_given_and_what_is_an_object() -> None:
    assert [is_given(Raw(raw)) for raw in (b"", b"null", b"0", b"{}", b"false")] == [False, False, True, True, True]
    assert [is_object(text) for text in ("{}", '{"a": [1]}', "[]", "1", '{"a":', "")] == [True, True, False, False, False, False]
