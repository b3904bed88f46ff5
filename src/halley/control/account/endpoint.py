"""What an operation of the account's API is: a record beside the function that does it, read by the web server and by the OpenAPI document.

A question is a struct: fields that are named in the path come from there, the others from the query of a GET or DELETE and from the JSON
body of everything else. Who asks is a `Visitor`. Both are plain values; nothing here knows HTTP.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from halley.control.desk import Desk
from halley.errors import Condition, Refused
from halley.store.values import ADMIN, USAGE_READ

FORMATS = ("csv", "json")
"""What `format` may be, at routes whose answer is also a table."""

# No day and no second of ours is beyond it, and every database can count to it.
_FARTHEST = 1e12


class Visitor(msgspec.Struct, frozen=True):
    """Whose question it is: a personal access token's or, with `key`, a client key's. `name` is that of the user or of the key."""

    account: str
    scopes: tuple[str, ...]
    name: str
    key: str | None = None

    @property
    def own(self) -> str | None:
        """The id of the only key of which it may hear; None when it hears of all of the account."""
        return self.key if ADMIN not in self.scopes else None


class Nothing(msgspec.Struct, frozen=True):
    """A question without content."""


class Table(msgspec.Struct, frozen=True):
    """An answer that can also be had as CSV: rows of one kind, and where the next page begins."""

    kind: type[msgspec.Struct]
    rows: tuple[msgspec.Struct, ...]
    next_cursor: str | None = None


class Manners(NamedTuple):
    """How a group of operations speaks: `refuse` makes the body of a refusal, a `refusal`, with its request id. Who is `lenient` reads
    past fields that are unknown, for clients of another service send more than there is here."""

    refuse: Callable[[Refused, str], msgspec.Struct]
    refusal: Any
    lenient: bool = False


class Endpoint(NamedTuple):
    """`run` gets the desk, the visitor and the question, on a thread where the store may be read, or written when `changes` is set; then
    relays are told before the answer goes out. `as_table` gives the same as rows, for CSV. `refused` are the conditions beside those of
    every route here; `aliases` are paths that other gateways serve it at too."""

    method: str
    path: str
    summary: str
    question: type[msgspec.Struct]
    answer: Any
    run: Callable[[Desk, Visitor, Any], Any]
    manners: Manners
    scope: str = USAGE_READ
    changes: bool = False
    status: int = 200
    as_table: Callable[[Any], Table] | None = None
    refused: frozenset[Condition] = frozenset()
    key_in_query: bool = False
    aliases: tuple[str, ...] = ()


def cursor(place: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of(text: str, kind: Any) -> Any:
    """What a cursor says. Raises Refused (400)."""
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
        if any("\0" in each if isinstance(each, str) else abs(each) > _FARTHEST for each in found):
            raise ValueError
        return found
    except (msgspec.MsgspecError, binascii.Error, ValueError, UnicodeError):
        raise Refused(Condition.INVALID, "The cursor is not one that an earlier page gave; begin without one.", param="cursor") from None
