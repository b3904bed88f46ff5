"""The catalogue in force: packaged, marked up, overridden, hidden."""

from halley import pricelist
from halley.money import Price, rate_per_million
from halley.policy import catalogue
from halley.policy.catalogue import FileModel, FileOffer
from halley.policy.pricing import is_free
from halley.policy.snapshot import ProviderRow
from halley.pricelist import NOTHING, Written
from halley.providers.compatible import KINDS
from halley.secret import Secret

OPENAI = ProviderRow("main", "openai", "https://api.openai.com/v1", Secret("k"))
LOCAL = ProviderRow("local", "local", "http://127.0.0.1:1/v1", Secret(""))


def row(name: str, *, hidden: bool = False, price: Written = NOTHING, offers: tuple[FileOffer, ...] = ()) -> FileModel:
    return FileModel(name, (), None, None, (), (), offers, price, hidden)


def test_every_packaged_model_has_a_kind_a_price_a_source_and_a_date() -> None:
    packaged = catalogue.packaged().models
    assert len(packaged) >= 400
    for model in packaged:
        assert model.kind in KINDS
        price = pricelist.read(model.cost)
        assert not is_free(price) or model.model_type == "moderation"
        assert (model.source or catalogue.packaged().default_source).startswith("https://")
    assert catalogue.packaged().date.startswith("20")


def test_a_model_of_media_has_one_price_and_no_other_place_in_the_catalogue() -> None:
    media = [model for model in catalogue.packaged().models if model.model_type in ("audio", "image", "ocr")]
    assert len(media) >= 30 and {key for model in media for key in model.cost.keys} == {
        "per_image", "per_second", "per_minute", "per_character", "per_page",
    }  # fmt: skip
    assert all(len(model.cost.keys) == 1 and model.source for model in media)
    places = [(model.kind, model.id) for model in catalogue.packaged().models]
    assert len(places) == len(set(places))


def test_a_known_provider_brings_its_models_at_cost_times_markup() -> None:
    rows = {model.id: model for model in catalogue.build((), (OPENAI,), "1.1")}
    assert rows["gpt-4o"].price.input == rate_per_million("2.75")
    assert rows["gpt-4o"].price.cache_read == rate_per_million("1.375")
    assert all(offer.provider == "main" for model in rows.values() for offer in model.offers)
    assert not any("deepseek" in name for name in rows)


def test_the_file_overrides_hides_and_adds() -> None:
    offer = FileOffer("main", "gpt-4o", 1, 0, NOTHING)
    rows = {
        model.id: model
        for model in catalogue.build(
            (row("gpt-4o", price=Written(input="9", output="9")), row("o3", hidden=True), row("mine", offers=(offer,))), (OPENAI,)
        )
    }
    assert rows["gpt-4o"].price == Price(rate_per_million("9"), rate_per_million("9"))
    assert rows["gpt-4o"].offers
    assert "o3" not in rows
    assert rows["mine"].offers[0].model == "gpt-4o"
    assert is_free(rows["mine"].price)


def test_the_embedded_model_is_free_and_says_what_it_is() -> None:
    (model,) = catalogue.build((), (LOCAL,))
    assert model.id == "local/docs-assistant"
    assert is_free(model.price)
    assert model.description is not None
    assert "not a language model" in model.description


def test_a_model_of_two_kinds_has_both_offers_and_the_dearer_price() -> None:
    groq, together = (ProviderRow(kind, kind, f"https://{kind}.test/v1", Secret("k")) for kind in ("groq", "together"))
    costs = {model.kind: pricelist.read(model.cost) for model in catalogue.packaged().models if model.id == "openai/gpt-oss-120b"}
    assert {"groq", "together"} <= costs.keys()
    (found,) = (model for model in catalogue.build((), (groq, together)) if model.id == "openai/gpt-oss-120b")
    assert {offer.provider: offer.cost for offer in found.offers} == {kind: costs[kind] for kind in ("groq", "together")}
    assert found.price.input + found.price.output == max(costs[kind].input + costs[kind].output for kind in ("groq", "together"))


def test_an_offer_of_a_known_kind_costs_what_the_package_says() -> None:
    rows = catalogue.build((row("mine", offers=(FileOffer("main", "gpt-4o", 1, 0, NOTHING),)),), (OPENAI,))
    (mine,) = (model for model in rows if model.id == "mine")
    assert mine.offers[0].cost == next(pricelist.read(model.cost) for model in catalogue.packaged().models if model.id == "gpt-4o")


def test_a_model_is_flagged_before_and_after_its_provider_takes_it_away() -> None:
    assert catalogue.status(None, "2026-11-26") == "active"
    assert catalogue.status("2027-02-25", "2026-11-26") == "active"
    assert catalogue.status("2027-02-24", "2026-11-26") == "retiring"
    assert catalogue.status("2026-11-27", "2026-11-26") == "retiring"
    assert catalogue.status("2026-11-26", "2026-11-26") == "shut_down"


def test_a_day_is_that_of_utc() -> None:
    assert (catalogue.day_of(0.0), catalogue.day_of(86399.9), catalogue.day_of(1795719554.9)) == ("1970-01-01", "1970-01-01", "2026-11-26")
