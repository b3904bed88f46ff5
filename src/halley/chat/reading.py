"""A client's body read piece by piece: what is wrong is refused by the name of its field, what is not known is kept.

Any dialect's reader may use it. Nothing here knows what a field means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TypeVar, cast

import msgspec
from msgspec import inspect

from halley.chat.model import Extra
from halley.errors import Condition, Refused
from halley.wire.jsonbody import BROKEN, SMALL

NULL = b"null"
_LONGEST_REASON = 300
# Within a body empty fields say nothing: SDKs give answers back with all of theirs. At its top level a setting may be empty.
_SAYS_NOTHING = (NULL, b"[]", b"{}")
_NUMBERS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?\d++(?:\.\d++)?+(?:[eE][+-]?+\d++)?+', re.DOTALL)
_EXACT = 2**53  # up to here a number with a fraction of zero is one integer and no other
_MOST_MENDED = 65536  # bytes of small members

T = TypeVar("T")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_elements = msgspec.json.Decoder(list[msgspec.Raw])


# ---- what is refused --------------------------------------------------------------------------------------------------------------------


def decode(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, at: str = "", known: Iterable[str] = ()) -> T:
    """A part of the body as a value; `known` as for `refused`. Raises Refused, naming the field below `at`.

    An integer may be written with a fraction of zero or with an exponent, which is one by JSON Schema: Gson, and whatever keeps numbers as
    doubles, writes `64.0`. In a large body that is understood of its top level and of what is small in it.
    """
    try:
        return decoder.decode(raw)
    except BROKEN as error:
        if "`int" not in str(error) or "got `float`" not in str(error):
            raise refused(error, at, known) from None
    try:
        return decoder.decode(_with_integers(bytes(raw)))
    except BROKEN as error:
        raise refused(error, at, known) from None


def _with_integers(raw: bytes) -> bytes:
    """An object or a list whose numbers without a fraction are written as integers."""
    if not raw.lstrip().startswith(b"{"):
        return _NUMBERS.sub(_integer, raw) if len(raw) <= _MOST_MENDED else raw
    out: list[bytes] = []
    mended = 0
    for field, value in _fields.decode(raw).items():
        if len(value) <= SMALL and mended <= _MOST_MENDED:
            mended += len(value)
            value = _NUMBERS.sub(_integer, bytes(value))
        out.append(b"%b:%b" % (msgspec.json.encode(field), bytes(value)))
    return b"{%b}" % b",".join(out)


def _integer(found: re.Match[bytes]) -> bytes:
    text = found[0]
    if text.isdigit() or text[:1] == b'"':
        return text
    number = float(text)
    return b"%d" % int(number) if number.is_integer() and abs(number) <= _EXACT else text


def refused(error: Exception, at: str = "", known: Iterable[str] = ()) -> Refused:
    """A validation error of the decoder (`Expected X, got Y - at `$.path``) in the caller's spelling. `known` are the values that a field
    may have of which that is told."""
    reason, _, path = str(error).partition(" - at `$")
    param = (at + path.rstrip("`").replace("[...]", "[]")).lstrip(".")
    if reason.startswith("Object missing required field `"):
        param = join(param, reason.split("`")[1])
        return Refused(Condition.INVALID, f"{param} is missing.", param=param)
    if reason.startswith("Invalid enum value"):
        # Not the decoder's words, which quote what was sent: that may be a prompt in the wrong place.
        reason = "unknown value" + (f"; known are {', '.join(known)}" if known else "")
    return invalid(param, f"{reason[:1].lower()}{reason[1:_LONGEST_REASON]}")


def invalid(param: str, why: str) -> Refused:
    """`why` goes on after the field's name: *must be a string*."""
    return Refused(Condition.INVALID, f"{param or 'The body'}: {why}.", param=param or None)


def missing(param: str, why: str) -> Refused:
    return Refused(Condition.INVALID, f"{param} is missing: {why}.", param=param)


def unsaid(at: str, why: str) -> Refused:
    """Content or a tool that the provider's dialect cannot say."""
    return Refused(Condition.INVALID, f"{at or 'The request'}: {why}.", param=at or None)


# ---- what is kept -----------------------------------------------------------------------------------------------------------------------


def join(at: str, field: str) -> str:
    """A field's place, under the place of its object."""
    return f"{at}.{field}" if at else field


def given(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A field of any type; None when it is absent or null."""
    return raw.copy() if len(raw) and bytes(raw) != NULL else None


def begins(raw: msgspec.Raw, mark: bytes) -> bool:
    """Whether a raw value begins so: `[` of an array. Absent begins with nothing."""
    return bytes(memoryview(raw)[: len(mark)]) == mark


def others(dialect: str, fields: dict[str, msgspec.Raw], kind: type[msgspec.Struct], at: str = "") -> Iterator[Extra]:
    """Fields without a meaning in the vocabulary, for whoever speaks this dialect: of an object that was read as `kind`, and of the objects
    within that were read with it. A field of type Raw is left to who reads it. `type` is never one of them: by it a reader knows what to
    read an object as."""
    held = _held(kind)
    nothing = _SAYS_NOTHING if at else (NULL,)
    for field, raw in fields.items():
        if field in held:
            inner = held[field]
            if inner is not None:
                yield from _within(dialect, raw, inner, join(at, field))
        elif field != "type" and bytes(memoryview(raw)[:5]) not in nothing:
            yield Extra(dialect, join(at, field), raw.copy())


def strays(dialect: str, raw: msgspec.Raw | bytes, kind: type[msgspec.Struct], at: str) -> Iterator[Extra]:
    """`others` of an object on the wire. Raises Refused."""
    return others(dialect, decode(_fields, raw, at), kind, at)


def _within(dialect: str, raw: msgspec.Raw, kind: type[msgspec.Struct], at: str) -> Iterator[Extra]:
    if begins(raw, b"{"):
        yield from strays(dialect, raw, kind, at)
    elif begins(raw, b"["):
        for index, each in enumerate(decode(_elements, raw, at)):
            yield from _within(dialect, each, kind, f"{at}[{index}]")


@cache
def _held(kind: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """The fields of an object on the wire, each with what the objects in it are read as, None where there are none."""
    shape = cast("inspect.StructType", inspect.type_info(kind))
    return {field.encode_name: next(_objects(field.type), None) for field in shape.fields}


def _objects(kind: inspect.Type) -> Iterator[type[msgspec.Struct]]:
    match kind:
        case inspect.StructType(cls=found):
            yield found
        case inspect.ListType(item_type=inner):
            yield from _objects(inner)
        case inspect.UnionType(types=alternatives):
            for each in alternatives:
                yield from _objects(each)
        case _:
            return
