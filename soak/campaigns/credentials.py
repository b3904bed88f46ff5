"""Thousands of credentials that nobody was given, at routes of relays and of control: each is refused, and none becomes SQL.

What is malformed causes no look-up at all; what could be a key is looked up by the same statements as a good one.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from halley.store import keytext
from soak.campaign import Campaign, Effort, Figures, say
from soak.statements import Seen, watch
from tests.harness.audit import audit
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.priced import configuration, customer, encoded
from tests.harness.simulator import Simulator

_EACH = 1000
_AT_ONCE = 100
_MODEL = "sim/echo"
_REFUSED = {400, 401, 431}
_HEAD_BYTES = 32 * 1024
# Stands in every statement that looks a credential up.
_LOOK_UP = "digest = "
_SQL = (
    b"' OR '1'='1", b"'; DROP TABLE keys; --", b'" OR ""="', b"1) UNION SELECT digest FROM keys --", b"%s", b"{0}",
    b":digest", b"?1", b"$1", b"\\", b"\\'", b"/*", b"--", b"x'; SELECT pg_sleep(9) --", b"char(0)",
    b"sk-' || (SELECT 1) || '", b"E'\\000'", b"\xca\xbc OR 1=1", b"\xef\xbc\x87 OR 1=1",
)  # fmt: skip


class Place(NamedTuple):
    """A route, and the ways in which a credential may come to it: a line of the head, or a part of the address."""

    method: str
    path: str
    fields: tuple[str, ...] = ("Authorization: Bearer {}", "Authorization: {}", "x-api-key: {}", "x-goog-api-key: {}")
    query: str = ""


_RELAYS = (
    Place("POST", "/v1/chat/completions"),
    Place("POST", "/v1/messages"),
    Place("POST", f"/v1beta/models/{_MODEL}:generateContent", query="?key={}"),
    Place("GET", "/v1/models"),
)
_CONTROL = (
    Place("GET", "/api/balance"),
    Place("GET", "/api/keys"),
    Place("GET", "/api/usage/token"),
    Place("GET", "/v1/dashboard/billing/subscription"),
    Place("GET", "/user/quota", query="?key={}"),
)
_PLACES = (*_RELAYS, *_CONTROL)


def run(place: Path, effort: Effort) -> Figures:
    """For `seconds` good credentials alone, then `rounds` times 1,000 others, each at a route of relays and at one of control."""
    dice = random.Random(effort.seed)
    statuses: Counter[int] = Counter()
    with Simulator(place) as simulator:
        gateway = Gateway(place, configuration(simulator.url, (_MODEL,)))
        database = effort.postgres.create() if effort.postgres is not None else ""
        if effort.postgres is not None:
            effort.postgres.hold(gateway, database)
        seen = watch(gateway, effort.postgres, database)
        with gateway:
            key = customer(gateway, "known", "1000").encode()
            # For as long as it takes until everything has been seen that control does by itself.
            known = time.monotonic() + effort.seconds
            while True:
                _texts(gateway, seen, [request for each in _PLACES for request in _each_way(each, key)], Counter())
                if time.monotonic() >= known:
                    break
                time.sleep(1.0)
            audit(gateway, simulator)
            good = seen()
            assert any(_LOOK_UP in text for text in good), f"nothing was looked up: {sorted(good)}"
            for turn in range(effort.rounds):
                made = [junk(dice) for _ in range(_EACH)]
                requests = [_request(dice.choice(places), each, dice) for each in made for places in (_RELAYS, _CONTROL)]
                given = _texts(gateway, seen, requests, statuses)
                assert not given.keys() - good.keys(), f"SQL that no good request causes: {sorted(given.keys() - good.keys())}"
                looked_up = {text: count for text, count in given.items() if _LOOK_UP in text}
                assert not looked_up, f"looked up for what is no key: {looked_up}"
                say(f"{(turn + 1) * _EACH} credentials: {dict(statuses)}")
            unknown = [_request(dice.choice(_CONTROL), keytext.make().encode(), dice) for _ in range(_EACH)]
            given = _texts(gateway, seen, unknown, statuses)
            assert given.keys() <= good.keys(), f"SQL that no good request causes: {sorted(given.keys() - good.keys())}"
            found = {text for text in given if _LOOK_UP in text}
            assert found, "no key that could be one was looked up"
    assert statuses.keys() <= _REFUSED, statuses
    return {
        "credentials": effort.rounds * _EACH,
        "requests": statuses.total(),
        **{f"refused_{status}": count for status, count in sorted(statuses.items())},
        "statements_of_good_requests": len(good),
        "statements_of_others": 0,
        "look_ups_of_what_is_no_key": 0,
        "look_up_statements": len(found),
    }


def junk(dice: random.Random) -> bytes:
    """Anything but a key: a slip in one, SQL, what is no text, what is too long."""
    match dice.randrange(6):
        case 0:
            text = bytearray(keytext.make(dice.choice((keytext.KEY, keytext.TOKEN))).encode())
            text[dice.randrange(len(text))] ^= 1 << dice.randrange(5)
            return bytes(text)
        case 1:
            return b" ".join(dice.choices(_SQL, k=dice.randrange(1, 5)))
        case 2:
            return dice.choice((b"sk-", b"pat-", b"")) + bytes(dice.choices(range(256), k=dice.randrange(60)))
        case 3:
            size = dice.choice((16 * 1024, 16 * 1024 - 1, _HEAD_BYTES, 2 * _HEAD_BYTES))
            return dice.choice((b"sk-", b"'")) + dice.choice((b"a", b"'", b"\xc3\xbc")) * (size // 2)
        case 4:
            return "".join(chr(dice.choice((dice.randrange(32, 0xD800), dice.randrange(0xE000, 0x110000)))) for _ in range(30)).encode()
        case _:
            text = keytext.make().encode()
            return dice.choice(
                (text[:-1], text + b"0", text + text, text.swapcase(), b"\x00" + text, text + b"\x00", text[3:], b"sk-" + text)
            )


def _each_way(place: Place, credential: bytes) -> Iterator[bytes]:
    for field in place.fields:
        yield _written(place, field, credential)
    if place.query:
        yield _written(place, "", credential)


def _request(place: Place, credential: bytes, dice: random.Random) -> bytes:
    return _written(place, dice.choice((*place.fields, *([""] if place.query else ()))), credential)


def _written(place: Place, field: str, credential: bytes) -> bytes:
    """Without a field the credential goes into the address."""
    query = "" if field else place.query.format(quote_from_bytes(credential, safe="'()*"))
    body = encoded(_MODEL) if place.method == "POST" else b""
    line = field.encode().replace(b"{}", credential) + b"\r\n" if field else b""
    head = f"{place.method} {place.path}{query} HTTP/1.1\r\nHost: halley.test\r\nConnection: close\r\n".encode()
    return head + line + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _texts(gateway: Gateway, seen: Seen, requests: Iterable[bytes], statuses: Counter[int]) -> Counter[str]:
    """What is given to the database while these are answered."""
    before = seen()
    waiting = list(requests)
    while waiting:
        with Crowd(gateway.url) as crowd:
            for request in waiting[:_AT_ONCE]:
                crowd.join(request)
            crowd.until(lambda member: member.ended)
            statuses.update(member.status for member in crowd)
        del waiting[:_AT_ONCE]
    return seen() - before


_ABOUT = "credentials that nobody was given: none becomes SQL, what is no key is not looked up"
CAMPAIGN = Campaign("credentials", "G9", _ABOUT, Effort(rounds=2), Effort(rounds=20, seconds=65.0), run, on_postgres=True)
