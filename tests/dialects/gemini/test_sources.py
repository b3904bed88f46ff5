"""Sources of a text and log probabilities, there and back."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from halley.chat.model import Citation
from halley.chat.strays import Strays
from halley.dialects.gemini.sources import read_citations, read_logprobs, write_citations, write_logprobs
from tests.dialects.gemini.samples import plain

TEXT = "España won. It beat England 2–1."


def metadata(*supports: tuple[int, int, list[int]]) -> Raw:
    chunks = [{"web": {"uri": "https://a.example", "title": "A"}}, {"retrievedContext": {"title": "B"}}, {}]
    found = [{"segment": {"startIndex": start, "endIndex": end}, "groundingChunkIndices": indices} for start, end, indices in supports]
    return Raw(json.dumps({"groundingChunks": chunks, "groundingSupports": found, "webSearchQueries": ["x"]}).encode())


def test_stretches_are_counted_in_characters() -> None:
    found = read_citations(metadata((0, 12, [0]), (13, len(TEXT.encode()), [0, 1, 9, -1])), TEXT)
    assert [(each.url, each.title, TEXT[each.start : each.end]) for each in found] == [
        ("https://a.example", "A", "España won."),
        ("https://a.example", "A", "It beat England 2–1."),
        (None, "B", "It beat England 2–1."),
        (None, None, TEXT),
    ]


@pytest.mark.parametrize("raw", [b"", b"null", b"{}", b"[]", b'{"groundingChunks": {}}'])
def test_without_sources_there_are_none(raw: bytes) -> None:
    assert read_citations(Raw(raw), TEXT) == ()


def test_sources_are_written_as_they_are_read() -> None:
    citations = (
        Citation("https://a.example", "A", 0, 11),
        Citation("https://b.example", None, 12, 32),
        Citation("https://a.example", "A", 12, 32),
        Citation("https://c.example"),
    )
    written = write_citations([(TEXT, citations)])
    assert written is not None
    found = read_citations(Raw(json.dumps(written).encode()), TEXT)
    assert [(each.url, each.title, each.start, each.end) for each in found] == [
        (each.url, each.title, each.start, each.end) for each in citations
    ]
    assert found[0].quote == "España won."
    assert write_citations([("x", ())]) is None


def test_log_probabilities_cross_and_come_back() -> None:
    said = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "."}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "e", "logProbability": -1.0}]}],
    }
    strays = Strays()
    found = read_logprobs(Raw(json.dumps(said).encode()), strays)
    assert found is not None
    assert plain(found) == {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [{"token": "é", "logprob": -0.5, "bytes": [195, 169]}, {"token": "e", "logprob": -1.0, "bytes": [101]}],
            },
            {"token": ".", "logprob": 0.0, "bytes": [46], "top_logprobs": []},
        ]
    }
    assert write_logprobs(found, []) == {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": ".", "logProbability": 0.0}],
        "topCandidates": [*said["topCandidates"], {"candidates": []}],
    }
    assert read_logprobs(Raw(b""), strays) is read_logprobs(Raw(b"[]"), strays) is write_logprobs(Raw(b"[]"), []) is None
