"""The list of models in OpenAI's words: whole, without pages."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.chat.listing import Listed, Lister

# OpenAI's list wants a creation time; the catalogue has none, and a constant keeps the list byte-stable (new-api sends the same kind).
_CREATED = 1626777600


def _entry(model: Listed) -> dict[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": _CREATED,
        "owned_by": model.owner,
        "supported_endpoint_types": ["openai"],
    }


def write(models: Sequence[Listed], _query: dict[str, str]) -> bytes:
    return msgspec.json.encode({"object": "list", "success": True, "data": [_entry(model) for model in models]})


def write_one(model: Listed) -> bytes:
    return msgspec.json.encode(_entry(model))


LISTER = Lister(write, write_one)
