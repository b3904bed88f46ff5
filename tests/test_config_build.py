"""How untyped values become structs: every mistake is collected, and what was right is kept."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from halley.config import Settings
from halley.config_build import Mistake, build, explain, suggestion


class Row(msgspec.Struct, frozen=True):
    name: str
    size: Annotated[int, Meta(gt=0)] = 1


class Thing(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...] = ()
    mode: Literal["a", "b"] | None = None
    on: bool = False


def test_what_is_right_is_kept_beside_what_is_wrong() -> None:
    mistakes: list[Mistake] = []
    built = build(Thing, {"rows": [{"name": "x", "size": 0}, {"size": 2}, {"name": "y"}], "mode": "c", "on": True}, mistakes)
    assert built == Thing(rows=(Row("x"), Row("y")), on=True)
    assert [(each.address, each.message) for each in mistakes] == [
        (("rows", 0, "size"), "must be more than 0, not 0"),
        (("rows", 1, "name"), "is missing"),
        (("mode",), 'must be "a" or "b", not "c"'),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["server", "models", "id", "price", "name", "port"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_value_is_built_or_explained(value: object) -> None:
    mistakes: list[Mistake] = []
    built = build(Settings, value, mistakes)
    assert built is not None or mistakes
    if built is not None and not mistakes:
        assert msgspec.json.decode(msgspec.json.encode(built), type=Settings) == built


def test_a_near_word_is_suggested_and_a_far_one_is_not() -> None:
    assert suggestion("prot", ["port", "host"]) == '; did you mean "port"?'
    assert suggestion("zebra", ["port", "host"]) == ""


@pytest.mark.parametrize("name", ["bass_url", "apiKey", "Cache_Write_5m", "maxOutputTokensEver"])
def test_a_mistyped_name_is_shown(name: str) -> None:
    assert list(explain([Mistake(("providers", 0, name), "is not a setting")], "h.toml", {}, {})) == [
        f"[[providers]] #1 {name}: is not a setting"
    ]


@pytest.mark.parametrize(
    "name", ["FrDxcoNVCcyuDhWkEDMCYbOgGGamZjfxwCBZzlaa", "qbwhzikrtnxcyplmdjvafgeosuqbwhzikrt", "xKcVbNmQwErT", "a1b2c3"]
)
def test_a_secret_in_the_place_of_a_name_is_not(name: str) -> None:
    assert list(explain([Mistake(("providers", 0, name), "is not a setting")], "h.toml", {}, {})) == [
        "[[providers]] #1 …: is not a setting"
    ]
