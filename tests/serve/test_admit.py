"""Pure pieces of admission: the shape of a key, near names."""

import pytest

from halley.serve import admit
from halley.store import keytext

GOOD = b"sk-0123456789ABCDEFGHIJKLMNOPQRSTUV"


def with_checksum(body: bytes) -> bytes:
    import zlib

    number, digits = zlib.crc32(body[3:]), ""
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = alphabet[digit] + digits
    return body + digits.encode()


def test_a_key_with_its_checksum_is_well_formed_and_no_neighbour_of_it_is() -> None:
    key = with_checksum(GOOD)
    assert keytext.well_formed(key.decode("latin-1"))
    for position in range(3, len(key)):
        other = key[:position] + (b"x" if key[position : position + 1] != b"x" else b"y") + key[position + 1 :]
        assert not keytext.well_formed(other.decode("latin-1"))


@pytest.mark.parametrize(
    "key", [b"", b"sk-", b"sk-short", GOOD, with_checksum(GOOD).upper(), with_checksum(GOOD) + b"0", b"' OR 1=1 --", b"\xff" * 41]
)
def test_junk_is_not_well_formed(key: bytes) -> None:
    assert not keytext.well_formed(key.decode("latin-1"))


def test_near_names_are_suggested() -> None:
    assert '"gpt-4o"' in admit.unknown_model("gpt4o", ["gpt-4o", "o3"]).message
    assert "GET /v1/models" in admit.unknown_model("zzz", ["gpt-4o"]).message
