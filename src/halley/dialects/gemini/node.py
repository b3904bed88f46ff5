"""One JSON object of a request, read field by field: `systemInstruction` and `system_instruction` are the same field at every level.

Clients send both spellings in one body (google-genai writes snake_case inside camelCase). A node gives each field once and keeps what was
not asked for, so that a reader can hand it on instead of dropping it. Fields that are null are absent, as in the protocol's own JSON.
Nothing here knows what a field means. Every fault is Refused with the field in the caller's spelling.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import msgspec

from halley.chat.reading import invalid, join
from halley.wire.jsonbody import BROKEN

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode
# 64-bit integers are strings in this JSON, and some SDKs send topK as 64.0.
_decode_integer = msgspec.json.Decoder(int, strict=False).decode
_decode_number = msgspec.json.Decoder(float, strict=False).decode


@lru_cache(1024)
def camel(name: str) -> str:
    """`max_output_tokens` → `maxOutputTokens`; a name without `_` stays."""
    head, *rest = [name] if name.startswith("_") else name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest) if rest else name


class Node:
    """`at` is where the object stands, in the caller's spelling; empty for the body itself."""

    __slots__ = ("_fields", "at", "raw")

    def __init__(self, raw: bytes | msgspec.Raw, at: str = "") -> None:
        self.raw = raw
        self.at = at
        try:
            found = _decode_object(raw)
        except BROKEN:
            raise invalid(at, "must be an object") from None
        self._fields: dict[str, tuple[str, msgspec.Raw]] = {}
        for name, value in found.items():
            if len(value) == 4 and bytes(value) == b"null":
                continue
            known = camel(name)
            if known in self._fields:
                raise invalid(self._path(name), f"given twice, also as {self._fields[known][0]}")
            self._fields[known] = (name, value)

    def _path(self, name: str) -> str:
        return join(self.at, name)

    def path(self, name: str) -> str:
        """Where a field stands or would stand."""
        return self._path(self._fields[name][0] if name in self._fields else name)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def look(self, name: str) -> msgspec.Raw | None:
        """The value, which stays unread."""
        found = self._fields.get(name)
        return None if found is None else found[1]

    def take(self, name: str) -> msgspec.Raw | None:
        """The value, which then counts as read."""
        found = self._fields.pop(name, None)
        return None if found is None else found[1]

    def text(self, name: str) -> str | None:
        path = self.path(name)
        raw = self.take(name)
        if raw is None:
            return None
        try:
            return _decode_text(raw)
        except BROKEN:
            raise invalid(path, "must be a string") from None

    def flag(self, name: str) -> bool | None:
        path = self.path(name)
        raw = self.take(name)
        if raw is None:
            return None
        try:
            return _decode_flag(raw)
        except BROKEN:
            raise invalid(path, "must be true or false") from None

    def integer(self, name: str) -> int | None:
        path = self.path(name)
        raw = self.take(name)
        if raw is None:
            return None
        try:
            return _decode_integer(raw)
        except BROKEN:
            raise invalid(path, "must be an integer") from None

    def number(self, name: str) -> float | None:
        path = self.path(name)
        raw = self.take(name)
        if raw is None:
            return None
        try:
            return _decode_number(raw)
        except BROKEN:
            raise invalid(path, "must be a number") from None

    def texts(self, name: str) -> tuple[str, ...]:
        path = self.path(name)
        raw = self.take(name)
        if raw is None:
            return ()
        try:
            return tuple(_decode_texts(raw))
        except BROKEN:
            raise invalid(path, "must be an array of strings") from None

    def node(self, name: str) -> Node | None:
        path = self.path(name)
        raw = self.take(name)
        return None if raw is None else Node(raw, path)

    def nodes(self, name: str) -> list[Node]:
        """A list of objects. One alone stands for a list of one: Google's parser takes it, and its own examples write `"parts": {…}`."""
        path = self.path(name)
        raw = self.take(name)
        if raw is None:
            return []
        if bytes(raw).startswith(b"{"):
            return [Node(raw, path)]
        try:
            items = _decode_list(raw)
        except BROKEN:
            raise invalid(path, "must be an array") from None
        return [Node(item, f"{path}[{index}]") for index, item in enumerate(items)]

    def rest(self) -> Iterator[tuple[str, str, msgspec.Raw]]:
        """What was not taken: name, path, value."""
        for known, (name, value) in self._fields.items():
            yield known, self._path(name), value
