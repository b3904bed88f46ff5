"""Where the seals of any maker stand in Anthropic's words: in the signature of a thinking block, or in the data of a redacted one.

    thinking, signature S      the thinking is S's
    redacted_thinking, data S  thinking without words
    thinking "", signature S   S of another dialect: not of a thought, but of the text, call or image that stands next (Gemini seals those)
    the same, behind S         S is of the part that stands before; known only when that part was already sent

Clients repeat thinking blocks unchanged, wherever they stand, which is why they can carry the rest. Claude Code fails on a thinking block
without a signature, so one that nobody sealed has a label with nothing in it (`UNSEALED`), which a reader takes away again.
"""

from __future__ import annotations

from typing import Final

from halley.chat.model import Seal
from halley.chat.seals import PREFIX, labelled, origin, read

NAME: Final = "anthropic"
_OWN: Final = origin(NAME, "")
_BEHIND: Final = "behind:"
_NOBODY: Final = "nobody:"

UNSEALED: Final = labelled(Seal(_NOBODY, ""))
LABEL: Final = PREFIX.encode()
"""In a body without these bytes no seal of another maker stands."""


def written(seal: Seal | None) -> str:
    """A signature, or the data of redacted thinking."""
    if seal is None:
        return UNSEALED
    return seal.value if seal.origin == _OWN else labelled(seal)


def written_behind(seal: Seal) -> str:
    """The signature of an empty thinking block that seals the part before it."""
    return labelled(Seal(_BEHIND, written(seal)))


def is_own(seal: Seal) -> bool:
    return seal.origin == _OWN


def taken(signature: str) -> Seal | None:
    """The seal in a signature; None when nobody sealed."""
    if not signature:
        return None
    seal = read(signature, NAME)
    return None if seal.origin == _NOBODY else seal


def taken_behind(seal: Seal) -> Seal | None:
    """The seal of the part before the block, None if this one is of the block itself or of what follows."""
    return read(seal.value, NAME) if seal.origin == _BEHIND else None
