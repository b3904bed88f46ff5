"""What no single field can tell: a model is never free by omission, and never refused when its price is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from halley import config
from halley.config import ConfigError
from halley.config_checks import Known

PROVIDERS = """[[providers]]
name = "paid"
kind = "openai"
[[providers]]
name = "any"
kind = "openai-compatible"
base_url = "https://host.test/v1"
[[providers]]
name = "off"
kind = "groq"
enabled = false
[[providers]]
name = "mine"
kind = "ollama"
"""
PRICED = Known(free=["ollama"], packaged=[("gpt-small", "openai"), ("llama", "groq")])


def load(tmp_path: Path, row: str) -> tuple[config.Model, ...]:
    path = tmp_path / "halley.toml"
    path.write_text(f"{PROVIDERS}[[models]]\n{row}\n")
    return config.load(path, {}, {}, known=PRICED).models


@pytest.mark.parametrize(
    "row",
    [
        "id = 'gpt-small'\noffers = [{provider = 'any'}]",
        "id = 'gpt-small'",
        "id = 'x'\noffers = [{provider = 'any'}]\nhidden = true",
        "id = 'x'\noffers = [{provider = 'mine'}]",
        "id = 'x'\noffers = [{provider = 'any'}]\nprice = {input = '0', output = '0'}",
        "id = 'x'\noffers = [{provider = 'any'}]\nprice = {per_request = '0.01'}",
        "id = 'local/docs-assistant'\naliases = ['docs']",
    ],
)
def test_a_model_may_go_without_a_price_when_its_price_is_known(tmp_path: Path, row: str) -> None:
    assert load(tmp_path, row)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("id = 'x'\noffers = [{provider = 'any'}]", "is missing, and no provider here brings this model with a price"),
        ("id = 'x'\noffers = [{provider = 'mine'}, {provider = 'any'}]", "is missing, and no provider here"),
        ("id = 'llama'\noffers = [{provider = 'any'}]", "is missing, and no provider here"),
        ("id = 'gpt-small'\nprice = {input = '1'}", 'has no output price; write "0" for what is free'),
        ("id = 'x'\noffers = [{provider = 'mine'}]\nprice = {reasoning = '1'}", "has no input and no output price"),
    ],
)
def test_a_model_is_never_free_by_omission(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, row)
    (found,) = caught.value.problems
    assert found.startswith("halley.toml:1") and f"[[models]] #1 price: {problem}" in found
