"""One object of a client's body as a typed value: what is wrong with it is refused by the name of its field, and what it has beyond the
fields that are known is kept. Nothing here knows what a field means."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TypeVar

import msgspec

from halley.chat.model import Extra
from halley.dialects.anthropic.sealing import NAME
from halley.errors import Condition, Refused

_Value = TypeVar("_Value")
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_LONGEST_REASON = 300


def join(at: str, field: str) -> str:
    """A field's place, under the place of its object."""
    return f"{at}.{field}" if at and field and not field.startswith("[") else at + field


def missing(param: str, why: str) -> Refused:
    return Refused(Condition.INVALID, f"{param} is missing: {why}.", param=param)


def invalid(param: str, why: str) -> Refused:
    return Refused(Condition.INVALID, f"{param}: {why}.", param=param)


def refused(error: msgspec.DecodeError, at: str = "") -> Refused:
    """A validation error of the decoder (`Expected X, got Y - at `$.path``) in the caller's spelling."""
    reason, _, path = str(error).partition(" - at `$")
    param = join(at, path.rstrip("`").lstrip(".").replace("[...]", "[]"))
    if reason.startswith("Object missing required field `"):
        param = join(param, reason.split("`")[1])
        return Refused(Condition.INVALID, f"{param} is missing.", param=param)
    if reason.startswith("Invalid enum value"):
        reason = "unknown value"  # not the decoder's words, which quote what was sent
    reason = f"{reason[0].lower()}{reason[1:_LONGEST_REASON]}"
    return invalid(param, reason) if param else Refused(Condition.INVALID, f"The body: {reason}.")


def read_as(decode: Callable[[msgspec.Raw | bytes], _Value], raw: msgspec.Raw | bytes, at: str) -> _Value:
    """Raises Refused."""
    try:
        return decode(raw)
    except msgspec.DecodeError as error:
        raise refused(error, at) from None


def fields_of(raw: msgspec.Raw | bytes, at: str) -> dict[str, msgspec.Raw]:
    """Raises Refused."""
    return read_as(_decode_fields, raw, at)


def given(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A field of any type, on its own; None when it is absent or null."""
    return raw.copy() if len(raw) and bytes(raw) != b"null" else None


def keep_others(fields: dict[str, msgspec.Raw], known: Container[str], at: str, extras: list[Extra]) -> None:
    """Fields that have no meaning here, for whoever speaks this dialect; null says nothing."""
    for field, raw in fields.items():
        if field not in known and bytes(raw) != b"null":
            extras.append(Extra(NAME, join(at, field), raw))
