"""Where pictures and files stand in a chat message: a URL field that may be a data URL, and the two ways to name a file."""

from __future__ import annotations

from halley.chat.media import data_url, inline
from halley.chat.model import FileId, Inline, Source, Url

NAME = "openai_chat"
RESPONSES = "openai_responses"
SHARED = frozenset({"user", "moderation", "prompt_cache_options", "prompt_cache_retention"})
"""Fields of the request that OpenAI's other dialect has under the same name, in the same shape (its OpenAPI document, read 2026-11)."""


def source(url: str, otherwise: str) -> Source:
    """What a URL field holds: a data URL inline, anything else an address. `otherwise` is the MIME type of data that tells none."""
    return inline(url, otherwise) or Url(url)


def url(source: Inline | Url) -> str:
    return source.url if isinstance(source, Url) else data_url(source)


def file(data: str | None, id: str | None) -> Source | None:
    """`file_data` is a data URL, or base64 of what OpenAI takes for a PDF."""
    if id is not None:
        return FileId(id, NAME)
    if data is None:
        return None
    return inline(data, "application/pdf") or Inline("application/pdf", data)
