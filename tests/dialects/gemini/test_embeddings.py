"""Embeddings, asked and answered, one and many."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from halley.chat.doors import Unreadable
from halley.chat.embed import Embed, Embedded
from halley.dialects.gemini.embeddings import read_batch, read_embedded, read_one, write_all, write_batch, write_one
from halley.errors import Refused


def request(text: str, **more: object) -> dict[str, object]:
    return {"model": "models/e-1", "content": {"parts": [{"text": text}]}} | more


def batch(*requests: object) -> Embed:
    return read_batch(json.dumps({"requests": requests}).encode(), "e-1")


def test_one_in_both_spellings() -> None:
    body = (
        b'{"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "task_type": "RETRIEVAL_QUERY", "title": "t", "outputDimensionality": 256}'
    )
    assert read_one(body, "e-1") == Embed(model="e-1", inputs=("a\nb",), dimensions=256, task="RETRIEVAL_QUERY", title="t")


def test_many_are_written_as_they_were_read() -> None:
    found = batch(request("a", outputDimensionality=3), request("b", output_dimensionality=3))
    assert found == Embed(model="e-1", inputs=("a", "b"), dimensions=3)
    made = write_batch(found, "e-2")
    assert read_batch(made.body, "e-2") == Embed(model="e-2", inputs=("a", "b"), dimensions=3) and made.losses == ()
    assert [loss.path for loss in write_batch(Embed(model="e", inputs=("a",), end_user="u"), "e").losses] == ["user"]


@pytest.mark.parametrize(
    ("requests", "param"),
    [
        ([], "requests"),
        ([{"model": "models/other", "content": {"parts": [{"text": "a"}]}}], "requests[0].model"),
        ([{"model": "models/e-1"}], "requests[0].content"),
        ([{"content": {"parts": []}}], "requests[0].content.parts"),
        ([{"content": {"parts": [{"inlineData": {}}]}}], "requests[0].content.parts[0]"),
        ([request("a"), request("b", taskType="CLUSTERING")], "requests[1]"),
    ],
)
def test_a_fault_is_named(requests: list[object], param: str) -> None:
    with pytest.raises(Refused) as refused:
        batch(*requests)
    assert refused.value.param == param


def test_tokens_are_refused() -> None:
    with pytest.raises(Refused, match="send text"):
        write_batch(Embed(model="e", inputs=((1, 2),)), "e")


def test_answers() -> None:
    one = read_embedded(b'{"embedding": {"values": [0.5, -1]}}')
    assert (bytes(one.vectors[0] if isinstance(one.vectors[0], Raw) else b""), one.tokens) == (b"[0.5, -1]", None)
    assert json.loads(write_one(one)) == {"embedding": {"values": [0.5, -1]}}
    many = read_embedded(b'{"embeddings": [{"values": [1]}, {}], "usageMetadata": {"promptTokenCount": 4}}')
    assert json.loads(write_all(many)) == {"embeddings": [{"values": [1]}, {"values": []}], "usageMetadata": {"promptTokenCount": 4}}
    assert json.loads(write_all(Embedded((b"\x00\x00\x00?",), 1)))["embeddings"] == [{"values": [0.5]}]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"embeddings": {}}'])
def test_what_is_no_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_embedded(body)
