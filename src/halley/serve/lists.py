"""Model lists, served by the relay itself from its snapshot: they work while control is away, and cost no database.

`GET /v1/models` and `/v1/models/{id}` in OpenAI's shape for the key that asks; `GET /api/models` public, in CometAPI's envelope.
Prices are what will be charged (`ratio` 1).
"""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from halley.money import PicoDollars
from halley.policy.snapshot import ModelRow, Snapshot
from halley.serve.admit import unknown_model
from halley.serve.tables import Caller, Model, Tables

# OpenAI's list wants a creation time; the catalogue has none, and a constant keeps the list byte-stable (new-api sends the same kind).
_CREATED = 1626777600


def models(tables: Tables, caller: Caller) -> bytes:
    data = [_openai(model) for model in tables.visible(caller)]
    return msgspec.json.encode({"object": "list", "success": True, "data": data})


def one_model(tables: Tables, caller: Caller, raw_id: bytes) -> bytes:
    """Raises Refused (404) for a model that does not exist or that the key may not use: the two look alike."""
    name = unquote(raw_id.decode("latin-1"))
    visible = {model.id: model for model in tables.visible(caller)}
    model = tables.models.get(name)
    if model is None or model.id not in visible:
        raise unknown_model(name, visible)
    return msgspec.json.encode(_openai(model))


def catalogue(snapshot: Snapshot, public_url: str) -> bytes:
    rows = [_record(row, public_url) for row in snapshot.models]
    return msgspec.json.encode({"success": True, "message": "", "page": 0, "page_size": 0, "total": len(rows), "data": rows})


def _openai(model: Model) -> dict[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": _CREATED,
        "owned_by": model.row.owner,
        "supported_endpoint_types": ["openai"],
    }


def _record(row: ModelRow, public_url: str) -> dict[str, object]:
    return {
        "id": row.id,
        "code": row.id.replace(".", "-").replace("/", "-"),
        "provider": row.owner,
        "provider_code": row.owner.lower().replace(" ", "-"),
        "name": row.name or row.id,
        "description": row.description or "",
        "model_type": row.model_type,
        "features": row.features,
        "pricing": {
            "currency": "USD / M Tokens",
            "input": _per_million(row.price.input),
            "output": _per_million(row.price.output),
            "per_request": row.price.per_request / 1e12 if row.price.per_request else None,
            "per_second": None,
            "ratio": 1,
        },
        "endpoints": '{"openai":{"path":"/v1/chat/completions","method":"POST"}}',
        "api_doc_url": f"{public_url}/docs/chat-completions",
        "context_length": str(row.context) if row.context is not None else None,
        "max_completion_tokens": str(row.max_output) if row.max_output is not None else None,
    }


def _per_million(rate: PicoDollars) -> float:
    """Shown, never billed: the float nearest to an exact decimal price."""
    return rate / 1e6
