"""The part of YAML in which people write configuration files: block maps and lists, quoted and plain scalars, flow lists and maps.

What lies outside it (anchors, tags, block scalars, several documents) is refused by its line: such a file is converted to JSON first,
which is taken in place of YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from halley.errors import HalleyError

Value = object

_KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#'"\[{&*!|>%@`-][^:#]*?|-[^\s:#][^:#]*?)\s*:(?:\s+|$)""")
_QUOTED = re.compile(r"""\"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_WORDS: dict[str, Value] = {"true": True, "false": False, "null": None, "~": None, "": None, "yes": True, "no": False}
_STRANGE = ("&", "*", "!", "|", ">", "%", "@", "`")


class NotRead(HalleyError):
    """A line that is not in the part of YAML that is read."""


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


def read(text: str) -> Value:
    """Maps, lists, strings, whole numbers, booleans and None; a number with a fraction stays the text that it is. Raises NotRead."""
    lines = [
        _Line(number, len(raw) - len(raw.lstrip(" ")), bare)
        for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1)
        if (bare := _bare(raw, number)) and not (bare == "---" and number < 3)
    ]
    if not lines:
        return None
    value, rest = _block(lines, 0, lines[0].indent)
    if rest < len(lines):
        raise NotRead(f"line {lines[rest].number}: this indentation belongs to nothing above it")
    return value


def _bare(raw: str, number: int) -> str:
    """A line without its comment and indentation."""
    if "\t" in raw[: len(raw) - len(raw.lstrip())]:
        raise NotRead(f"line {number}: a tab indents; YAML indents by blanks")
    for place, letter in _unquoted(raw):
        if letter == "#" and (place == 0 or raw[place - 1] == " "):
            return raw[:place].strip()
    return raw.strip()


def _unquoted(text: str) -> Iterator[tuple[int, str]]:
    """The letters of a line that stand in no quotes, with their places."""
    at = 0
    while at < len(text):
        quoted = _QUOTED.match(text, at) if text[at] in "\"'" and (at == 0 or text[at - 1] in " [{,:") else None
        if quoted is not None:
            at = quoted.end()
        else:
            yield at, text[at]
            at += 1


def _block(lines: list[_Line], at: int, indent: int) -> tuple[Value, int]:
    line = lines[at]
    if line.text == "-" or line.text.startswith("- "):
        return _list(lines, at, indent)
    if _KEY.match(line.text):
        return _map(lines, at, indent)
    return _scalar(line.text, line.number), at + 1


def _list(lines: list[_Line], at: int, indent: int) -> tuple[Value, int]:
    found: list[Value] = []
    while at < len(lines) and lines[at].indent == indent and (lines[at].text == "-" or lines[at].text.startswith("- ")):
        line = lines[at]
        inner = line.text[1:].lstrip()
        if not inner:
            value, at = _below(lines, at, indent + 1)
        else:
            # What follows the dash stands as if it began a line of its own, that much further in.
            lines[at] = _Line(line.number, indent + len(line.text) - len(inner), inner)
            value, at = _block(lines, at, lines[at].indent)
        found.append(value)
    return found, at


def _map(lines: list[_Line], at: int, indent: int) -> tuple[Value, int]:
    found: dict[str, Value] = {}
    while at < len(lines) and lines[at].indent == indent:
        line = lines[at]
        match = _KEY.match(line.text)
        if match is None:
            raise NotRead(f"line {line.number}: neither a key with its value nor an element of a list")
        key = str(_scalar(match[1], line.number))
        rest = line.text[match.end() :]
        if rest:
            found[key], at = _scalar(rest, line.number), at + 1
        else:
            # A list may stand as far in as its key.
            found[key], at = _below(lines, at, indent + (0 if at + 1 < len(lines) and lines[at + 1].text.startswith("-") else 1))
    return found, at


def _below(lines: list[_Line], at: int, least: int) -> tuple[Value, int]:
    """What stands further in, if anything does."""
    if at + 1 < len(lines) and lines[at + 1].indent >= least:
        return _block(lines, at + 1, lines[at + 1].indent)
    return None, at + 1


def _scalar(text: str, number: int) -> Value:
    if text.startswith(_STRANGE):
        raise NotRead(f"line {number}: anchors, tags and block texts are not read; convert the file to JSON")
    if text[0] == '"' and text[-1] == '"' and len(text) > 1:
        return _unescaped(text, number)
    if text[0] == "'" and text[-1] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text[0] == "[" and text[-1] == "]":
        return [_scalar(part, number) for part in _parts(text[1:-1])]
    if text[0] == "{" and text[-1] == "}":
        pairs = [_pair(part) for part in _parts(text[1:-1])]
        return {str(_scalar(key or "~", number)): _scalar(value or "~", number) for key, value in pairs}
    if text[0] in "[{":
        raise NotRead(f"line {number}: a list or map in brackets must end on its line")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return int(text) if _INTEGER.fullmatch(text) else text


def _unescaped(text: str, number: int) -> str:
    """Double-quoted text: the escapes that JSON has too. Raises NotRead."""
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        raise NotRead(f"line {number}: a text in double quotes has an escape that is not read; convert the file to JSON") from None


def _pair(text: str) -> tuple[str, str]:
    """Key and value of a map in brackets."""
    colon = next((place for place, letter in _unquoted(text) if letter == ":"), len(text))
    return text[:colon].strip(), text[colon + 1 :].strip()


def _parts(text: str) -> list[str]:
    """Between commas, which may stand within quotes and brackets."""
    parts, depth, last = list[str](), 0, 0
    for place, letter in _unquoted(text):
        if letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and not depth:
            parts.append(text[last:place].strip())
            last = place + 1
    return [part for part in (*parts, text[last:].strip()) if part]
