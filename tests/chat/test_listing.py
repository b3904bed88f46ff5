"""What a list's query asks for."""

from __future__ import annotations

import pytest

from halley.chat.listing import Listed, asked, number, place
from halley.errors import Refused

MODELS = [Listed(name, name, "", "", None, None) for name in ("a", "b/c")]


def test_a_query_is_decoded_and_the_last_of_a_name_counts() -> None:
    assert asked(b"a=1&a=b%2Fc+d&&e") == {"a": "b/c d", "e": ""}


def test_a_number_has_its_bounds() -> None:
    assert (number({}, "limit", 20, 100), number({"limit": "100"}, "limit", 20, 100)) == (20, 100)
    for wrong in ("0", "101", "-1", "x", "٣", "1" * 40):
        with pytest.raises(Refused) as caught:
            number({"limit": wrong}, "limit", 20, 100)
        assert caught.value.param == "limit"


def test_a_place_is_found_by_id() -> None:
    assert place(MODELS, "b/c", "after_id") == 1
    with pytest.raises(Refused):
        place(MODELS, "c", "after_id")
