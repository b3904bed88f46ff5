"""Listing: which models a key may use, in the words of whoever asks.

Clients of three makers ask at the same path: the fields of their heads tell them apart, and where none does it is OpenAI's list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from halley.chat.listing import Lister, asked
from halley.dialects import ANTHROPIC, GEMINI, OPENAI_CHAT, Dialect
from halley.dialects.anthropic import listing as anthropic
from halley.dialects.gemini import listing as google
from halley.dialects.openai_chat import listing as openai
from halley.exchanges.record import AUTHORIZATION, QUERY, Carriers

# The lists' own paths; behind a slash stands the id of one model.
PATHS = (b"/v1/models", b"/v1beta/models")
CARRIERS: Carriers = (AUTHORIZATION, b"x-api-key", b"x-goog-api-key", QUERY)


class List(NamedTuple):
    dialect: Dialect
    lister: Lister


_OPENAI = List(OPENAI_CHAT, openai.LISTER)
_ANTHROPIC = List(ANTHROPIC, anthropic.LISTER)
_GOOGLE = List(GEMINI, google.LISTER)


def spoken(path: bytes) -> tuple[List, ...]:
    """In whose words it may be wanted at this path."""
    return (_GOOGLE,) if path.startswith(PATHS[1]) else (_OPENAI, _ANTHROPIC, _GOOGLE)


def choose(path: bytes, fields: Mapping[bytes, bytes], query: bytes) -> List:
    """In whose words the list is wanted."""
    if path.startswith(PATHS[1]) or b"x-goog-api-key" in fields or "key" in asked(query):
        return _GOOGLE
    return _ANTHROPIC if b"anthropic-version" in fields else _OPENAI
