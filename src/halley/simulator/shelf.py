"""The responses that the simulator keeps for Responses' stored state: themselves, what was asked, and the conversation that they end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from halley.simulator.schema import Json

MOST = 1000
"""Kept responses; the oldest goes first."""


class Kept(NamedTuple):
    document: dict[str, Json]
    inputs: tuple[Json, ...]
    conversation: tuple[Json, ...]


class Shelf:
    __slots__ = ("_items", "_kept")

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._items: dict[str, Json] = {}

    def put(self, name: str, document: dict[str, Json], before: Sequence[Json], inputs: Sequence[Json]) -> None:
        output = document["output"]
        items = output if isinstance(output, list) else []
        self._kept[name] = Kept(document, tuple(inputs), (*before, *inputs, *items))
        self._items |= {str(item["id"]): item for item in items if isinstance(item, dict) and "id" in item}
        while len(self._kept) > MOST:
            self.drop(next(iter(self._kept)))

    def find(self, name: str) -> Kept | None:
        return self._kept.get(name)

    def item(self, name: str) -> Json:
        """One item of the output of a kept response, None when there is none."""
        return self._items.get(name)

    def cancel(self, name: str) -> dict[str, Json]:
        """The response as cancelled; what it said stays."""
        kept = self._kept[name]
        document = {**kept.document, "status": "cancelled"}
        self._kept[name] = kept._replace(document=document)
        return document

    def drop(self, name: str) -> None:
        kept = self._kept.pop(name)
        output = kept.document["output"]
        for item in output if isinstance(output, list) else ():
            if isinstance(item, dict):
                self._items.pop(str(item.get("id")), None)
