"""The list of models in Anthropic's words: pages from an id on (`after_id`) or up to one (`before_id`), `limit` 20 unless it is said.

Shape: `{data: [{type: model, id, display_name, created_at, max_input_tokens?, max_tokens?}], first_id, last_id, has_more}` (API
reference, read 2026-11). Official SDKs turn the pages by `has_more` and `last_id`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.chat.listing import Listed, Lister, number, place

# A list wants a time of release; the catalogue has none.
_CREATED = "2021-07-20T10:40:00Z"
PAGE = 20
MOST = 1000


def _entry(model: Listed) -> dict[str, object]:
    known = {"max_input_tokens": model.context, "max_tokens": model.output}
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": _CREATED,
        **{name: value for name, value in known.items() if value is not None},
    }


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
    ends = {"first_id": page[0].id, "last_id": page[-1].id} if page else {"first_id": None, "last_id": None}
    return msgspec.json.encode({"data": [_entry(model) for model in page], **ends, "has_more": more})


def write_one(model: Listed) -> bytes:
    return msgspec.json.encode(_entry(model))


LISTER = Lister(write, write_one)
