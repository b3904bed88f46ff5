"""Price versions in the store: every one that a request may name, and when which came into force."""

from __future__ import annotations

import msgspec

from halley import pricelist
from halley.money import Price
from halley.policy.snapshot import ModelRow
from halley.store import prices
from halley.store.database import Store
from tests.store.conftest import PRICE


def model(price: Price, name: str = "gpt", source: str | None = None) -> ModelRow:
    return ModelRow(name, "o", price, pricelist.version(price), (), source=source, source_date="2026-11-10" if source else None)


def test_a_change_of_a_price_is_a_new_version_with_its_source_and_its_day(store: Store) -> None:
    first, second = Price(1000, 2000), Price(1000, 2500, tools={"web_search": 7})
    with store.begin() as connection:
        assert prices.remember(connection, [model(first, source="https://a.test"), model(first, "other")], 10.0) == 2
        assert prices.remember(connection, [model(first), model(first, "other")], 11.0) == 0
        assert prices.remember(connection, [model(second), model(first, "other")], 12.0) == 1
        assert prices.remember(connection, [model(first)], 13.0) == 1, "a price that comes back is in force from then on"
        found = prices.history(connection, "gpt")
        assert [(each.effective_at, each.source, each.source_date) for each in found] == [
            (13.0, prices.UNNAMED, None),
            (12.0, prices.UNNAMED, None),
            (10.0, "https://a.test", "2026-11-10"),
        ]
        assert [pricelist.read(each.price) for each in found] == [first, second, first]
        assert len(prices.history(connection, "other")) == 1
        assert prices.known(connection)[pricelist.version(second)] == second


def test_what_is_free_has_a_version_too(store: Store) -> None:
    with store.begin() as connection:
        prices.remember(connection, [model(PRICE)], 1.0)
        assert prices.known(connection)[pricelist.version(Price())] == Price()


def test_a_price_of_an_older_version_is_still_read(store: Store) -> None:
    """As it was written when a price had eleven keys."""
    old = b'{"input":150500,"output":601500,"cache_read":null,"reasoning":7,"per_request":9}'
    assert msgspec.json.decode(old, type=Price) == Price(150_500, 601_500, reasoning=7, per_request=9)
