"""The list of models in Google's words: pages of `pageSize` (50 unless it is said), each with the token of the next.

Shape: `{models: [{name: models/ID, displayName, inputTokenLimit?, outputTokenLimit?, supportedGenerationMethods}], nextPageToken?}` (API
reference, read 2026-11). A page's token is the id of its first model.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.chat.listing import NUMBER, Listed, Lister, number, place
from halley.chat.published import Parameter

PAGE = 50
MOST = 1000
_METHODS = {"chat": ("generateContent", "streamGenerateContent", "countTokens"), "embeddings": ("embedContent", "batchEmbedContents")}


class Entry(msgspec.Struct, omit_defaults=True):
    name: str
    version: str
    displayName: str
    supportedGenerationMethods: tuple[str, ...]
    description: str | None = None
    inputTokenLimit: int | None = None
    outputTokenLimit: int | None = None


class Page(msgspec.Struct, omit_defaults=True):
    models: tuple[Entry, ...]
    nextPageToken: str | None = None


def _entry(model: Listed) -> Entry:
    methods = tuple(name for exchange, names in _METHODS.items() if exchange in model.exchanges for name in names)
    return Entry(f"models/{model.id}", "1", model.name, methods, model.description or None, model.context, model.output)


def write(models: Sequence[Listed], query: dict[str, str]) -> bytes:
    """Raises Refused."""
    size = number(query, "pageSize", PAGE, MOST)
    token = query.get("pageToken", "")
    start = place(models, token, "pageToken") if token else 0
    following = models[start + size].id if start + size < len(models) else None
    return msgspec.json.encode(Page(tuple(map(_entry, models[start : start + size])), following))


def write_one(model: Listed) -> bytes:
    return msgspec.json.encode(_entry(model))


LISTER = Lister(
    write,
    write_one,
    Page,
    Entry,
    (
        Parameter("pageSize", f"How many, up to {MOST}; {PAGE} unless it is said.", NUMBER),
        Parameter("pageToken", "Where the page begins: `nextPageToken` of the one before."),
    ),
)
