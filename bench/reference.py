"""One fixed piece of plain Python: figures are held against it, taken in the same seconds, because a shared host doubles and halves its
speed."""

from __future__ import annotations

import msgspec

from bench.canned import BODIES


class _Item:
    __slots__ = ("name", "next", "value")

    def __init__(self, name: str, value: int) -> None:
        self.name = name
        self.value = value
        self.next: _Item | None = None


_decode_plain = msgspec.json.Decoder().decode
_JSON = BODIES["json"]


def reference() -> int:
    """Fixed work of the same kind as the hot path's: calls, attributes, dictionaries, formatting, one JSON document. Never changed."""
    table: dict[str, _Item] = {}
    first = item = _Item("first", 0)
    for number in range(40):
        name = f"item-{number}"
        item.next = table[name] = _Item(name, number)
        item = item.next
    total, item = 0, first.next
    while item is not None:
        total += table[item.name].value
        item = item.next
    line = b"%b: %d\r\n" % (b"content-length", total)
    found = _decode_plain(_JSON)
    return total + len(line) + len(found["choices"]) + _JSON.count(b"\n") + _JSON.find(b"usage")
