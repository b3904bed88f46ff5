"""Fields that nobody knows, planted at every object of every answer and of every frame of a stream: each comes through, or is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halley.chat import seals
from halley.chat.doors import Asked, Doors
from halley.chat.events import LOGPROBS, Event, Noted, PartStarted
from halley.chat.model import Answer, Ask, Loss, Opaque, Text, Turn
from halley.chat.strays import fit
from halley.dialects import DOORS, anthropic, gemini, openai_chat, openai_responses
from halley.dialects.bridge import Bridge, carried
from halley.wire import sse
from tests.dialects.test_nothing_in_silence import objects
from tests.harness.goldens import FIXTURES, target

PLANT = "planted"
AT_ONCE = 24  # of each answer only so many unknown fields are told
SPOKEN = (openai_chat, openai_responses, anthropic, gemini)
LEFT_OUT = {each.DOORS.name: each.LEFT_OUT for each in SPOKEN}
FILES = [path for kind in ("answers/*/*.json", "streams/*/*.sse") for path in sorted(FIXTURES.glob(kind)) if ".to-" not in path.name]
CROSSINGS = [(path, other) for path in FILES for other in DOORS if other != path.parent.name]
PASSED_OVER = [name for each in SPOKEN for name in each.PASSED_OVER]
# What a stream says of itself again and again counts as it was said last, and what it says of a text twice as it was said first.
SAID_AGAIN = ("usageMetadata", "candidates[].safetyRatings", "candidates[].avgLogprobs")
# An error is no answer; arguments that stand where a block begins are replaced by those that come; log probabilities come with the text.
NO_ANSWER = ("error", "content_block.input", "output[].content[].logprobs")
# Where things of an event stand in a whole answer.
PLACES = (("item", "output[]"), ("part", "output[].content[]"), ("response.", ""))

Planted = tuple[str, str]  # its name and its place, with lists folded

NAMES = st.from_regex(r"~[ -!#-\[\]-~]{0,70}", fullmatch=True)
ANYTHING = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.text(max_size=5), inner, min_size=1, max_size=3),
    max_leaves=6,
)


def bridge(mine: Doors, other: Doors) -> Bridge:
    """A client of `other` at a provider of `mine`."""
    asked = Asked(Ask(model="m", turns=(Turn("user", (Text("hello"),)),), wants_usage=True), "m", "ID", 7)
    return Bridge(other, mine, target(mine), asked, carried(asked.ask, other, mine, target(mine)))


@pytest.mark.parametrize("path, other", CROSSINGS, ids=lambda value: "/".join(value.parts[-3:]) if isinstance(value, Path) else value)
def test_a_field_of_an_answer_that_nobody_knows_is_never_dropped_in_silence(path: Path, other: str) -> None:
    dropped = [
        place
        for index, payload, left_out in pieces(path)
        for plants, body in planted(json.loads(payload), left_out)
        for place in silent(plants, *crossed(path, DOORS[other], index, body))
    ]
    assert not dropped


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(CROSSINGS), NAMES, ANYTHING, st.data())
def test_whatever_a_field_is_called_and_holds_it_is_not_dropped(
    crossing: tuple[Path, str], name: str, value: Any, data: st.DataObject
) -> None:
    path, other = crossing
    index, payload, left_out = data.draw(st.sampled_from(list(pieces(path))))
    body = json.loads(payload)
    found = watched(body, left_out)
    if found:
        place, each = data.draw(st.sampled_from(found))
        each[name] = value
        body = json.dumps(body).encode()
        assert not list(silent([(name, place)], *crossed(path, DOORS[other], index, body)))


def pieces(path: Path) -> Iterator[tuple[int, bytes, list[str]]]:
    """A whole answer, or the frames of a stream that say something: the number, the JSON, and what of it nobody has to tell."""
    left_out = [*LEFT_OUT[path.parent.name], *NO_ANSWER]
    if path.suffix == ".json":
        yield 0, path.read_bytes(), left_out
        return
    frames = [(*each, index) for index, each in enumerate(sse.named(path.read_bytes())) if each[1][:1] == b"{"]
    for name, payload, index in frames:
        if name.decode() not in PASSED_OVER:
            yield index, payload, left_out if index == frames[-1][2] else [*left_out, *SAID_AGAIN]


def crossed(path: Path, other: Doors, index: int, body: bytes) -> tuple[bytes, Sequence[Loss], list[tuple[str, bytes]]]:
    """What its client gets of an answer of which this piece is another, what is told, and what went to the writer as it came."""
    mine = DOORS[path.parent.name]
    crossing = bridge(mine, other)
    if path.suffix == ".json":
        out = crossing.whole(body)
        return out, crossing.losses, kept(mine.read_answer(body, seals.origin(mine.name, "upstream"), "ID"))
    stream, reader = crossing.stream(), mine.read_stream("", "ID")
    out, events = b"", list[Event]()
    for at, (name, payload) in enumerate(sse.named(path.read_bytes())):
        payload = body if at == index else payload
        out += stream.feed(sse.render(payload, name))
        events += reader.feed(payload, name)
    out += stream.end()
    return out, stream.losses, [pair for each in (*events, *reader.end()) for pair in holders(each)]


def planted(value: Any, left_out: Sequence[str]) -> Iterator[tuple[list[Planted], bytes]]:
    """The value with fields at so many of its objects, each with a name of its own."""
    found = watched(value, left_out)
    for start in range(0, len(found), AT_ONCE):
        some = [(f"{PLANT}{start + index}_", folded, each) for index, (folded, each) in enumerate(found[start : start + AT_ONCE])]
        for name, _, each in some:
            each[name] = "x"
        yield [(name, folded) for name, folded, _ in some], json.dumps(value).encode()
        for name, _, each in some:
            del each[name]


def watched(value: Any, left_out: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """The objects of which everything is read or told, and their places in a whole answer."""
    found: list[tuple[str, dict[str, Any]]] = []
    for place, each in objects(value):
        folded = re.sub(r"\[\d+\]", "[]", place)
        for begins, stands in PLACES:
            folded = stands + folded.removeprefix(begins) if folded.startswith(begins) else folded
        if not any(under(folded, known) or under(f"event.{folded}", known) for known in left_out):
            found.append((folded, each))
    return found


def under(place: str, holder: str) -> bool:
    return place == holder or place.startswith((f"{holder}.", f"{holder}["))


def silent(plants: Sequence[Planted], out: bytes, losses: Sequence[Loss], held: Sequence[tuple[str, bytes]]) -> Iterator[str]:
    """The places of those that neither came through nor were told by their own place or with the whole that holds them."""
    paths = {loss.path for loss in losses}
    for name, place in plants:
        holding = {at for at, raw in held if name.encode() in raw}
        told = any(path.endswith(fit(name)) or under(place, path) for path in paths) or bool(paths & holding)
        if name.encode() not in out and not told:
            yield place or "the whole"


def kept(answer: Answer) -> list[tuple[str, bytes]]:
    """What went to the writer as it came, and the place by which it is told."""
    held = [(extra.at, bytes(extra.raw)) for extra in answer.extras]
    held += [(part.at, bytes(part.raw)) for part in answer.parts if isinstance(part, Opaque)]
    return held + ([] if answer.logprobs is None else [(LOGPROBS, bytes(answer.logprobs))])


def holders(event: msgspec.Struct) -> list[tuple[str, bytes]]:
    match event:
        case Noted(what=what, raw=msgspec.Raw() as raw):
            return [(what, bytes(raw))]
        case PartStarted(part=Opaque(at=at, raw=raw)):
            return [(at, bytes(raw))]
        case _:
            return []
