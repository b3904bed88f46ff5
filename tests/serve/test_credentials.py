"""A key counts where its dialect's clients put it, and a refusal says where that is."""

from __future__ import annotations

from typing import cast

import pytest

from halley.errors import Condition, Refused
from halley.exchanges.record import AUTHORIZATION, BEARER, QUERY, Carriers
from halley.net.request import Request
from halley.net.server import Connection
from halley.serve import credentials
from halley.serve.tables import Caller, Tables
from tests.serve.rig import make_key

KEY, OTHER, STRANGER = make_key("known"), make_key("another"), make_key("stranger")
ANTHROPIC: Carriers = (b"x-api-key", AUTHORIZATION)
GEMINI: Carriers = (b"x-goog-api-key", QUERY, AUTHORIZATION)


class Known:
    """Tables that know two keys."""

    def __init__(self) -> None:
        self.known: dict[bytes | None, Caller] = {}
        self.callers = {KEY: cast(Caller, "known"), OTHER: cast(Caller, "another")}

    def caller(self, key: bytes) -> Caller | None:
        return self.callers.get(key)

    def remember(self, header: bytes, caller: Caller) -> None:
        self.known[header] = caller


def find(carriers: Carriers, fields: dict[bytes, bytes], query: bytes = b"", tables: Known | None = None) -> Caller:
    request = Request(cast(Connection, None), b"POST", b"/", query, fields, b"", "1.1", 0.0, True)
    return credentials.find_caller(request, cast(Tables, tables or Known()), carriers)


def refused(carriers: Carriers, fields: dict[bytes, bytes], query: bytes = b"") -> str:
    with pytest.raises(Refused) as caught:
        find(carriers, fields, query)
    assert caught.value.condition is Condition.BAD_KEY
    return caught.value.message


@pytest.mark.parametrize(
    "carriers, fields, query",
    [
        (BEARER, {b"authorization": b"Bearer " + KEY}, b""),
        (BEARER, {b"authorization": b"bearer " + KEY, b"x-api-key": KEY}, b""),
        (BEARER, {b"authorization": b"Bearer " + KEY}, b"key=of+something+else"),
        (ANTHROPIC, {b"x-api-key": KEY}, b"beta=true"),
        (ANTHROPIC, {b"authorization": b"Bearer " + KEY}, b"beta=true"),
        (ANTHROPIC, {b"authorization": b"Bearer " + KEY, b"x-api-key": KEY}, b""),
        (GEMINI, {b"x-goog-api-key": KEY}, b"alt=sse"),
        (GEMINI, {}, b"alt=sse&key=" + KEY),
        (GEMINI, {}, b"key=%73" + KEY[1:]),
        (GEMINI, {b"x-goog-api-key": KEY}, b"key=" + KEY),
    ],
)
def test_a_key_is_found_where_the_dialect_carries_it(carriers: Carriers, fields: dict[bytes, bytes], query: bytes) -> None:
    tables = Known()
    for _ in range(2):
        assert find(carriers, fields, query, tables) == "known"


@pytest.mark.parametrize(
    "carriers, fields, query, words",
    [
        (BEARER, {}, b"", "No API key was sent. Send it as `Authorization: Bearer …`."),
        (BEARER, {}, b"key=" + KEY, "No API key was sent"),
        (BEARER, {b"x-api-key": KEY}, b"", "takes the key as `Authorization: Bearer …`, not in x-api-key"),
        (ANTHROPIC, {}, b"", "Send it as x-api-key or `Authorization: Bearer …`."),
        (ANTHROPIC, {b"x-goog-api-key": KEY}, b"", "takes the key as x-api-key or `Authorization: Bearer …`, not in x-goog-api-key"),
        (ANTHROPIC, {b"x-api-key": KEY + b" "}, b"", "without blanks"),
        (ANTHROPIC, {b"x-api-key": b""}, b"", "without blanks"),
        (ANTHROPIC, {b"authorization": b"Bearer " + KEY, b"x-api-key": OTHER}, b"", "Two different"),
        (GEMINI, {b"x-goog-api-key": KEY}, b"key=" + OTHER, "Two different"),
        (GEMINI, {}, b"key=" + KEY + b"&key=" + KEY, "twice"),
        (GEMINI, {}, b"key=", "nothing else"),
        (GEMINI, {b"x-goog-api-key": STRANGER}, b"", "not valid"),
        (GEMINI, {b"x-goog-api-key": KEY[:-1]}, b"", "mistyped"),
        (BEARER, {b"authorization": b"Bearer x "}, b"", "ends in a blank"),
        (BEARER, {b"authorization": b"Bearer x\t"}, b"", "ends in a blank"),
        (BEARER, {b"authorization": b"x"}, b"", "must begin with"),
        (BEARER, {b"authorization": b"Basic eDp5"}, b"", "must begin with"),
        (BEARER, {b"authorization": b"Bearer"}, b"", "no key after"),
        (BEARER, {b"authorization": b"Bearer a,b c"}, b"", "one blank"),
        (BEARER, {b"authorization": b"Bearer  x"}, b"", "one blank"),
    ],
)
def test_any_other_way_is_told_what_is_wrong(carriers: Carriers, fields: dict[bytes, bytes], query: bytes, words: str) -> None:
    assert words in refused(carriers, fields, query)


def test_a_known_header_does_not_hide_another_key_beside_it() -> None:
    tables = Known()
    fields = {b"authorization": b"Bearer " + KEY}
    assert find(GEMINI, fields, b"", tables) == "known"
    with pytest.raises(Refused):
        find(GEMINI, {**fields, b"x-goog-api-key": OTHER}, b"", tables)
    with pytest.raises(Refused):
        find(GEMINI, fields, b"key=" + OTHER, tables)
