"""A client's body read piece by piece: what is wrong is refused by the name of its field, what is not known is kept.

Any dialect's reader may use it. Nothing here knows what a field means.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TypeVar

import msgspec

from halley.chat.model import Extra
from halley.errors import Condition, Refused

NULL = b"null"
_LONGEST_REASON = 300

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, at: str = "") -> T:
    """A part of the body as a value. Raises Refused, naming the field below `at`."""
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise refused(str(error), at) from None


def refused(text: str, at: str = "") -> Refused:
    """A validation error of the decoder (`Expected X, got Y - at `$.path``) in the caller's spelling."""
    reason, _, path = text.partition(" - at `$")
    param = (at + path.rstrip("`").replace("[...]", "[]")).lstrip(".") or None
    if reason.startswith("Object missing required field `"):
        field = reason.split("`")[1]
        param = f"{param}.{field}" if param else field
        return Refused(Condition.INVALID, f"{param} is missing.", param=param)
    if reason.startswith("Invalid enum value"):
        reason = "Unknown value"  # the decoder quotes what was sent, which may be a prompt in the wrong place
    reason = reason[:_LONGEST_REASON]
    return Refused(Condition.INVALID, f"{param}: {reason[:1].lower()}{reason[1:]}." if param else f"{reason}.", param=param)


def unsaid(at: str, why: str) -> Refused:
    """Content or a tool that the provider's dialect cannot say."""
    return Refused(Condition.INVALID, f"{at or 'The request'}: {why}.", param=at or None)


def given(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A field of any type; None when it is absent or null."""
    return raw.copy() if len(raw) and bytes(raw) != NULL else None


def begins(raw: msgspec.Raw, mark: bytes) -> bool:
    """Whether a raw value begins so: `[` of an array. Absent begins with nothing."""
    return bytes(memoryview(raw)[: len(mark)]) == mark


def others(dialect: str, fields: dict[str, msgspec.Raw], known: Container[str], at: str = "") -> list[Extra]:
    """Fields without a meaning in the vocabulary, for whoever speaks this dialect; null says nothing."""
    return [
        Extra(dialect, f"{at}.{field}" if at else field, raw.copy())
        for field, raw in fields.items()
        if field not in known and bytes(raw) != NULL
    ]
