"""On which line of a TOML text each key stands, so that a mistake can be shown where it was made.

`positions` walks a text that `tomllib` has already accepted and returns line numbers only; it never returns values and never judges. A
key's address is its path in the parsed document: names for tables, integers for the elements of arrays.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

Address = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_BASIC = re.compile(r'"((?:[^"\\]|\\.)*)"')
_LITERAL = re.compile(r"'([^']*)'")
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*"{3,5}')
_LONG_LITERAL = re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def positions(text: str) -> Mapping[Address, int]:
    """Address to 1-based line of every key, table header and array element of a valid TOML text."""
    walk = _Walk(text)
    walk.document()
    return walk.lines


def line_of(lines: Mapping[Address, int], address: Address) -> int | None:
    """The line of an address, or of the nearest thing around it that has one (a missing key stands where its table stands)."""
    while address:
        if address in lines:
            return lines[address]
        address = address[:-1]
    return None


class _Walk:
    """One pass over the text. `at` is the reading position; every method leaves it behind what it has read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Address, int] = {}
        self._counts: dict[Address, int] = {}
        self._line = 1
        self._counted_to = 0

    def document(self) -> None:
        table: Address = ()
        while True:
            self._skip(_SPACE)
            if self.at >= len(self.text):
                return
            if self.text.startswith("[[", self.at):
                table = self._header(2)
            elif self.text[self.at] == "[":
                table = self._header(1)
            else:
                self._pair(table)

    def _header(self, brackets: int) -> Address:
        line = self._line_here()
        self.at += brackets
        keys = self._dotted_key()
        self.at += brackets
        address = self._inside(keys[:-1]) + keys[-1:]
        if brackets == 2:
            count = self._counts.get(address, 0)
            self._counts[address] = count + 1
            self.lines.setdefault(address, line)
            address = (*address, count)
        self._mark(address, line)
        return address

    def _inside(self, keys: Address) -> Address:
        """The address that a header's leading names mean: of an array of tables, its last element."""
        address: Address = ()
        for key in keys:
            address = (*address, key)
            if address in self._counts:
                address = (*address, self._counts[address] - 1)
        return address

    def _pair(self, table: Address) -> None:
        line = self._line_here()
        address = table + self._dotted_key()
        self._mark(address, line, since=len(table))
        self.at += 1
        self._skip(_BLANK)
        self._value(address)

    def _mark(self, address: Address, line: int, since: int = 0) -> None:
        for end in range(since + 1, len(address) + 1):
            self.lines.setdefault(address[:end], line)

    def _dotted_key(self) -> Address:
        """Reads `a . "b".c` and the blanks around it; stops before whatever follows."""
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            keys.append(self._simple_key())
            self._skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return tuple(keys)
            self.at += 1

    def _simple_key(self) -> str:
        match self.text[self.at]:
            case '"':
                return _ESCAPE.sub(_unescape, self._take(_BASIC).group(1))
            case "'":
                return self._take(_LITERAL).group(1)
            case _:
                return self._take(_BARE).group()

    def _value(self, address: Address) -> None:
        rest = self.text[self.at : self.at + 3]
        if rest == '"""':
            self._take(_LONG_BASIC)
        elif rest == "'''":
            self._take(_LONG_LITERAL)
        elif rest[0] == '"':
            self._take(_BASIC)
        elif rest[0] == "'":
            self._take(_LITERAL)
        elif rest[0] == "[":
            self._array(address)
        elif rest[0] == "{":
            self._inline_table(address)
        else:
            self._take(_SCALAR)

    def _array(self, address: Address) -> None:
        self.at += 1
        for index in itertools.count():
            self._skip(_SPACE)
            if self.text[self.at] == "]":
                break
            element = (*address, index)
            self.lines[element] = self._line_here()
            self._value(element)
            self._skip(_SPACE)
            if self.text[self.at] == ",":
                self.at += 1
        self.at += 1

    def _inline_table(self, address: Address) -> None:
        self.at += 1
        while True:
            self._skip(_SPACE)
            if self.text[self.at] == "}":
                break
            self._pair(address)
            self._skip(_SPACE)
            if self.text[self.at] == ",":
                self.at += 1
        self.at += 1

    def _line_here(self) -> int:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        return self._line

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self.at = self._take(pattern).end()

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(f"not a valid TOML text at offset {self.at}")
        self.at = found.end()
        return found


def _unescape(found: re.Match[str]) -> str:
    body = found.group(1)
    if body[0] in "uU":
        return chr(int(body[1:], 16))
    return _ESCAPED.get(body, body)
