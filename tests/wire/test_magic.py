"""What bytes are by their first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.wire.magic import KNOWN, sniff

BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff\xe0": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"RIFF\x10\x00\x00\x00WEBP": "image/webp",
    b"%PDF-1.4": "application/pdf",
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_signature_is_known_by_itself_and_before_anything(beginning: bytes) -> None:
    assert sniff(beginning) == sniff(beginning + b"more") == BEGINNINGS[beginning]


@pytest.mark.parametrize("beginning", [beginning for beginning in BEGINNINGS if not beginning.startswith((b"\xff", b"%"))])
def test_a_signature_cut_short_is_nothing(beginning: bytes) -> None:
    assert all(sniff(beginning[:end]) is None for end in range(len(beginning)))


@pytest.mark.parametrize("other", [b"", b" \x89PNG\r\n\x1a\n", b"<svg", b"RIFF\x10\x00\x00\x00WAVE", b"\x00%PDF-1.4", b"BM", b"PK\x03\x04"])
def test_everything_else_is_unknown(other: bytes) -> None:
    assert sniff(other) is None


@given(st.binary(max_size=64))
def test_any_bytes_are_a_known_type_or_nothing(data: bytes) -> None:
    assert sniff(data) in KNOWN | {None}
