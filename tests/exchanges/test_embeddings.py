"""Embeddings: one vector for each input, whatever an input is, and the same from either maker's words."""

from __future__ import annotations

import json
import struct

import msgspec
import pytest

from halley.chat.doors import Target, Unreadable
from halley.chat.embed import Embedded
from halley.chat.usage import Usage
from halley.dialects.openai_chat import embeddings as openai
from halley.errors import Refused
from halley.exchanges.embeddings import GEMINI_BATCH, GEMINI_ONE, OPENAI

TARGET = Target("real", "")


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
)
def test_inputs(given: object, inputs: tuple[object, ...]) -> None:
    body = json.dumps({"model": "m", "input": given, "dimensions": 3, "user": "u", "odd": 1}).encode()
    ask = openai.read(body, "m")
    assert (ask.inputs, ask.dimensions, ask.end_user, ask.unknown) == (inputs, 3, "u", ("odd",))
    made = openai.write(ask, TARGET)
    assert openai.read(made.body, "real").inputs == inputs
    assert [loss.path for loss in made.losses] == ["odd"]


@pytest.mark.parametrize("given", ["", [], ["a", 1], [[1], "a"], ["a"] * 2049, None, {}])
def test_what_is_no_input(given: object) -> None:
    with pytest.raises(Refused) as caught:
        OPENAI.peek(json.dumps({"model": "m", "input": given}).encode(), b"")
    assert caught.value.param == "input"


def test_vectors_come_in_order_and_in_the_encoding_that_is_wanted() -> None:
    packed = struct.pack("<2f", 0.5, -1.0)
    ask = openai.read(b'{"model":"m","input":["a","b"],"encoding_format":"base64"}', "m")
    said = json.loads(openai.write_answer(Embedded((msgspec.Raw(b"[0.5,-1.0]"), packed), 7), ask))
    assert said["data"][0]["embedding"] == said["data"][1]["embedding"]
    turned = {"data": [said["data"][1], said["data"][0]], "usage": said["usage"]}
    turned["data"][1]["embedding"] = [0.25]
    found = openai.read_answer(json.dumps(turned).encode())
    assert (bytes(found.vectors[0]), found.vectors[1], found.tokens) == (b"[0.25]", packed, 7)
    for wrong in (b"{}", b'{"data":[{"embedding":"***"}]}', b"no"):
        with pytest.raises(Unreadable):
            openai.read_answer(wrong)


@pytest.mark.parametrize(
    ("body", "usage", "answered"),
    [
        (b'{"data":[],"usage":{"prompt_tokens":7,"total_tokens":7}}', Usage(7), True),
        (b'{"data":[],"usage":{"prompt_tokens":-1}}', None, True),
        (b'{"data":[]}', None, True),
        (b'{"error":{}}', None, False),
    ],
)
def test_what_an_answer_used(body: bytes, usage: Usage | None, answered: bool) -> None:
    whole = OPENAI.read_whole(body)
    assert whole is not None and (whole.usage, whole.answered) == (usage, answered)


def test_no_key_stands_twice_where_it_is_judged() -> None:
    for body in (b'{"content":{"parts":[]},"content":{"parts":[{"text":"a"}]}}', b'{"content":{"parts":[{"text":"a","text":"b"}]}}'):
        with pytest.raises(Refused):
            GEMINI_ONE.peek(body, b"/v1beta/models/a:embedContent")
    with pytest.raises(Refused):
        GEMINI_BATCH.peek(
            b'{"requests":[{"model":"models/b","model":"models/a","content":{"parts":[{"text":"a"}]}}]}',
            b"/v1beta/models/a:batchEmbedContents",
        )


def test_an_alias_is_named_where_google_wants_the_name() -> None:
    one = b'{"model": "models/a", "content": {"parts": [{"text": "t"}]}}'
    seen = GEMINI_ONE.peek(one, b"/v1beta/models/a:embedContent")
    assert GEMINI_ONE.outbound(one, seen, "b", None, "") == one.replace(b"models/a", b"models/b")
    assert GEMINI_ONE.outbound(one, seen, "a", None, "") is one
    bare = b'{"content": {"parts": [{"text": "t"}]}}'
    assert GEMINI_ONE.outbound(bare, GEMINI_ONE.peek(bare, b"/v1beta/models/a:embedContent"), "b", None, "") is bare
    batch = b'{"requests": [%b, %b]}' % (one, bare)
    seen = GEMINI_BATCH.peek(batch, b"/v1beta/models/a:batchEmbedContents")
    made = json.loads(GEMINI_BATCH.outbound(batch, seen, "b", None, ""))
    assert [request["model"] for request in made["requests"]] == ["models/b", "models/b"]
    assert made["requests"][0]["content"] == {"parts": [{"text": "t"}]}
