"""What was used, with one meaning for every dialect.

Readers normalise: `input` counts every prompt token including cached ones, `output` every generated token including reasoning ones; the
detail fields are parts of those two, never added to them. None of the numbers is a guess: an estimate is made elsewhere and marked there.
"""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one answer took. `cache_read`, `cache_write_*`, `audio_in`, `image_in` are parts of `input`; `reasoning`, `audio_out`,
    `image_out` of `output`. What is not counted in tokens stands beside them: `tools` are calls of tools that the provider ran, by the name
    that a price list has for them; `sizes` are parts of `images`, by size and quality; `vendor` are units of the vendor's own, by name;
    `service_tier` is the one that the answer names, empty for the ordinary one."""

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
    images: int = 0
    milliseconds: int = 0
    characters: int = 0
    pages: int = 0
    tools: dict[str, int] = {}
    service_tier: str = ""
    sizes: dict[str, int] | None = None
    vendor: dict[str, int] | None = None


ORDINARY = frozenset({"", "default", "auto", "standard", "standard_only", "on_demand", "unspecified"})
"""Words by which providers say that an answer was of no special tier."""


def tier_named(word: str | None) -> str:
    """A provider's word for the tier of an answer, as `Usage.service_tier` has it."""
    return "" if word is None or (low := word.lower()) in ORDINARY else low[:32]


class Whole(msgspec.Struct, frozen=True):
    """A whole answer, read: `answered` says that it holds what was asked for (an error object with status 200 does not)."""

    usage: Usage | None
    answered: bool
