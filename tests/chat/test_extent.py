"""JSON text that comes in pieces is whole when its last bracket or quote has come, however it was cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.chat.extent import Extent

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\{}[]\n\u00e9', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"\\}', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), st.integers(1, 4), st.booleans())
def test_an_object_is_whole_with_its_last_character_and_not_before(value: object, size: int, plain: bool) -> None:
    text = json.dumps(value, ensure_ascii=plain)
    extent = Extent()
    for place in range(0, len(text), size):
        assert not extent.whole
        extent.feed(text[place : place + size])
    assert extent.whole


@pytest.mark.parametrize("pieces", [[], [""], ["{"], ['"a'], ['"a\\', '"'], ["[{}"], ["12"], ["{}", " x"], ["{}", "{}"], ["{}{}"]])
def test_what_has_not_ended_or_goes_on_is_not_whole(pieces: list[str]) -> None:
    extent = Extent()
    for piece in pieces:
        extent.feed(piece)
    assert not extent.whole


@pytest.mark.parametrize("pieces", [["{}"], [" {", "} "], ['"a"'], ['"\\', '""'], ["[1,", "{}]", "\n"], ['{"a":"}"', "}"]])
def test_what_has_ended_is_whole(pieces: list[str]) -> None:
    extent = Extent()
    for piece in pieces:
        extent.feed(piece)
    assert extent.whole
