"""A field that nobody knows, planted at every object of every fixture: it comes through, is reported by its place, or is refused. And every
value of every fixture, changed: it makes another request, or its place is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from halley.chat.doors import Doors
from halley.chat.model import Ask, Function, Loss
from halley.dialects import DOORS
from halley.dialects.bridge import carried, spelled
from halley.errors import Refused
from tests.harness.goldens import FIXTURES, read, target

PLANT = "planted"
INDEX = re.compile(r"\[\d+\]")
MAPS = {"metadata", "logit_bias"}  # whose keys are the caller's own: they are lost as one
ASKS = [path for path in sorted((FIXTURES / "asks").glob("*/*.json")) if ".to-" not in path.name]


def test_there_are_asks_of_every_dialect() -> None:
    assert {path.parent.name for path in ASKS} == set(DOORS)


@pytest.mark.parametrize("path", ASKS, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_field_that_nobody_knows_is_never_dropped_in_silence(path: Path) -> None:
    mine = DOORS[path.parent.name]
    whole = json.loads(path.read_bytes())
    silent: list[str] = []
    for place, found in list(objects(whole)):
        found[PLANT] = "planted"
        body = json.dumps(whole).encode()
        try:
            ask = read(mine, body)
        except Refused:
            continue
        finally:
            del found[PLANT]
        others = [other for other in DOORS.values() if other is not mine]
        left_out = unoffered(ask)
        others = [other for other in others if not (other.name == "anthropic" and f"{place}.".startswith(left_out))]
        silent += [f"{place or 'the body'} to {other.name}" for other in others if not told(ask, mine, other, place)]
    assert not silent


def objects(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield at, value
        for key, inner in value.items():
            yield from objects(inner, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from objects(inner, f"{at}[{index}]")


def unoffered(ask: Ask) -> tuple[str, ...]:
    """Tools that may not be called: a dialect that cannot narrow the choice to some is not told of the others."""
    names = () if ask.choice is None else ask.choice.names
    return tuple(tool.at for tool in ask.tools if names and isinstance(tool, Function) and tool.name not in names)


def told(ask: Ask, mine: Doors, other: Doors, place: str) -> bool:
    """Whether it arrived, or a loss or a refusal names it or what holds it and was kept as it came."""
    try:
        written = other.write_ask(ask, target(other))
    except Refused:
        return True
    if PLANT.encode() in written.body:
        return True
    holders = (
        {f"{place}.{PLANT}" if place else PLANT} | MAPS & {place} | {extra.at for extra in ask.extras if PLANT.encode() in bytes(extra.raw)}
    )
    return any(loss.path in holders for loss in spelled(written.losses, mine))


# Values that may differ without a difference in what is asked, by dialect: labels, what a reader needs and a provider does not, and what is
# told as a whole or stands in another field as well.
QUIET: dict[str, tuple[str, ...]] = {
    "openai_chat": (
        "model",  # the provider has a name of its own for it
        "function_call",  # the older words for choosing a tool: any other is an error at the provider
        "response_format.json_schema.name",  # a label of what the answer is held to anyway, or is told
        "response_format.json_schema.strict",
        "messages[].reasoning_content",  # which stands in reasoning_details, with its seal
        "messages[].reasoning_details[].index",
        "safety_identifier",  # told as `user`
        "n",  # less than one
        "top_logprobs",
    ),
    "openai_responses": ("model", "input[].id", "input[].status", "safety_identifier", "text.format.name", "text.format.strict", "stream"),
    "anthropic": (
        "model",
        "stream",
        "tools[].name",  # of a tool that the provider runs
        "messages[].content[].source.media_type",  # of a text, which has but one
        "messages[].content[].signature",  # of another provider's thinking, which is told as a whole
    ),
    "gemini": (
        "contents[].parts[].fileData.mimeType",
        "contents[].parts[].inlineData.mimeType",  # a text is one in whatever language
        "contents[].parts[].functionResponse.name",  # the call has it too
        "generationConfig.candidateCount",
        "generationConfig.logprobs",
    ),
}


@pytest.mark.parametrize("path", ASKS, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_value_can_be_changed_in_silence(path: Path) -> None:
    """Another value is another request at every provider, or its place is told."""
    mine = DOORS[path.parent.name]
    whole = json.loads(path.read_bytes())
    others = [other for other in DOORS.values() if other is not mine]
    left_out = unoffered(read(mine, path.read_bytes()))
    before = {other.name: carried_over(whole, mine, other) for other in others}
    silent: list[str] = []
    for place, holder, key in list(values(whole)):
        if key in ("type", "role") or INDEX.sub("[]", place) in QUIET[mine.name]:
            continue
        value = holder[key]
        holder[key] = another(value)
        for other in others:
            body, losses = before[other.name]
            told = [unspelled(loss.path) for loss in losses]
            hidden = other.name == "anthropic" and place.startswith(left_out)
            if body is not None and not hidden and (body, losses) == carried_over(whole, mine, other) and not named(unspelled(place), told):
                silent.append(f"{place} to {other.name}")
        holder[key] = value
    assert not silent


def values(value: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every value that is no object and no list: its place, what holds it, and under which key."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in inner:
        place = f"{at}[{key}]" if isinstance(value, list) else f"{at}.{key}" if at else key
        if isinstance(each, dict | list):
            yield from values(each, place)
        elif each is not None:
            yield place, value, key


def another(value: str | bool | float) -> str | bool | float:
    match value:
        case bool():
            return not value
        case str():
            return f"{value}Zq"
        case _:
            return value + 1 if value < 1 else value - 1


def carried_over(whole: Any, mine: Doors, other: Doors) -> tuple[bytes | None, tuple[Loss, ...]]:
    try:
        written = carried(read(mine, json.dumps(whole).encode()), mine, other, target(other))
    except Refused:
        return None, ()
    return written.body, written.losses


def unspelled(place: str) -> str:
    """One spelling for both of Gemini's."""
    return place.replace("_", "").lower()


def named(place: str, told: list[str]) -> bool:
    return any(place == path or place.startswith((f"{path}.", f"{path}[")) or place.rpartition(".")[2] == path for path in told)
