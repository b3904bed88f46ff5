"""How often a provider may call its own tools for one request: what the request says, for the hold. What it did call is in the usage.

The members that can name such a tool are scanned for words, not read: a word too many only makes the hold larger, and a limit cannot be
spelled within a text, whose quotes are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from halley.wire import jsonbody
from halley.wire.jsonbody import Members, Places

MOST_CALLS = 10
"""Calls of one hosted tool that are held for where the request sets no limit of its own."""
_LIMIT = re.compile(rb'"max_(?:uses|tool_calls)"\s*:\s*([0-9]{1,9})')


class Hosted(NamedTuple):
    """How a dialect's requests name such tools: the `members` of a body that may, the `words` in them, and what a price list calls that."""

    members: tuple[str, ...] = ()
    words: tuple[tuple[bytes, tuple[str, ...]], ...] = ()


def most_calls(body: bytes, found: Members | Places, hosted: Hosted, priced: Iterable[str]) -> dict[str, int]:
    """By the names of a price list, of those that are `priced`."""
    text = b"".join(b'"%b":%b' % (key.encode(), value) for key in hosted.members if (value := jsonbody.member(body, found, key)))
    named = [names for word, names in hosted.words if word in text]
    if not named:
        return {}
    limits = [int(limit) for limit in _LIMIT.findall(text)]
    most = max(limits) if len(limits) >= len(named) else max([MOST_CALLS, *limits])
    wanted = frozenset(priced)
    return {name: most for names in named for name in names if name in wanted}
