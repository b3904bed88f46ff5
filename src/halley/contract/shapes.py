"""The fingerprint of a reply: which fields it has and of which types, or which events a stream is made of; and how two of them differ.

Values have no place in it. An array that is empty says nothing of its elements, and null says nothing of a type, so neither is a drift.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from halley.contract.contracts import Contract
from halley.contract.evidence import UNREAD, Evidence, items, member, members
from halley.contract.streams import Event, events

# What an event is called, as far as it is a name and no text.
_EVENT = re.compile(r"[a-z][a-z_]*(?:\.[a-z_]+){0,4}")
_LONGEST = 400
"""Lines of a fingerprint; a reply of more kinds of fields is cut."""


def fingerprint(contract: Contract, evidence: Evidence) -> tuple[str, ...]:
    if contract.stream:
        lines = {line for event in events(evidence.body) for line in _event(event)}
    elif evidence.value() is UNREAD:
        lines = {f"body: {evidence.media_type or 'no type'}"}
    else:
        lines = set(_paths("", evidence.value()))
    return tuple(sorted(lines)[:_LONGEST])


def _event(event: Event) -> Iterator[str]:
    kind = member(event.value, "type")
    name = next((each for each in (event.name, kind) if isinstance(each, str) and _EVENT.fullmatch(each)), "data")
    if event.value is UNREAD:
        yield f"event {name} {'[DONE]' if event.text.strip() == '[DONE]' else '$'}: text"
        return
    yield from (f"event {name} {path}" for path in _paths("", event.value))


def _paths(path: str, value: object) -> Iterator[str]:
    yield f"{path or '$'}: {_type(value)}"
    # The names of a map that is open by nature (metadata, arguments) are values; only names that look like fields count.
    for name, inner in members(value).items():
        if len(name) <= 40 and name.replace("_", "").replace("-", "").isalnum():
            yield from _paths(f"{path}.{name}", inner)
    for inner in items(value)[:32]:
        yield from _paths(f"{path}[]", inner)


def _type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


class Change(NamedTuple):
    """One field that is not what it was; `grew` if it is merely new."""

    field: str
    before: str
    now: str
    grew: bool


def changes(before: Iterable[str], now: Iterable[str]) -> list[Change]:
    """Field by field, in the order of their names."""
    old, new = _types(before), _types(now)
    found: list[Change] = []
    for field in sorted(old.keys() | new.keys()):
        was, is_now = old.get(field, set()) - {"null"}, new.get(field, set()) - {"null"}
        if field in old and field in new:
            if was and is_now and was != is_now:
                found.append(Change(field, " or ".join(sorted(was)), " or ".join(sorted(is_now)), grew=False))
        elif field in old and was and _has_parent(field, new):
            found.append(Change(field, " or ".join(sorted(was)), "absent", grew=False))
        elif field in new and is_now and _has_parent(field, old):
            found.append(Change(field, "absent", " or ".join(sorted(is_now)), grew=True))
    return found


def _types(lines: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in lines:
        field, _, kind = line.rpartition(": ")
        found.setdefault(field, set()).add(kind)
    return found


def _has_parent(field: str, types: dict[str, set[str]]) -> bool:
    """Whether the other side could have shown this field: what holds it is there, and is no empty array or null."""
    event, blank, path = field.rpartition(" ")
    if path.endswith("[]"):
        return False
    if path in ("$", "[DONE]"):
        return True
    return types.get(f"{event}{blank}{path.rpartition('.')[0] or '$'}", {"null"}) != {"null"}
