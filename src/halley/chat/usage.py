"""What was used, with one meaning for every dialect.

Readers normalise: `input` counts every prompt token including cached ones, `output` every generated token including reasoning ones; the
detail fields are parts of those two, never added to them. None of the numbers is a guess: an estimate is made elsewhere and marked there.
"""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Token counts of one answer. `cache_read`, `cache_write_*`, `audio_in`, `image_in` are parts of `input`; `reasoning`, `audio_out`,
    `image_out` of `output`."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_out: int = 0


class Whole(msgspec.Struct, frozen=True):
    """A whole answer, read: `answered` says that it holds what was asked for (an error object with status 200 does not)."""

    usage: Usage | None
    answered: bool
