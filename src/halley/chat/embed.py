"""What is meant by a request for embeddings and its answer, in no dialect's words; and a vector in both ways in which it is written.

A vector is kept as it came, a JSON array or float32 bytes, and turned into the other only when the client wants that: a thousand vectors
are millions of numbers.
"""

from __future__ import annotations

import base64
import sys
from array import array

import msgspec

Vector = msgspec.Raw | bytes
"""A JSON array of numbers, or float32 in little-endian order (what OpenAI's `encoding_format: base64` is the base64 of)."""

_decode_numbers = msgspec.json.Decoder(list[float]).decode


class Embed(msgspec.Struct, frozen=True, kw_only=True):
    """`inputs` are texts or lists of tokens, each one vector. `task` and `title` are Google's words for what it is for; `packed` says that
    the client wants base64; `unknown` are fields that have no meaning here."""

    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    task: str | None = None
    title: str | None = None
    end_user: str | None = None
    packed: bool = False
    unknown: tuple[str, ...] = ()


class Embedded(msgspec.Struct, frozen=True):
    """One vector per input, in order. `tokens` is what was used, None if the provider did not say."""

    vectors: tuple[Vector, ...]
    tokens: int | None = None


def numbers(vector: Vector) -> msgspec.Raw:
    """As a JSON array. Raises ValueError for bytes that are no whole numbers."""
    if isinstance(vector, msgspec.Raw):
        return vector
    return msgspec.Raw(msgspec.json.encode(_little(array("f", vector)).tolist()))


def packed(vector: Vector) -> bytes:
    """As float32 in little-endian order. Raises ValueError for what is no array of numbers."""
    return _little(array("f", _decode_numbers(vector))).tobytes() if isinstance(vector, msgspec.Raw) else vector


def to_base64(vector: Vector) -> str:
    return base64.b64encode(packed(vector)).decode()


def from_base64(text: str) -> bytes:
    """Raises ValueError."""
    found = base64.b64decode(text, validate=True)
    if len(found) % 4:
        raise ValueError("not a whole number of float32")
    return found


def _little(found: array[float]) -> array[float]:
    if sys.byteorder == "big":
        found.byteswap()
    return found
