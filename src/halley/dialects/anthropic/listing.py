"""The list of models in Anthropic's words: pages from an id on (`after_id`) or up to one (`before_id`), `limit` 20 unless it is said.

Shape: `{data: [{type: model, id, display_name, created_at, max_input_tokens?, max_tokens?}], first_id, last_id, has_more}` (API
reference, read 2026-11). Official SDKs turn the pages by `has_more` and `last_id`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.chat.listing import NUMBER, Listed, Lister, number, place
from halley.chat.published import Parameter

# A list wants a time of release; the catalogue has none.
_CREATED = "2021-07-20T10:40:00Z"
PAGE = 20
MOST = 1000


class Entry(msgspec.Struct, omit_defaults=True):
    id: str
    display_name: str
    type: str
    created_at: str
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class Page(msgspec.Struct):
    data: tuple[Entry, ...]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None


def _entry(model: Listed) -> Entry:
    return Entry(model.id, model.name, "model", _CREATED, model.context, model.output)


def write(models: Sequence[Listed], query: dict[str, str]) -> bytes:
    """Raises Refused."""
    limit = number(query, "limit", PAGE, MOST)
    start, end = 0, len(models)
    if query.get("after_id"):
        start = place(models, query["after_id"], "after_id") + 1
    if query.get("before_id"):
        end = place(models, query["before_id"], "before_id")
        start = max(end - limit, start)
    page = models[start : min(start + limit, end)]
    more = start > 0 if query.get("before_id") else start + len(page) < end
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return msgspec.json.encode(Page(tuple(map(_entry, page)), more, first, last))


def write_one(model: Listed) -> bytes:
    return msgspec.json.encode(_entry(model))


LISTER = Lister(
    write,
    write_one,
    Page,
    Entry,
    (
        Parameter("limit", f"How many, up to {MOST}; {PAGE} unless it is said.", NUMBER),
        Parameter("after_id", "The page after this model."),
        Parameter("before_id", "The page before this model."),
    ),
)
