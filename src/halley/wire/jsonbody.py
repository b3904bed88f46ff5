"""A JSON request body as bytes: is it safe to parse, what are its top-level members, and how is one replaced without touching the rest.

Nothing here knows what a member means. Measured reasons for the gate (reference machine, 2026-11): nine megabytes of `[],[],…` hold a
parser for five seconds, and a thousand nested arrays end in a RecursionError, while counting the structural bytes of 20 MB takes 70 ms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import msgspec

STRUCTURAL_LIMIT = 200_000
DEPTH_LIMIT = 100
MEMBERS_LIMIT = 1000
_PIECE = 1 << 20
_WORD = 64  # the longest key that anybody could want to change
SMALL = 4096  # bytes of a member's value that `Places` carries along

# Possessive, and an unterminated string reaches to the end: a quote is looked at once, or a few kilobytes of `\"` would take seconds.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ROUND_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_KEY = re.compile(rb'[\s,{]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*+:\s*+', re.DOTALL)
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")  # could spell any word
_END = re.compile(rb"\s*}\s*")

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode

Members = dict[str, msgspec.Raw]
BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that a decoder raises at bytes that are not the JSON that it is for; a string's bytes it looks at last."""


class Places(msgspec.Struct, frozen=True, array_like=True):
    """Where the top-level members of a body stand, for one who has the body but has not parsed it: start and end of the values of all keys
    that anybody could want to change, the small values themselves, the place of the closing brace, and whether there is no member."""

    spans: dict[str, tuple[int, int]]
    values: dict[str, bytes]
    close: int
    empty: bool

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)


class Malformed(ValueError):
    """The body is not JSON that may be parsed; the message is fit for the caller."""


def gate(body: bytes) -> None:
    """Refuse what would cost too much to parse: too many elements, nested too deep, not UTF-8. Raises Malformed."""
    if not body.isascii():
        _check_text(body)
    openers = body.count(b"[") + body.count(b"{")
    elements = openers + body.count(b",") if len(body) > STRUCTURAL_LIMIT else openers
    if openers <= DEPTH_LIMIT and elements <= STRUCTURAL_LIMIT:
        return
    # Taking the strings out costs 0.3 µs each. So many elements cannot hold so many strings, and a string's first quote has no backslash.
    if body.count(b'"') - body.count(b'\\"') > 4 * (STRUCTURAL_LIMIT + 1):
        raise Malformed(f"The body has more than {STRUCTURAL_LIMIT} elements.")
    bare = _STRINGS.sub(b"", body)
    if bare.count(b"[") + bare.count(b"{") + bare.count(b",") > STRUCTURAL_LIMIT:
        raise Malformed(f"The body has more than {STRUCTURAL_LIMIT} elements.")
    if _depth(bare) > DEPTH_LIMIT:
        raise Malformed(f"The body is nested deeper than {DEPTH_LIMIT} levels.")


def _check_text(body: bytes) -> None:
    """UTF-8, looked at in pieces: as one text, a body with a single character beyond the others' width is four times as large."""
    start = 0
    while start < len(body):
        end = start + _PIECE
        while end < len(body) and body[end] & 0xC0 == 0x80 and end > start + _PIECE - 4:  # not through a character
            end -= 1
        try:
            body[start:end].decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"The body is not UTF-8 (byte {start + error.start}).") from None
        start = end


def _depth(bare: bytes) -> int:
    """Nesting depth of a body without strings, counted up to just past the limit: each pass removes the innermost pairs."""
    brackets = bare.translate(_ROUND_TO_SQUARE, _NOT_BRACKETS)
    depth = 0
    while brackets and depth <= DEPTH_LIMIT:
        brackets = brackets.replace(b"[]", b"")
        depth += 1
    return depth


def members(body: bytes) -> Members:
    """The top-level members of a JSON object, values raw. Raises Malformed; a key given twice is refused, because two readers could
    disagree."""
    try:
        found = _decode_members(body)
    except msgspec.ValidationError:
        raise Malformed("The body must be a JSON object.") from None
    except msgspec.DecodeError as error:
        raise Malformed(_plain(error)) from None
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8.") from None
    except RecursionError:
        raise Malformed(f"The body is nested deeper than {DEPTH_LIMIT} levels.") from None
    if len(found) > MEMBERS_LIMIT:
        raise Malformed(f"The body has more than {MEMBERS_LIMIT} top-level fields.")
    # Compact JSON without a repeated key is exactly as long as its parts: braces, a comma between members, quotes and colon of each.
    if 1 + 4 * len(found) + sum(map(len, found)) + sum(map(len, found.values())) != len(body):
        for _ in _spans(body, found):
            pass
    return found


