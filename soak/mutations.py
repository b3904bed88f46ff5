"""Seeded mutations of raw requests: bytes flipped, put in, taken out, doubled, moved, cases cut together. Same dice, same bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_PIECES = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b"\x0b", b":", b";", b",", b"0", b"5", b"-", b"+", b"_", b"x", b"\xff", b"\r\n\r\n", b"\n\n",
    b"0\r\n\r\n", b"chunked", b"identity", b"close", b"keep-alive", b"\r\n ", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n", b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Host: a\r\n",
    b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"Content-Encoding: gzip\r\n", b"HTTP/1.0", b"HTTP/1.1", b"/",
    b"GET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
)  # fmt: skip
_FRAMING = (b"ontent-", b"ransfer", b"hunked", b"\r\n\r\n", b"HTTP/1", b"onnection", b"Host")
Dice = random.Random


def _place(data: bytes, dice: Dice) -> int:
    """Half of the time near something that frames."""
    if dice.random() < 0.5:
        found = data.find(dice.choice(_FRAMING), dice.randrange(len(data) + 1))
        if found >= 0:
            return min(max(found + dice.randrange(-3, 20), 0), len(data))
    return dice.randrange(len(data) + 1)


def _range(data: bytes, dice: Dice) -> tuple[int, int]:
    start = _place(data, dice)
    return start, min(start + dice.choice((1, 1, 2, 4, 16, 64)), len(data))


def _flip(data: bytes, dice: Dice, _: Sequence[bytes]) -> bytes:
    place = min(_place(data, dice), len(data) - 1)
    return data[:place] + bytes((data[place] ^ (1 << dice.randrange(8)),)) + data[place + 1 :]


def _replace(data: bytes, dice: Dice, _: Sequence[bytes]) -> bytes:
    place = min(_place(data, dice), len(data) - 1)
    return data[:place] + bytes((dice.randrange(256),)) + data[place + 1 :]


def _insert(data: bytes, dice: Dice, _: Sequence[bytes]) -> bytes:
    place = _place(data, dice)
    return data[:place] + dice.choice(_PIECES) + data[place:]


def _insert_line(data: bytes, dice: Dice, _: Sequence[bytes]) -> bytes:
    place = data.find(b"\r\n", _place(data, dice)) + 2
    return data[:place] + dice.choice(_PIECES) + data[place:]


def _delete(data: bytes, dice: Dice, _: Sequence[bytes]) -> bytes:
    start, end = _range(data, dice)
    return data[:start] + data[end:]


def _double(data: bytes, dice: Dice, _: Sequence[bytes]) -> bytes:
    start, end = _range(data, dice)
    return data[:end] + data[start:]


def _double_line(data: bytes, dice: Dice, _: Sequence[bytes]) -> bytes:
    lines = data.split(b"\r\n")
    place = dice.randrange(len(lines))
    lines.insert(dice.randrange(len(lines)), lines[place])
    return b"\r\n".join(lines)


def _swap_lines(data: bytes, dice: Dice, _: Sequence[bytes]) -> bytes:
    lines = data.split(b"\r\n")
    one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def _splice(data: bytes, dice: Dice, others: Sequence[bytes]) -> bytes:
    other = dice.choice(others)
    return data[: _place(data, dice)] + other[_place(other, dice) :]


def _cut(data: bytes, dice: Dice, _: Sequence[bytes]) -> bytes:
    return data[: _place(data, dice)]


_KINDS: tuple[Callable[[bytes, Dice, Sequence[bytes]], bytes], ...] = (
    _flip, _replace, _insert, _insert, _insert_line, _insert_line, _delete, _double, _double_line, _swap_lines, _splice, _cut,
)  # fmt: skip


def mutate(data: bytes, dice: Dice, others: Sequence[bytes]) -> bytes:
    """One to four changes. Never empty."""
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        data = dice.choice(_KINDS)(data, dice, others) or b"\r\n"
    return data
