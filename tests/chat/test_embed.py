"""A vector as numbers and as float32 bytes."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from halley.chat.embed import from_base64, numbers, packed, to_base64


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_both_ways_say_the_same_numbers(vector: list[float]) -> None:
    data = struct.pack(f"<{len(vector)}f", *vector)
    raw = Raw(json.dumps(vector).encode())
    assert packed(raw) == packed(data) == from_base64(to_base64(raw)) == data
    assert json.loads(bytes(numbers(data))) == vector
    assert numbers(raw) is raw


@pytest.mark.parametrize("text", ["AAA=", "!", "AAAAAAA="])
def test_what_is_no_vector_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        from_base64(text)
    with pytest.raises(ValueError):
        packed(Raw(b'["x"]'))
    with pytest.raises(ValueError):
        numbers(b"abc")
