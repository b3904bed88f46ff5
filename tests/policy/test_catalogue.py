"""The catalogue in force: packaged, marked up, overridden, hidden."""

from decimal import Decimal

import pytest

from halley.money import Price, rate_per_million
from halley.policy import catalogue
from halley.policy.catalogue import FileModel, FileOffer
from halley.policy.pricing import Worst
from halley.policy.snapshot import ProviderRow
from halley.providers.compatible import KINDS
from halley.secret import Secret

OPENAI = ProviderRow("main", "openai", "https://api.openai.com/v1", Secret("k"))
LOCAL = ProviderRow("local", "local", "http://127.0.0.1:1/v1", Secret(""))


def row(name: str, *, hidden: bool = False, price: dict[str, str] | None = None, offers: tuple[FileOffer, ...] = ()) -> FileModel:
    return FileModel(name, (), None, None, (), (), offers, price or {}, hidden)


def test_every_packaged_model_has_a_kind_a_price_a_source_and_a_date() -> None:
    packaged = catalogue.packaged()
    assert len(packaged) >= 20
    for model in packaged:
        assert model.kind in KINDS
        price = catalogue.read_price(model.cost)
        assert price.input > 0
        assert price.output > 0
        assert model.source.startswith("https://")
        assert model.date.startswith("20")


def test_a_known_provider_brings_its_models_at_cost_times_markup() -> None:
    rows = {model.id: model for model in catalogue.build((), (OPENAI,), "1.1")}
    assert rows["gpt-4o"].price.input == rate_per_million("2.75")
    assert rows["gpt-4o"].price.cache_read == rate_per_million("1.375")
    assert all(offer.provider == "main" for model in rows.values() for offer in model.offers)
    assert not any("deepseek" in name for name in rows)


def test_the_file_overrides_hides_and_adds() -> None:
    offer = FileOffer("main", "gpt-4o", 1, 0, {})
    rows = {
        model.id: model
        for model in catalogue.build(
            (row("gpt-4o", price={"input": "9", "output": "9"}), row("o3", hidden=True), row("mine", offers=(offer,))), (OPENAI,)
        )
    }
    assert rows["gpt-4o"].price == Price(rate_per_million("9"), rate_per_million("9"))
    assert rows["gpt-4o"].offers
    assert "o3" not in rows
    assert rows["mine"].offers[0].model == "gpt-4o"
    assert Worst.of(rows["mine"].price).free


def test_the_embedded_model_is_free_and_says_what_it_is() -> None:
    (model,) = catalogue.build((), (LOCAL,))
    assert model.id == "local/docs-assistant"
    assert Worst.of(model.price).free
    assert model.description is not None
    assert "not a language model" in model.description


def test_a_price_version_names_exactly_its_rates() -> None:
    assert catalogue.version(Price(1, 2)) == catalogue.version(Price(1, 2))
    assert len({catalogue.version(price) for price in (Price(1, 2), Price(2, 1), Price(1, 2, 0), Price(1, 2, per_request=1))}) == 4


@pytest.mark.parametrize("rates", [{"input": "cheap"}, {"input": "-1"}, {"colour": "1"}, {"input": "0.0000001"}, {"input": "NaN"}])
def test_a_price_that_cannot_be_read_is_refused_with_its_key(rates: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(rates))):
        catalogue.read_price(rates)


def test_markup_is_rounded_half_up_per_rate() -> None:
    assert catalogue.marked_up(Price(5, 15), Decimal("1.1")) == Price(6, 17)
