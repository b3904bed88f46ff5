"""Which models there are, what they cost, and who serves them: the packaged list, the operator's file and the embedded models, joined.

Pure: rows in, rows out. A provider of a known kind brings the packaged models of that kind at cost times markup; a `[[models]]` row of the
file overrides fields of such a model, hides it, or adds a new one. Every price has a version that names exactly those rates.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files

import msgspec

from halley import pricelist
from halley.money import Price
from halley.policy.snapshot import ModelRow, OfferRow, ProviderRow
from halley.pricelist import Written, marked_up, version
from halley.providers.compatible import KINDS

LOCAL = "local"


class Packaged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the packaged catalogue; `source` says where its `cost` was read, `shutdown` the day on which the provider takes it away."""

    id: str
    kind: str
    owner: str
    cost: Written
    source: str = ""
    context: int | None = None
    max_output: int | None = None
    modalities: tuple[str, ...] = ("text",)
    features: tuple[str, ...] = ()
    model_type: str = "text"
    shutdown: str | None = None


class FileOffer(msgspec.Struct, frozen=True):
    provider: str
    model: str
    weight: int
    priority: int
    cost: Written


class FileModel(msgspec.Struct, frozen=True):
    """A `[[models]]` row of the operator's file, as far as the catalogue reads it."""

    id: str
    aliases: tuple[str, ...]
    context: int | None
    max_output: int | None
    modalities: tuple[str, ...]
    features: tuple[str, ...]
    offers: tuple[FileOffer, ...]
    price: Written
    hidden: bool


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The packaged models, the day on which their prices were current, and the source of those that name none."""

    default_source: str
    date: str
    models: tuple[Packaged, ...]


@lru_cache(maxsize=1)
def packaged() -> Catalogue:
    """Both lists that come with the program: of text, as a script writes it, and of media, which is kept by hand."""
    text, media = (
        msgspec.convert(tomllib.loads((files("halley.policy") / name).read_text(encoding="utf-8")), Catalogue)
        for name in ("models.toml", "media.toml")
    )
    return msgspec.structs.replace(text, models=(*text.models, *media.models))


RETIRING_DAYS = 90
"""A model is flagged from so many days before its provider takes it away."""
_EPOCH = date(1970, 1, 1)


def day_of(at: float) -> str:
    """The day of a time in Unix seconds, UTC, as YYYY-MM-DD."""
    return (_EPOCH + timedelta(days=int(at // 86400))).isoformat()


def status(shutdown: str | None, day: str) -> str:
    """What a model is on a day: `active`, `retiring` or `shut_down`."""
    if shutdown is None:
        return "active"
    if shutdown <= day:
        return "shut_down"
    return "retiring" if date.fromisoformat(shutdown) - date.fromisoformat(day) <= timedelta(days=RETIRING_DAYS) else "active"


def build(file_models: Iterable[FileModel], providers: tuple[ProviderRow, ...], markup: str = "1") -> tuple[ModelRow, ...]:
    """The catalogue in force. Raises ValueError on a price that cannot be read."""
    rows: dict[str, ModelRow] = {}
    for provider in providers:
        if provider.kind == LOCAL:
            row = _local(provider)
            rows[row.id] = row
    kinds = {provider.kind for provider in providers}
    for model in packaged().models:
        if model.kind in kinds:
            row = _from_package(model, [provider.name for provider in providers if provider.kind == model.kind], Decimal(markup))
            known = rows.get(model.id)
            rows[model.id] = row if known is None else _joined(known, row)
    for row in file_models:
        if row.hidden:
            rows.pop(row.id, None)
        else:
            rows[row.id] = _from_file(row, rows.get(row.id), providers)
    return tuple(rows[name] for name in sorted(rows))


def _local(provider: ProviderRow) -> ModelRow:
    free = Price()
    return ModelRow(
        "local/docs-assistant",
        "Halley",
        free,
        version(free),
        (OfferRow(provider.name, "local/docs-assistant"),),
        name="Docs assistant",
        description="Answers questions about Halley by searching the documentation that comes with it: a search, not a language model.",
    )


def _joined(known: ModelRow, other: ModelRow) -> ModelRow:
    """A model that two kinds of provider serve has one price: of the dearer one, so that it is never sold below its cost."""
    dearer = max(known, other, key=lambda row: row.price.input + row.price.output)
    return msgspec.structs.replace(dearer, offers=(*known.offers, *other.offers))


def _from_package(model: Packaged, providers: Iterable[str], markup: Decimal) -> ModelRow:
    cost = pricelist.read(model.cost)
    price = marked_up(cost, markup)
    return ModelRow(
        model.id,
        model.owner,
        price,
        version(price),
        tuple(OfferRow(name, model.id, cost=cost) for name in providers),
        context=model.context,
        max_output=model.max_output,
        model_type=model.model_type,
        modalities=model.modalities,
        features=model.features,
        source=model.source or packaged().default_source,
        source_date=packaged().date,
        shutdown=model.shutdown,
    )


def _from_file(row: FileModel, base: ModelRow | None, providers: tuple[ProviderRow, ...]) -> ModelRow:
    kinds = {provider.name: provider.kind for provider in providers}
    offers = tuple(
        OfferRow(
            offer.provider,
            offer.model or row.id,
            offer.weight,
            offer.priority,
            _cost(offer, kinds.get(offer.provider, ""), offer.model or row.id),
        )
        for offer in row.offers
    )
    owner = KINDS[kinds[offers[0].provider]].title if offers and offers[0].provider in kinds else "operator"
    start = base or ModelRow(row.id, owner, Price(), "", offers)
    if row.price != pricelist.NOTHING:
        start = msgspec.structs.replace(start, price=pricelist.read(row.price), source="halley.toml", source_date=None)
    return msgspec.structs.replace(
        start,
        version=version(start.price),
        offers=offers or start.offers,
        aliases=row.aliases or start.aliases,
        context=row.context if row.context is not None else start.context,
        max_output=row.max_output if row.max_output is not None else start.max_output,
        modalities=row.modalities or start.modalities,
        features=row.features or start.features,
    )


def _cost(offer: FileOffer, kind: str, name: str) -> Price | None:
    """What the provider charges: as the file says, else as the packaged catalogue knows it."""
    if offer.cost != pricelist.NOTHING:
        return pricelist.read(offer.cost)
    return next((pricelist.read(model.cost) for model in packaged().models if (model.kind, model.id) == (kind, name)), None)
