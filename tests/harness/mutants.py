"""Seeded mutations of JSON documents: what a client or a provider with a bug, a grudge or a newer version of its dialect would send.

A node is taken out, doubled, replaced by one of another kind, swapped for a node of another document, nested deeply, or spelled oddly.
Same dice, same document. Now and then the bytes are broken instead.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from halley.wire import sse

Dice = random.Random
Place = tuple[Any, Any]  # a dict or list, and the key or index of a node in it

_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, [], {}, [[]], [None], [""], [{}], {"": ""}, {"type": None},
    {"type": "text"}, {"type": []}, "", "x", "null", "[]", "{}", "\u0000", "\ud83d\ude00", "\ud800", "\u2028", "x" * 300, ":", "a:b",
    "data:;base64,", "data:image/png;base64,====", "data:,", "https://",
    "https://a]b/c.png", "https://[::1", "halley.1.", "halley.1.a:b.c", "halley.1.anthropic:x.next:",
    "auto", "none", "text", "function",
)  # fmt: skip
_BROKEN: tuple[bytes, ...] = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b",",
    b":",
    b"\xff",
    b"\x00",
    b"\n",
    b"\xc3",
    b"1e",
    b"-",
    b"\\u",
    b"\\ud800",
)


def fixtures(root: Path, kind: str, dialect: str) -> list[bytes]:
    """What is written by hand of one dialect: `asks`, `answers` or `streams`."""
    return [path.read_bytes() for path in sorted((root / kind / dialect).glob("*.*")) if ".to-" not in path.name]


def documents(bodies: Sequence[bytes]) -> list[Any]:
    return [json.loads(body) for body in bodies]


def mutant(document: Any, others: Sequence[Any], dice: Dice) -> bytes:
    """`document` with one to four changes; `others` lend their nodes."""
    made = [json.loads(json.dumps(document))]
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        found = list(places(made))
        holder, key = dice.choice(found)
        dice.choice(_CHANGES)(holder, key, others, dice)
        if not made:
            made = [None]
    return encoded(made[0], dice)


def events(stream: bytes) -> list[tuple[bytes, Any]]:
    """The frames of a stream: each event's name, and its document; bytes where it is none."""
    found: list[tuple[bytes, Any]] = []
    for name, payload in sse.named(stream):
        try:
            found.append((name, json.loads(payload)))
        except ValueError:
            found.append((name, payload))
    return found


def mutant_stream(stream: Sequence[tuple[bytes, Any]], others: Sequence[Sequence[tuple[bytes, Any]]], dice: Dice) -> bytes:
    """A stream with one to three frames lost, doubled, moved or changed."""
    frames = [(name, _rendered(said)) for name, said in stream]
    for _ in range(dice.choice((1, 1, 2, 3))):
        place = dice.randrange(len(frames)) if frames else 0
        match dice.randrange(8):
            case 0 if frames:
                del frames[place]
            case 1 if frames:
                frames.insert(dice.randrange(len(frames) + 1), frames[place])
            case 2 if frames:
                frames.insert(dice.randrange(len(frames)), frames.pop(place))
            case _:
                name, said = dice.choice(stream)
                if not isinstance(said, bytes):
                    lent = [each for _, each in dice.choice(others) if not isinstance(each, bytes)]
                    frames[place : place + dice.randrange(2)] = [(name, _line(mutant(said, lent or [None], dice)))]
    return b"".join(sse.render(said, name) for name, said in frames)


def _rendered(said: Any) -> bytes:
    return said if isinstance(said, bytes) else _line(json.dumps(said).encode())


def _line(data: bytes) -> bytes:
    return data.replace(b"\n", b"").replace(b"\r", b"")


def encoded(value: Any, dice: Dice) -> bytes:
    body = json.dumps(value, ensure_ascii=dice.random() < 0.5, indent=dice.choice((None, None, None, 1)))
    data = body.encode("utf-8", "surrogatepass")
    if dice.random() < 0.05:
        place = dice.randrange(len(data) + 1)
        data = data[:place] + dice.choice(_BROKEN) + data[place + dice.choice((0, 1)) :]
    return data


def places(value: Any) -> Iterator[Place]:
    """All nodes of a document but its root."""
    if isinstance(value, dict):
        for key in value:
            yield value, key
            yield from places(value[key])
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value, index
            yield from places(value[index])


def _take_out(holder: Any, key: Any, others: Sequence[Any], dice: Dice) -> None:
    del holder[key]


def _double(holder: Any, key: Any, others: Sequence[Any], dice: Dice) -> None:
    if isinstance(holder, list):
        holder.insert(key, json.loads(json.dumps(holder[key])))
    else:
        holder[f"{key}{dice.choice(('2', '_', ' ', 'S'))}"] = holder[key]


def _replace(holder: Any, key: Any, others: Sequence[Any], dice: Dice) -> None:
    holder[key] = json.loads(json.dumps(dice.choice(_ODD)))


def _wrap(holder: Any, key: Any, others: Sequence[Any], dice: Dice) -> None:
    inner = holder[key]
    for _ in range(dice.choice((1, 1, 2, 40, 300))):
        inner = [inner] if dice.random() < 0.5 else {dice.choice(("a", "type", "content", "parts")): inner}
    holder[key] = inner


def _unwrap(holder: Any, key: Any, others: Sequence[Any], dice: Dice) -> None:
    inner = list(places(holder[key]))
    if inner:
        source, place = dice.choice(inner)
        holder[key] = source[place]


def _borrow(holder: Any, key: Any, others: Sequence[Any], dice: Dice) -> None:
    found = list(places([dice.choice(others)]))
    source, place = dice.choice(found)
    holder[key] = json.loads(json.dumps(source[place]))


def _rename(holder: Any, key: Any, others: Sequence[Any], dice: Dice) -> None:
    if isinstance(holder, dict):
        words = [place for _, place in places([dice.choice(others)]) if isinstance(place, str)]
        holder[dice.choice(words) if words else ""] = holder.pop(key)


def _cut(holder: Any, key: Any, others: Sequence[Any], dice: Dice) -> None:
    value = holder[key]
    if isinstance(value, str | list):
        holder[key] = value[: dice.randrange(len(value) + 1)]


def _repeat(holder: Any, key: Any, others: Sequence[Any], dice: Dice) -> None:
    value = holder[key]
    if isinstance(value, str | list):
        holder[key] = value * dice.choice((0, 2, 3, 20))


_CHANGES: tuple[Callable[[Any, Any, Sequence[Any], Dice], None], ...] = (
    _take_out, _double, _replace, _replace, _wrap, _unwrap, _borrow, _borrow, _borrow, _rename, _cut, _repeat,
)  # fmt: skip
