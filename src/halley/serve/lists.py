"""Model lists, served by the relay itself from its snapshot: they work while control is away, and cost no database.

`GET /v1/models` and `/v1/models/{id}` for the key that asks, in the shape that its client reads (`exchanges.listing`); `GET /api/models`
public, in CometAPI's envelope.
Prices are what will be charged (`ratio` 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from halley.chat.listing import Listed, asked
from halley.errors import Refused
from halley.exchanges import listing
from halley.money import PicoDollars
from halley.policy.snapshot import ModelRow, Snapshot
from halley.serve import faults
from halley.serve.admit import unknown_model, welcome_caller
from halley.serve.tables import Model

if TYPE_CHECKING:
    from halley.net.request import Request
    from halley.serve.gateway import Gateway


def answer(gateway: Gateway, request: Request) -> tuple[int, bytes, bytes]:
    """Status, fields and body: the list, or one model of it."""
    found = listing.choose(request.path, request.fields, request.query)
    request_id = gateway.new_id()
    try:
        body = _body(gateway, request, found)
    except Refused as refusal:
        refused = faults.answer(refusal, found.dialect.write_error, request_id)
        gateway.count_refusal(refused[0])
        return refused
    return 200, faults.JSON + faults.identity(found.dialect, request_id.encode()), body


def _body(gateway: Gateway, request: Request, found: listing.List) -> bytes:
    """Raises Refused: 404 for a model that does not exist and for one that the key may not use, which look alike."""
    tables = gateway.tables
    visible = tables.visible(welcome_caller(gateway, request, listing.CARRIERS))
    if request.path in listing.PATHS:
        return found.lister.write([_listed(model) for model in visible], asked(request.query))
    name = unquote(request.path.split(b"/models/", 1)[1].decode("latin-1")).removeprefix("models/")
    model = tables.models.get(name)
    if model is None or model not in visible:
        raise unknown_model(name, [each.id for each in visible])
    return found.lister.write_one(_listed(model))


def _listed(model: Model) -> Listed:
    row = model.row
    return Listed(model.id, row.name or row.id, row.owner, row.description or "", row.context, row.max_output, model.exchanges)


def catalogue(snapshot: Snapshot, public_url: str) -> bytes:
    rows = [_record(row, public_url) for row in snapshot.models]
    return msgspec.json.encode({"success": True, "message": "", "page": 0, "page_size": 0, "total": len(rows), "data": rows})


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
