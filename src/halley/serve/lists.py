"""Model lists, served by the relay itself from its snapshot: they work while control is away, and cost no database.

`GET /v1/models` and `/v1/models/{id}` for the key that asks, in the shape that its client reads (`exchanges.listing`); `GET /api/models`
public, in CometAPI's envelope.
Prices are what will be charged (`ratio` 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from halley.chat.listing import Listed, asked
from halley.errors import Refused
from halley.exchanges import listing
from halley.exchanges.standing import Catalogue, CatalogueModel, Pricing, endpoints, page
from halley.money import PicoDollars
from halley.policy import pricing
from halley.policy.catalogue import status
from halley.policy.snapshot import ModelRow, Snapshot
from halley.pricelist import written
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
    check = found.dialect.check_fields
    if check is not None:
        check(request.fields)
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


class Public:
    """The public list as it is answered; it is made anew for each snapshot and, because models age, for each day."""

    def __init__(self, snapshot: Snapshot | None = None, models: Mapping[str, Model] | None = None) -> None:
        """`models` are those of the tables: what serves each of them."""
        self._snapshot = snapshot
        self._models = models or {}
        self._day = ""
        self._body = b""

    def body(self, day: str) -> bytes:
        """`day` as YYYY-MM-DD."""
        snapshot = self._snapshot
        if snapshot is not None and day != self._day:
            self._day = day
            owners = sorted({row.owner for row in snapshot.models})
            places = {owner: place for place, owner in enumerate(owners, 1)}
            rows = tuple(
                _record(row, self._served(row), (places[row.owner], place), snapshot.public_url, day)
                for place, row in enumerate(snapshot.models, 1)
            )
            self._body = msgspec.json.encode(Catalogue(total=len(rows), data=rows))
        return self._body

    def _served(self, row: ModelRow) -> frozenset[str]:
        model = self._models.get(row.id)
        return model.exchanges if model is not None else frozenset()


def _record(row: ModelRow, served: frozenset[str], places: tuple[int, int], public_url: str, day: str) -> CatalogueModel:
    """`places` are those of its provider and its own in the list."""
    price = row.price
    by_tokens = pricing.by_tokens(price) or pricing.is_free(price)
    return CatalogueModel(
        id=row.id,
        code=row.id.replace(".", "-").replace("/", "-"),
        provider=row.owner,
        provider_code=row.owner.lower().replace(" ", "-"),
        name=row.name or row.id,
        description=row.description or "",
        model_type=row.model_type,
        features=row.features,
        pricing=Pricing(
            # Shown, never billed: the floats nearest to exact decimal prices.
            input=price.input / 1e6 if by_tokens else None,
            output=price.output / 1e6 if by_tokens else None,
            per_request=_usd(price.per_request),
            per_second=_usd(price.per_second),
            per_image=_usd(max(price.per_image, *price.images.values(), 0)),
            per_minute=_usd(price.per_minute),
            per_character=_usd(price.per_character),
            per_page=_usd(price.per_page),
            version=row.version,
            list=written(price),
        ),
        endpoints=endpoints(served),
        api_doc_url=f"{public_url}/docs/{page(served)}",
        context_length=str(row.context) if row.context is not None else None,
        max_completion_tokens=str(row.max_output) if row.max_output is not None else None,
        status=status(row.shutdown, day),
        shutdown_date=row.shutdown,
        source=row.source,
        source_date=row.source_date,
        latest_model_name=row.id,
        provider_sort=places[0],
        model_sort=places[1],
        upcoming=not served and bool(row.offers),
    )


def _usd(rate: PicoDollars) -> float | None:
    return rate / 1e12 if rate else None
