"""The public list shows exactly what will be charged, and which models will go."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from halley import pricelist
from halley.exchanges import EXCHANGES, standing
from halley.policy.snapshot import ModelRow, OfferRow
from halley.serve import lists
from tests.serve.rig import rig, snapshot

PRICE = pricelist.of({"input": "1.25", "output": "10", "cache_read": "0.125", "tool": {"web_search": "0.01"}, "per_image": "0.04"})
ROW = ModelRow(
    "gpt.x",
    "OpenAI",
    PRICE,
    "price_1",
    (OfferRow("first", "gpt.x"),),
    shutdown="2027-01-14",
    source="https://a.test",
    source_date="2026-11-12",
)


def test_the_public_list_is_open_to_every_page_and_shows_the_whole_price(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(models=(ROW,))) as found:
        client = found.post(b"", key=None, path=b"/api/models", method=b"GET")
        assert client.status == 200
        assert client.field("access-control-allow-origin") == "*"
        (model,) = json.loads(client.body)["data"]
        pricing = model["pricing"]
        assert (pricing["input"], pricing["output"], pricing["per_image"], pricing["per_request"], pricing["ratio"]) == (
            1.25,
            10,
            0.04,
            None,
            1,
        )
        assert pricing["version"] == "price_1"
        assert pricelist.of(pricing["list"]) == PRICE
        assert (model["shutdown_date"], model["source"], model["source_date"]) == ("2027-01-14", "https://a.test", "2026-11-12")


def test_each_model_says_where_it_is_served_and_prices_nothing_by_tokens_that_is_not(tmp_path: Path) -> None:
    def row(name: str, price: dict[str, object]) -> ModelRow:
        return ModelRow(name, "OpenAI", pricelist.of(price), "price_1", (OfferRow("first", name),))

    picture = row("picture", {"per_image": "0.02", "image": {"1024x1024/high": "0.17"}})
    with rig(tmp_path, snapshot(models=(picture, row("ranks", {"per_request": "0.002"}), ROW))) as found:
        data = json.loads(found.post(b"", key=None, path=b"/api/models", method=b"GET").body)["data"]
        models = {model["id"]: model for model in data}
        assert (models["picture"]["pricing"]["input"], models["picture"]["pricing"]["per_image"]) == (None, 0.17)
        assert models["picture"]["endpoints"] == "{}"  # what counts no images is not served for it
        assert models["picture"]["pricing"]["list"]["image"] == {"1024x1024/high": "0.17"}
        assert (models["ranks"]["pricing"]["input"], models["ranks"]["pricing"]["per_request"]) == (None, 0.002)
        chat = json.loads(models["gpt.x"]["endpoints"])
        assert chat["anthropic"] == {"path": "/v1/messages", "method": "POST"}
        assert "jina-rerank" in json.loads(models["ranks"]["endpoints"])
        assert [(model["provider_sort"], model["model_sort"]) for model in data] == [(1, 1), (1, 2), (1, 3)]
        assert (data[0]["latest_model_name"], data[0]["published_at"]) == ("picture", None)
        assert [model["upcoming"] for model in data] == [model["id"] == "picture" for model in data]


def test_the_places_of_the_public_list_are_routes_that_exist() -> None:
    routes = {route.text for exchange in EXCHANGES for route in exchange.routes}
    assert {path for paths in standing.ENDPOINTS.values() for path in paths.values()} <= routes
    assert set(standing.ENDPOINTS) <= {exchange.name for exchange in EXCHANGES}


def test_a_model_that_goes_is_flagged_from_day_to_day() -> None:
    public = lists.Public(snapshot(models=(ROW,)))

    def status(day: str) -> str:
        return msgspec.json.decode(public.body(day))["data"][0]["status"]

    assert [status(day) for day in ("2026-10-01", "2026-11-26", "2027-01-14")] == ["active", "retiring", "shut_down"]


def test_before_the_first_snapshot_there_is_no_list() -> None:
    assert lists.Public().body("2026-11-26") == b""
