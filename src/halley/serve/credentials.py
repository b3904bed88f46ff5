"""Whose request it is: the key is taken from where its client's dialect carries it, and found by its digest.

A route names its carriers. A key in another place is refused with the name of the right one, two different keys anywhere are refused, the
same key twice is fine. No refusal says whether a key exists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from halley.errors import Condition, Refused
from halley.exchanges.record import AUTHORIZATION, QUERY, Carriers
from halley.store import keytext

if TYPE_CHECKING:
    from halley.net.server import Request
    from halley.serve.tables import Caller, Tables

_OTHERS = (b"x-api-key", b"x-goog-api-key")
_BEARER = re.compile(rb"(?i:bearer) ([\x21-\x7e]+)")
_PLAIN = re.compile(rb"[\x21-\x7e]+")
_WORDS = {AUTHORIZATION: "`Authorization: Bearer …`", QUERY: "`?key=…`"}


def find_caller(request: Request, tables: Tables, carriers: Carriers) -> Caller:
    """Raises Refused (401) that says what is wrong with the way the key was sent."""
    fields = request.fields
    value = fields.get(b"authorization")
    if b"x-api-key" not in fields and b"x-goog-api-key" not in fields and (not request.query or QUERY not in carriers):
        known = tables.known.get(value)
        if known is not None:
            return known
    offered = dict(_offered(request, carriers))
    if not offered:
        raise Refused(Condition.BAD_KEY, f"No API key was sent. Send it as {_words(carriers)}.")
    if len(set(offered.values())) > 1:
        raise Refused(Condition.BAD_KEY, "Two different API keys were sent in two places; send one.")
    if not any(carrier in offered for carrier in carriers):
        where = " or ".join(map(_word, offered))
        raise Refused(Condition.BAD_KEY, f"This route takes the key as {_words(carriers)}, not in {where}.")
    key = next(iter(offered.values()))
    if not keytext.well_formed(key.decode("ascii")):
        raise Refused(Condition.BAD_KEY, "The API key is mistyped or cut short: its checksum does not fit.")
    caller = tables.caller(key)
    if caller is None:
        raise Refused(Condition.BAD_KEY, "The API key is not valid: unknown or revoked.")
    if value is not None:
        tables.remember(value, caller)
    return caller


def _offered(request: Request, carriers: Carriers) -> list[tuple[bytes, bytes]]:
    """What was sent, by carrier. A query is looked into only where a dialect carries keys there: elsewhere it is none of our business."""
    fields = request.fields
    found: list[tuple[bytes, bytes]] = []
    value = fields.get(b"authorization")
    if value is not None:
        match = _BEARER.fullmatch(value)
        if match is None:
            raise Refused(Condition.BAD_KEY, _bad_header(value))
        found.append((AUTHORIZATION, match[1]))
    for name in _OTHERS:
        if name in fields:
            if _PLAIN.fullmatch(fields[name]) is None:
                raise Refused(Condition.BAD_KEY, f"The {_word(name)} header must be the key and nothing else, without blanks.")
            found.append((name, fields[name]))
    if QUERY in carriers:
        for pair in request.query.split(b"&"):
            if pair.startswith(b"key="):
                key = unquote_to_bytes(pair[4:])
                if _PLAIN.fullmatch(key) is None:
                    raise Refused(Condition.BAD_KEY, "`key` in the query must be the key and nothing else.")
                found.append((QUERY, key))
    if len({carrier for carrier, _ in found}) < len(found):
        raise Refused(Condition.BAD_KEY, "`key` stands twice in the query; send one key.")
    return found


def _words(carriers: Carriers) -> str:
    return " or ".join(map(_word, carriers))


def _word(carrier: bytes) -> str:
    return _WORDS.get(carrier) or carrier.decode("ascii")


def _bad_header(value: bytes) -> str:
    if value[-1:] in (b" ", b"\t"):
        return "The Authorization header ends in a blank; remove it."
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"bearer":
        return "The Authorization header must begin with `Bearer `, followed by the key."
    if not rest.strip():
        return "The Authorization header has no key after `Bearer`."
    return "The Authorization header must be `Bearer `, one blank, and the key, nothing else."
