"""Where this dialect keeps opaque state: the `encrypted_content` of a reasoning item, which clients give back without looking at it.

State of this dialect's own makers stands there as it is. That of another travels under its label, with one word that says what it clings
to here, because other dialects seal more than thoughts: thinking in full, a summary of it, redacted thinking, or a signature on the part
that follows or that went before. The words end in a colon, which no base64 has.

OpenAI verifies encrypted content against the id of its item ("item_id did not match"), and other dialects have no place for that id: there
it travels in the seal, before a colon too.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import msgspec

from halley.chat import seals
from halley.chat.model import Seal, Thinking
from halley.dialects.openai_responses.fields import DIALECT

Clings = Literal["thinking", "summary", "redacted", "next", "last"]
_WORDS = {f"{word}:": word for word in get_args(Clings)}


class Kept(NamedTuple):
    seal: Seal
    clings: Clings | None  # None where this dialect itself made it


def own(seal: Seal) -> bool:
    return seal.origin.partition(":")[0] == DIALECT


def sealed(origin: str, id: str | None, content: str | None) -> Seal | None:
    """What a provider of this dialect sealed: the id of a reasoning item and its encrypted content."""
    if not content:
        return None
    return Seal(origin, f"{id}:{content}" if id and ":" not in id else content)


def unsealed(seal: Seal) -> tuple[str | None, str]:
    """The id of the item, if it is known, and its encrypted content."""
    id, colon, content = seal.value.partition(":")
    return (id, content) if colon else (None, seal.value)


def written(seal: Seal, clings: Clings) -> str:
    return unsealed(seal)[1] if own(seal) else seals.labelled(Seal(seal.origin, f"{clings}:{seal.value}"))


def read(text: str) -> Kept:
    seal = seals.read(text, DIALECT)
    if own(seal):
        return Kept(seal, None)
    word, _, value = seal.value.partition(":")
    clings = _WORDS.get(f"{word}:")
    return Kept(seal, "thinking") if clings is None else Kept(Seal(seal.origin, value), clings)


class Thought(msgspec.Struct):
    text: str


class Reasoning(msgspec.Struct):
    """A reasoning item: pieces of a summary (OpenAI), or of the thinking itself (open models), and what keeps it."""

    id: str | None = None
    summary: list[Thought] | None = None
    content: list[Thought] | None = None
    encrypted_content: str | None = None


def thinking(found: Reasoning, kept: Kept | None, at: str = "") -> Thinking:
    """Between two pieces stands a blank line."""
    text = "\n\n".join(each.text for each in (*(found.summary or ()), *(found.content or ())))
    clings = None if kept is None else kept.clings
    return Thinking(
        text,
        summary=bool(found.summary) if clings is None else clings == "summary",
        redacted=clings == "redacted",
        id=found.id,
        seal=None if kept is None else kept.seal,
        at=at,
    )


def clinging(thought: Thinking) -> Clings:
    return "redacted" if thought.redacted else "summary" if thought.summary else "thinking"
