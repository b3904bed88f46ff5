"""Where JSON text ends that comes in pieces: whether the arguments of a tool call are all there, without reading any piece twice.

Brackets are counted, and strings are passed over; whether what stands between them is JSON is for whoever parses it.
"""

from __future__ import annotations

import re

_MARK = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


class Extent:
    """`whole`: an object, an array or a string has begun and ended, and nothing came behind it."""

    __slots__ = ("_depth", "_ended", "_escaped", "_more", "_quoted")

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = self._escaped = self._ended = self._more = False

    @property
    def whole(self) -> bool:
        return self._ended and not self._more

    def feed(self, text: str) -> None:
        place = 0
        if self._escaped and text:
            self._escaped = False
            place = 1
        while not self._ended:
            found = (_IN_STRING if self._quoted else _MARK).search(text, place)
            if found is None:
                return
            place = found.end()
            match found[0]:
                case "\\":
                    self._escaped = place == len(text)
                    place += 1
                case '"':
                    self._quoted = not self._quoted
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
            self._ended = not self._quoted and self._depth <= 0
        if text[place:].strip():
            self._more = True
