"""Price versions: every price that a request may name, and when which of them came into force for a model, with its source.

A version is the name of exactly its rates, so that a row of years ago is recomputed from the rates it was charged with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import msgspec
from sqlalchemy import Connection, func, insert, select

from halley import pricelist
from halley.money import Price
from halley.policy.snapshot import ModelRow
from halley.store.bulk import inserting
from halley.store.schema import price_changes, prices
from halley.store.values import Difference, PriceChange

UNNAMED = "halley.toml"
"""The source of a price that names none: the operator wrote it."""


def remember(connection: Connection, models: Iterable[ModelRow], at: float) -> int:
    """Keep every price version before a relay can name it, and note each model whose price is not what it was. Returns how many changed."""
    rows = {model.id: model for model in models}
    free = Price()
    versions = {pricelist.version(free): free} | {model.version: model.price for model in rows.values()}
    connection.execute(
        inserting(connection.dialect, prices).on_conflict_do_nothing(),
        [{"version": name, "rates": msgspec.json.encode(price).decode(), "first_seen": at} for name, price in versions.items()],
    )
    before = _in_force(connection)
    changed = [
        {"model": name, "version": row.version, "source": row.source or UNNAMED, "source_date": row.source_date, "effective_at": at}
        for name, row in rows.items()
        if before.get(name) != row.version
    ]
    if changed:
        connection.execute(insert(price_changes), changed)
    return len(changed)


def known(connection: Connection) -> dict[str, Price]:
    return {row.version: msgspec.json.decode(row.rates, type=Price) for row in connection.execute(select(prices))}


def rates(connection: Connection, version: str) -> Price | None:
    """What a version says, if there is such a version."""
    kept = connection.scalar(select(prices.c.rates).where(prices.c.version == version))
    return msgspec.json.decode(kept, type=Price) if kept is not None else None


def versions_name_their_rates(connection: Connection) -> Iterator[Difference]:
    """That no rate that was kept is another now: a check of `ledger verify`.

    Schema tag v0.1 named a version after the text that it kept, and those names stay.
    """
    for version, text in connection.execute(select(prices.c.version, prices.c.rates).order_by(prices.c.version)):
        named = pricelist.version(msgspec.json.decode(text, type=Price))
        if version not in (named, f"price_{hashlib.sha256(text.encode()).hexdigest()[:16]}"):
            yield Difference("versions_name_their_rates", version, f"its rates are those of {named}")


def history(connection: Connection, model: str) -> list[PriceChange]:
    """The prices that a model has had, the newest first."""
    its = (
        select(price_changes, prices.c.rates)
        .join(prices, prices.c.version == price_changes.c.version)
        .where(price_changes.c.model == model)
        .order_by(price_changes.c.id.desc())
    )
    return [
        PriceChange(
            row.version, row.source, row.source_date, row.effective_at, pricelist.written(msgspec.json.decode(row.rates, type=Price))
        )
        for row in connection.execute(its)
    ]


def _in_force(connection: Connection) -> dict[str, str]:
    newest = select(func.max(price_changes.c.id)).group_by(price_changes.c.model)
    return {row.model: row.version for row in connection.execute(select(price_changes).where(price_changes.c.id.in_(newest)))}
