"""The route table of the data plane, as data, and what a mistyped path probably meant.

A path is found by its raw bytes: no decoding, no case folding, no trailing slash, so that no two components can read one path differently.
"""

from __future__ import annotations

from typing import NamedTuple

from halley import dialects
from halley.dialects import WriteError
from halley.exchanges import EXCHANGES, Exchange, Route, listing
from halley.exchanges.kept import KEPT, Deed
from halley.exchanges.standing import ACCOUNT, CATALOGUE, HEALTH, PAYMENTS, QUOTE, READY, UNIT_QUOTE

_LISTS = tuple(path + b"/" for path in listing.PATHS)


class Served(NamedTuple):
    exchange: Exchange
    route: Route


_ALL = [Served(exchange, route) for exchange in EXCHANGES for route in exchange.routes]
_OPERATIONS: dict[bytes, list[Served]] = {}
for _each in _ALL:
    if _each.route.operation:
        _OPERATIONS.setdefault(_each.route.operation, []).append(_each)
SERVED: dict[tuple[bytes, bytes], Served] = {(each.route.method, each.route.path): each for each in _ALL if not each.route.operation}
METHODS: dict[bytes, bytes] = (
    {path: method for method, path in SERVED}
    | dict.fromkeys((*listing.PATHS, CATALOGUE), b"GET")
    | dict.fromkeys((QUOTE, UNIT_QUOTE), b"POST")
)
READING = (b"GET", b"HEAD")
# Aliases are documentation addresses: reading them leads to the page.
PAGES: dict[bytes, bytes] = {route.path: route.page for _, route in _ALL if route.page}
# What stands where an id would be and is the rest of a path that was put behind another one.
_WORDS = frozenset(word for path in METHODS for word in path.split(b"/"))
# What users put in front of a path, from the base URLs of other gateways and hosts.
_PREFIXES = frozenset({b"v1", b"api", b"openai", b"v1beta"})
_KNOWN = (*METHODS, HEALTH, READY)


def find(method: bytes, path: bytes) -> Served | None:
    """What is served at a path, if it is asked for by this method."""
    served = SERVED.get((method, path))
    if served is None and (served := _operation(path)) is not None and served.route.method != method:
        return None
    return served


def error_writer(path: bytes) -> WriteError:
    """In whose words a path is refused before, or without, an exchange."""
    operation = _operation(path)
    return dialects.error_writer(path) if operation is None else operation.route.dialect.write_error


def bodies() -> list[str]:
    """The paths that take a request for a model, as a person writes them; aliases are left out."""
    plain = [path.decode() for (method, path), served in SERVED.items() if method == b"POST" and not served.route.page]
    return plain + sorted({f"{each.route.path.decode()}MODEL{each.route.operation.decode()}" for each in _ALL if each.route.operation})


def _operation(path: bytes) -> Served | None:
    """The route whose path ends in a model's name and an operation."""
    colon = path.rfind(b":")
    for each in _OPERATIONS.get(path[colon:], ()) if colon > 0 else ():
        if path.startswith(each.route.path) and colon > len(each.route.path):
            return each
    return None


def lists(path: bytes) -> bool:
    """Whether it is the list of models, or one of them."""
    return path in listing.PATHS or (path.startswith(_LISTS) and not path.endswith(b"/models/") and _operation(path) is None)


def at_control(path: bytes) -> bool:
    """Whether control answers there: an account reads or manages what is its own, or somebody tells of a payment."""
    if path.startswith(PAYMENTS + b"/"):
        return True
    return path.startswith(ACCOUNT) and any(path == each or path.startswith(each + b"/") for each in ACCOUNT)


def kept(path: bytes) -> tuple[bytes, bytes] | None:
    """The id of a kept answer and what follows it, where the path is that of one."""
    if not path.startswith(KEPT.prefix) or path in METHODS:
        return None
    id, slash, part = path[len(KEPT.prefix) :].partition(b"/")
    return (id, slash + part) if id not in _WORDS and any(slash + part == served for _, served in KEPT.deeds) else None


def deed(method: bytes, path: bytes) -> tuple[str, Deed] | None:
    """The id of a kept answer and what is to be done with it."""
    found = kept(path)
    done = KEPT.deeds.get((method, found[1])) if found is not None else None
    return (found[0].decode("latin-1"), done) if found is not None and done is not None else None


def allowed(path: bytes) -> bytes | None:
    """What may be asked for at a path that exists, as an `allow` field has it; None of a path of which this table knows nothing."""
    method = METHODS.get(path)
    operation = _operation(path)
    if operation is not None:
        return operation.route.method
    answer = kept(path)
    if answer is not None:
        return b", ".join(each for each, part in KEPT.deeds if part == answer[1])
    if path in PAGES and method is not None:
        return b"%b, GET, HEAD" % method
    if method == b"GET" or path in (HEALTH, READY) or lists(path):
        return b"GET, HEAD"
    return method


def suggestion(path: bytes) -> bytes | None:
    """The served path that a mistyped one means: `/v1` missing or doubled, a prefix in front, a slash behind. None if there is none."""
    if path in _KNOWN:
        return None
    trimmed = path.rstrip(b"/")
    for known in METHODS:
        if trimmed.startswith(known + b"/") and not path.startswith(_LISTS):  # the whole URL was given as the base URL
            return known
    parts = [part for part in trimmed.split(b"/") if part]
    while parts and parts[0] in _PREFIXES:
        parts.pop(0)
    bare = b"/" + b"/".join(parts)
    for candidate in (trimmed, b"/v1" + bare, b"/api" + bare):
        if candidate != path and (candidate in _KNOWN or candidate.startswith(_LISTS)):
            return candidate
    return None
