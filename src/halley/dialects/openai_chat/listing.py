"""The list of models in OpenAI's words: whole, without pages."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.chat.listing import Listed, Lister

# OpenAI's list wants a creation time; the catalogue has none, and a constant keeps the list byte-stable (new-api sends the same kind).
_CREATED = 1626777600


class Entry(msgspec.Struct):
    id: str
    owned_by: str
    object: str = "model"
    created: int = _CREATED
    supported_endpoint_types: tuple[str, ...] = ("openai",)


class Page(msgspec.Struct):
    data: tuple[Entry, ...]
    object: str = "list"
    success: bool = True


def _entry(model: Listed) -> Entry:
    return Entry(model.id, model.owner)


def write(models: Sequence[Listed], _query: dict[str, str]) -> bytes:
    return msgspec.json.encode(Page(tuple(map(_entry, models))))


def write_one(model: Listed) -> bytes:
    return msgspec.json.encode(_entry(model))


LISTER = Lister(write, write_one, Page, Entry)
