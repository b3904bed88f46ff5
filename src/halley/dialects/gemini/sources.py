"""Where an answer's text comes from, and how likely its tokens were, in either direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from halley.chat.model import Citation, Loss
from halley.chat.strays import Strays, Watch
from halley.dialects.gemini.answer import Json, given
from halley.dialects.gemini.left_out import LEFT_OUT
from halley.dialects.gemini.seals import NAME
from halley.wire.jsonbody import BROKEN


class _Place(msgspec.Struct, gc=False):
    uri: str | None = None
    title: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    web: _Place | None = None
    retrievedContext: _Place | None = None
    maps: _Place | None = None


class _Segment(msgspec.Struct, frozen=True, gc=False):
    startIndex: int = 0
    endIndex: int | None = None
    text: str | None = None


class _Support(msgspec.Struct, gc=False):
    segment: _Segment = _Segment()
    groundingChunkIndices: list[int] = []


class _Grounding(msgspec.Struct, gc=False):
    groundingChunks: list[_Chunk] = []
    groundingSupports: list[_Support] = []


_decode_grounding = msgspec.json.Decoder(_Grounding).decode


def read_citations(raw: msgspec.Raw, text: str) -> tuple[Citation, ...]:
    """The sources of a text. On the wire a stretch is counted in bytes of UTF-8, here in characters. Sources that support no stretch in
    particular come without one; metadata of another shape has none, and goes with the answer as it came."""
    if not given(raw):
        return ()
    try:
        found = _decode_grounding(raw)
    except BROKEN:
        return ()
    places = [chunk.web or chunk.retrievedContext or chunk.maps or _Place() for chunk in found.groundingChunks]
    characters = _characters(
        text, [offset for each in found.groundingSupports for offset in (each.segment.startIndex, each.segment.endIndex or 0)]
    )
    citations: list[Citation] = []
    named: set[int] = set()
    for support in found.groundingSupports:
        segment = support.segment
        end = None if segment.endIndex is None else characters[segment.endIndex]
        for index in support.groundingChunkIndices:
            if 0 <= index < len(places):
                named.add(index)
                place = places[index]
                citations.append(Citation(place.uri, place.title, characters[segment.startIndex], end, segment.text, NAME))
    citations += [Citation(place.uri, place.title, dialect=NAME) for index, place in enumerate(places) if index not in named]
    return tuple(citations)


def _characters(text: str, offsets: Iterable[int]) -> dict[int, int]:
    """How many characters stand before each of these bytes of a text; all are found on one way through it."""
    data = text.encode()
    found: dict[int, int] = {}
    place = count = 0
    for offset in sorted(set(offsets)):
        # A character of which only a part stands before does not count; its first bytes are looked at again.
        end = min(max(offset, 0), len(data))
        while place < end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        count += len(data[place:end].decode())
        place = max(place, end)
        found[offset] = count
    return found


def _bytes(text: str, offsets: Iterable[int]) -> dict[int, int]:
    """How many bytes the characters before each of these take."""
    found: dict[int, int] = {}
    place = count = 0
    for offset in sorted(set(offsets)):
        end = min(max(offset, 0), len(text))
        count += len(text[place:end].encode())
        place = end
        found[offset] = count
    return found


def write_citations(said: Iterable[tuple[str, Sequence[Citation]]]) -> Json | None:
    """`groundingMetadata` of texts and their sources, None without any."""
    places: dict[tuple[str | None, str | None], int] = {}
    supports: list[Json] = []
    for text, citations in said:
        bytes_before = _bytes(text, [place for each in citations for place in (each.start or 0, each.end or 0)])
        for citation in citations:
            index = places.setdefault((citation.url, citation.title), len(places))
            if citation.end is not None:
                start, end = bytes_before[citation.start or 0], bytes_before[citation.end]
                quote = citation.quote if citation.dialect == NAME and citation.quote else text[citation.start or 0 : citation.end]
                segment: Json = {"startIndex": start, "endIndex": end, "text": quote}
                supports.append({"segment": segment, "groundingChunkIndices": [index]})
    if not places:
        return None
    chunks = [{"web": {key: word for key, word in (("uri", url), ("title", title)) if word is not None}} for url, title in places]
    made: Json = {"groundingChunks": chunks}
    if supports:
        made["groundingSupports"] = supports
    return made


# ---- log probabilities ------------------------------------------------------------------------------------------------------------------


_RESULT = "candidates[].logprobsResult"


class _Token(msgspec.Struct, gc=False):
    token: str = ""
    logProbability: float = 0.0


class _Top(msgspec.Struct, gc=False):
    candidates: list[_Token] = []


class _Logprobs(msgspec.Struct, gc=False):
    chosenCandidates: list[_Token] = []
    topCandidates: list[_Top] = []


class _Alternative(msgspec.Struct, gc=False):
    token: str = ""
    logprob: float = 0.0


class _Likely(_Alternative, gc=False):
    top_logprobs: list[_Alternative] | None = None


class _Content(msgspec.Struct, gc=False):
    content: list[_Likely] | None = None


_LOGPROBS = Watch(_Logprobs, LEFT_OUT, _RESULT)
# The bytes are those of the token.
_CONTENT = Watch(_Content, {"logprobs.content[].bytes": "", "logprobs.content[].top_logprobs[].bytes": ""}, "logprobs")


def read_logprobs(raw: msgspec.Raw, strays: Strays) -> msgspec.Raw | None:
    """`{content: [{token, logprob, bytes, top_logprobs}]}`, the shape in which log probabilities cross dialects."""
    if not given(raw):
        return None
    try:
        found = _LOGPROBS.read(raw, strays)
    except BROKEN:
        strays.tell(_RESULT, "log probabilities of another shape")
        return None
    tops = found.topCandidates
    content = [
        _token(chosen) | {"top_logprobs": [_token(each) for each in (tops[index].candidates if index < len(tops) else ())]}
        for index, chosen in enumerate(found.chosenCandidates)
    ]
    return msgspec.Raw(msgspec.json.encode({"content": content}))


def _token(found: _Token) -> Json:
    return {"token": found.token, "logprob": found.logProbability, "bytes": list(found.token.encode())}


def write_logprobs(raw: msgspec.Raw, losses: list[Loss]) -> Json | None:
    """None when it has another shape."""
    strays = Strays()
    try:
        content = _CONTENT.read(raw, strays).content or []
    except BROKEN:
        return None
    losses += strays.losses
    chosen = [{"token": each.token, "logProbability": each.logprob} for each in content]
    made: Json = {"chosenCandidates": chosen}
    if any(each.top_logprobs for each in content):
        made["topCandidates"] = [
            {"candidates": [{"token": top.token, "logProbability": top.logprob} for top in each.top_logprobs or ()]} for each in content
        ]
    return made
