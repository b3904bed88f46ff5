"""The list of models in Google's words: pages of `pageSize` (50 unless it is said), each with the token of the next.

Shape: `{models: [{name: models/ID, displayName, inputTokenLimit?, outputTokenLimit?, supportedGenerationMethods}], nextPageToken?}` (API
reference, read 2026-11). A page's token is the id of its first model.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.chat.listing import Listed, Lister, number, place

PAGE = 50
MOST = 1000
_METHODS = {"chat": ("generateContent", "streamGenerateContent", "countTokens"), "embeddings": ("embedContent", "batchEmbedContents")}


def _entry(model: Listed) -> dict[str, object]:
    known = {"description": model.description or None, "inputTokenLimit": model.context, "outputTokenLimit": model.output}
    return {
        "name": f"models/{model.id}",
        "version": "1",
        "displayName": model.name,
        **{name: value for name, value in known.items() if value is not None},
        "supportedGenerationMethods": [name for exchange, names in _METHODS.items() if exchange in model.exchanges for name in names],
    }


def write(models: Sequence[Listed], query: dict[str, str]) -> bytes:
    """Raises Refused."""
    size = number(query, "pageSize", PAGE, MOST)
    token = query.get("pageToken", "")
    start = place(models, token, "pageToken") if token else 0
    body: dict[str, object] = {"models": [_entry(model) for model in models[start : start + size]]}
    if start + size < len(models):
        body["nextPageToken"] = models[start + size].id
    return msgspec.json.encode(body)


def write_one(model: Listed) -> bytes:
    return msgspec.json.encode(_entry(model))


LISTER = Lister(write, write_one)
