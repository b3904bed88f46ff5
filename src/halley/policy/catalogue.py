"""Which models there are, what they cost, and who serves them: the packaged list, the operator's file and the embedded models, joined.

Pure: rows in, rows out. A provider of a known kind brings the packaged models of that kind at cost times markup; a `[[models]]` row of the
file overrides fields of such a model, hides it, or adds a new one. Every price has a version that names exactly those rates.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files

import msgspec

from halley.money import PicoDollars, Price, rate_per_million, rate_per_unit
from halley.policy.snapshot import ModelRow, OfferRow, ProviderRow
from halley.providers.compatible import KINDS

PER_MILLION = (
    "input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning", "audio_in", "audio_out", "image_in", "image_out",
)  # fmt: skip
PER_UNIT = ("per_request",)
LOCAL = "local"


class Packaged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the packaged catalogue; `cost` in USD per million tokens as decimal strings, `source` and `date` say where and when it was
    read."""

    id: str
    kind: str
    owner: str
    cost: dict[str, str]
    source: str
    date: str
    context: int | None = None
    max_output: int | None = None
    modalities: tuple[str, ...] = ("text",)


class FileOffer(msgspec.Struct, frozen=True):
    provider: str
    model: str
    weight: int
    priority: int
    cost: Mapping[str, str]


class FileModel(msgspec.Struct, frozen=True):
    """A `[[models]]` row of the operator's file, as far as the catalogue reads it."""

    id: str
    aliases: tuple[str, ...]
    context: int | None
    max_output: int | None
    modalities: tuple[str, ...]
    features: tuple[str, ...]
    offers: tuple[FileOffer, ...]
    price: Mapping[str, str]
    hidden: bool


class _File(msgspec.Struct, frozen=True):
    models: tuple[Packaged, ...]


def packaged() -> tuple[Packaged, ...]:
    text = (files("halley.policy") / "models.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).models


def read_price(rates: Mapping[str, str]) -> Price:
    """Rates as written in a price list to exact integers. Raises ValueError naming the key."""
    found: dict[str, PicoDollars] = {}
    for key, text in rates.items():
        if key in PER_MILLION:
            read = rate_per_million
        elif key in PER_UNIT:
            read = rate_per_unit
        else:
            raise ValueError(f"unknown price key {key!r}; known: {', '.join((*PER_MILLION, *PER_UNIT))}")
        try:
            found[key] = read(text)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
        if found[key] < 0:
            raise ValueError(f"{key}: a price is not negative")
    return Price(**found)


def version(price: Price) -> str:
    """The name of exactly these rates."""
    return "price_" + hashlib.sha256(msgspec.json.encode(price)).hexdigest()[:16]


def marked_up(cost: Price, markup: Decimal) -> Price:
    def times(rate: PicoDollars | None) -> PicoDollars | None:
        return None if rate is None else int((rate * markup).to_integral_value(ROUND_HALF_UP))

    return msgspec.convert({name: times(getattr(cost, name)) for name in Price.__struct_fields__}, Price)


def build(file_models: Iterable[FileModel], providers: tuple[ProviderRow, ...], markup: str = "1") -> tuple[ModelRow, ...]:
    """The catalogue in force. Raises ValueError on a price that cannot be read."""
    rows: dict[str, ModelRow] = {}
    for provider in providers:
        if provider.kind == LOCAL:
            row = _local(provider)
            rows[row.id] = row
    for model in packaged():
        offers = tuple(
            OfferRow(provider.name, model.id, cost=read_price(model.cost)) for provider in providers if provider.kind == model.kind
        )
        if offers:
            rows[model.id] = _from_package(model, offers, Decimal(markup))
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


def _from_package(model: Packaged, offers: tuple[OfferRow, ...], markup: Decimal) -> ModelRow:
    price = marked_up(read_price(model.cost), markup)
    features = ("text-to-text", "image-to-text") if "image" in model.modalities else ("text-to-text",)
    return ModelRow(
        model.id,
        model.owner,
        price,
        version(price),
        offers,
        context=model.context,
        max_output=model.max_output,
        modalities=model.modalities,
        features=features,
        source=model.source,
        source_date=model.date,
    )


def _from_file(row: FileModel, base: ModelRow | None, providers: tuple[ProviderRow, ...]) -> ModelRow:
    kinds = {provider.name: provider.kind for provider in providers}
    offers = tuple(
        OfferRow(offer.provider, offer.model or row.id, offer.weight, offer.priority, read_price(offer.cost) if offer.cost else None)
        for offer in row.offers
    )
    owner = KINDS[kinds[offers[0].provider]].title if offers and offers[0].provider in kinds else "operator"
    start = base or ModelRow(row.id, owner, Price(), "", offers, source="halley.toml")
    price = read_price(row.price) if row.price else start.price
    return msgspec.structs.replace(
        start,
        price=price,
        version=version(price),
        offers=offers or start.offers,
        aliases=row.aliases or start.aliases,
        context=row.context if row.context is not None else start.context,
        max_output=row.max_output if row.max_output is not None else start.max_output,
        modalities=row.modalities or start.modalities,
        features=row.features or start.features,
    )