def places(body: bytes, found: Members) -> Places:
    """Where the members stand that `members` found in this body."""
    spans = {key: (start, end) for key, start, end in _spans(body, found) if len(key) <= _WORD}
    values = {key: bytes(found[key]) for key, (start, end) in spans.items() if end - start <= SMALL}
    return Places(spans, values, body.rindex(b"}"), not found)


def word(found: Members | Places, key: str) -> str | None:
    """The value of a small top-level member that is a string; None for everything else."""
    value = found.values.get(key) if isinstance(found, Places) else found.get(key)
    if value is None or len(value) > SMALL:
        return None
    try:
        return _decode_text(value)
    except msgspec.ValidationError:
        return None


def member(body: bytes, found: Members | Places, key: str) -> bytes:
    """The JSON text of a top-level member, empty where there is none."""
    if not isinstance(found, Places):
        return bytes(found.get(key, b""))
    start, end = found.spans.get(key, (0, 0))
    return body[start:end]


def set_members(body: bytes, found: Members | Places, changes: Mapping[str, bytes]) -> bytes:
    """The body with some top-level members replaced or added; every other byte stays as it came. `found` is what `members` or `places`
    returned for it."""
    if isinstance(found, Places):
        return _splice(body, found, changes)
    out: list[bytes] = []
    done = 0
    missing = dict(changes)
    for key, start, end in _spans(body, found):
        replacement = missing.pop(key, None)
        if replacement is not None:
            out += (body[done:start], replacement)
            done = end
    if missing:
        close = body.rindex(b"}")
        added = b",".join(msgspec.json.encode(key) + b":" + value for key, value in missing.items())
        out += (body[done:close], b"," if found else b"", added)
        done = close
    out.append(body[done:])
    return b"".join(out)


def _splice(body: bytes, found: Places, changes: Mapping[str, bytes]) -> bytes:
    """As `set_members`, with one copy of what may be very large."""
    view = memoryview(body)
    out: list[bytes | memoryview] = []
    done = 0
    kept = sorted((found.spans[key], value) for key, value in changes.items() if key in found.spans)
    for (start, end), value in kept:
        out += (view[done:start], value)
        done = end
    added = b",".join(msgspec.json.encode(key) + b":" + value for key, value in changes.items() if key not in found.spans)
    if added:
        out += (view[done : found.close], b"" if found.empty else b",", added)
        done = found.close
    out.append(view[done:])
    return b"".join(out)


def is_object(body: bytes) -> bool:
    """Whether it is one JSON object, as `members` has it."""
    try:
        members(body)
    except Malformed:
        return False
    return True


def check_one_reading(body: bytes, found: Members, core: frozenset[str], deep: Mapping[str, bytes]) -> None:
    """Refuse what another reader could take for something else than this one did. Raises Malformed.

    `core` names the top-level members that are judged: none may come in other letters, because some readers fold case. `deep` names
    those of which more than the top level is judged, each with the word without which that is not so: no key twice inside them.
    """
    if not core.issuperset(found):
        for key in found.keys() - core:
            if key.casefold() in core:
                raise Malformed(f'The field "{key[:64]}" must be spelled "{key.casefold()}".')
    for key, word in deep.items():
        if key in found and (word in body or (b"\\u00" in body and _ESCAPED_LETTER.search(body) is not None)):
            value = bytes(found[key])
            if value.count(b"{") == 1 and value.startswith(b"{"):
                _unique([(name, None) for name in members(value)])
            else:
                # As slow as a parser that makes every value, which is why it is not done to every body.
                json.loads(value, object_pairs_hook=_unique, parse_int=str, parse_float=str)


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len(pairs) > 1 and len({key.casefold() for key, _ in pairs}) != len(pairs):
        raise Malformed(f"A key is given twice in one object, which has {', '.join(key[:64] for key, _ in pairs[:8])}.")


def _spans(body: bytes, found: Members) -> list[tuple[str, int, int]]:
    """(key, start, end) of every top-level value. Raises Malformed when a key is repeated: then the walk and the parser disagree."""
    spans: list[tuple[str, int, int]] = []
    position = 0
    for key, value in found.items():
        match = _KEY.match(body, position)
        if match is None or _decode_text(match[1]) != key:
            raise Malformed("A top-level key is given twice.")
        start = match.end()
        position = start + len(value)
        if body[start:position] != bytes(value):
            raise Malformed(f'The top-level key "{key[:64]}" is given twice.')
        spans.append((key, start, position))
    tail = body[position:] if found else body.lstrip()[1:]
    if _END.fullmatch(tail) is None:
        raise Malformed("A top-level key is given twice.")
    return spans


def _plain(error: msgspec.DecodeError) -> str:
    text = str(error)
    if text.startswith("JSON is malformed: "):
        return "The body is not valid JSON: " + text.removeprefix("JSON is malformed: ") + "."
    return "The body is not valid JSON: it ends too early or holds a broken escape."
