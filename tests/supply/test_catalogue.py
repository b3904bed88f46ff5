"""The packaged catalogue is made from a price map: every figure as it stands there, and nothing that cannot be priced."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal
from typing import Any

import pytest

from halley import pricelist
from halley.policy import catalogue as packaged
from supply import catalogue

DAY = "2026-11-12"
PLAIN = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05}
MAP: dict[str, Any] = {
    "gpt-x": {
        **PLAIN,
        "cache_read_input_token_cost": 1.25e-07,
        "input_cost_per_token_above_272k_tokens": 2.5e-06,
        "output_cost_per_token_above_272k_tokens": 1.5e-05,
        "input_cost_per_token_flex": 6.25e-07,
        "output_cost_per_token_flex": 5e-06,
        "input_cost_per_token_priority": 2.5e-06,
        "output_cost_per_token_priority": 1.9e-05,
        "input_cost_per_token_batches": 1e-9,
        "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.025},
        "max_input_tokens": 400000,
        "max_output_tokens": 128000,
        "deprecation_date": "2027-01-14",
        "source": "https://a.test/prices",
    },
    "gpt-gone": {**PLAIN, "deprecation_date": "2026-11-11"},
    "gpt-odd": {**PLAIN, "input_cost_per_smell": 1e-06},
    "gpt-free": {**PLAIN, "input_cost_per_token": 0, "output_cost_per_token": 0},
    "gemini/gemini-2.9": {**PLAIN, "litellm_provider": "gemini", "search_context_cost_per_query": {"search_context_size_low": 0.035}},
    "embed": {"litellm_provider": "cohere", "mode": "embedding", "input_cost_per_token": 1e-07, "output_cost_per_token": 0.0},
    "rerank": {"litellm_provider": "cohere", "mode": "rerank", "input_cost_per_query": 0.002, "input_cost_per_token": 0.0},
    "voice": {**PLAIN, "mode": "audio_speech"},
    "elsewhere": {**PLAIN, "litellm_provider": "nobody"},
}


@pytest.fixture(scope="module")
def made() -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, str]]:
    return catalogue.rows(json.loads(json.dumps(MAP), parse_float=Decimal), DAY)


def test_figures_are_those_of_the_map(made: Any) -> None:
    row = made[0]["openai", "gpt-x"]
    assert row["cost"] == {
        "input": "1.25",
        "output": "10",
        "cache_read": "0.125",
        "tier": {"above": 272000, "input": "2.5", "output": "15"},
        # Priority is dearer by two for the prompt and by less for the answer: no factor.
        "service_tier": {"flex": "0.5"},
        "tool": {"web_search": "0.025", "file_search": "0.0025"},
    }
    assert (row["shutdown"], row["source"], row["max_output"]) == ("2027-01-14", "https://a.test/prices", 128000)
    assert made[0]["gemini", "gemini-2.9"]["cost"]["tool"] == {"grounded_answer": "0.035"}
    assert made[0]["cohere", "embed"]["cost"] == {"input": "0.1", "output": "0"}
    assert made[0]["cohere", "rerank"]["cost"]["per_request"] == "0.002"


def test_what_cannot_be_priced_or_is_gone_is_left_out_with_its_reason(made: Any) -> None:
    found, left = made
    assert set(found) == {("openai", "gpt-x"), ("gemini", "gemini-2.9"), ("cohere", "embed"), ("cohere", "rerank")}
    assert left == {
        "gpt-gone": "shut down 2026-11-11",
        "gpt-odd": "no key of a price is input_cost_per_smell",
        "gpt-free": "no price, or a free one that is only a preview's",
    }


def test_the_file_is_a_catalogue_that_the_gateway_reads(made: Any) -> None:
    written = tomllib.loads(catalogue.text(made[0], "9.9", DAY, catalogue.SOURCE))
    assert written["date"] == DAY
    found = {each["id"]: pricelist.of(each["cost"]) for each in written["models"]}
    assert found == {row["id"]: pricelist.of(row["cost"]) for row in made[0].values()}
    assert list(catalogue.differences(written["models"], made[0])) == []


def test_a_review_sees_what_comes_goes_and_changes(made: Any) -> None:
    found = {place: made[0][place] for place in (("openai", "gpt-x"), ("cohere", "embed"))}
    before = [{**made[0]["openai", "gpt-x"], "cost": {"input": "1"}}, {"kind": "openai", "id": "gpt-old", "cost": {}}]
    assert [line[:17] for line in catalogue.differences(before, found)] == ["+ cohere embed  {", "- openai gpt-old", "~ openai gpt-x  c"]


def test_the_packaged_file_is_what_the_script_writes() -> None:
    """By hand it would be another one: the next change of the map would undo it."""
    text = catalogue.CATALOGUE.read_text(encoding="utf-8")
    rows = {(each["kind"], each["id"]): each for each in tomllib.loads(text)["models"]}
    head, found = text.split("default_source", 1)
    assert found == catalogue.text(rows, "x", packaged.packaged().date, catalogue.SOURCE).split("default_source", 1)[1]
    assert "script/catalogue" in head
