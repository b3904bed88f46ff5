"""The small answers beside a response."""

from __future__ import annotations

import json

from msgspec import Raw

from halley.chat.usage import Usage
from halley.dialects.openai_responses import neighbours


def test_how_many_tokens_an_input_has() -> None:
    assert json.loads(neighbours.input_tokens(7)) == {"object": "response.input_tokens", "input_tokens": 7}


def test_a_page_of_items_names_its_first_and_its_last() -> None:
    items = [Raw(b'{"id":"a"}'), Raw(b'{"id":"b"}')]
    page = json.loads(neighbours.input_items(items, more=True))
    assert page == {"object": "list", "data": [{"id": "a"}, {"id": "b"}], "first_id": "a", "last_id": "b", "has_more": True}
    assert json.loads(neighbours.input_items([], more=False))["first_id"] is None


def test_a_response_that_is_gone() -> None:
    assert json.loads(neighbours.deleted("resp_1")) == {"id": "resp_1", "object": "response", "deleted": True}


def test_a_compacted_conversation() -> None:
    made = json.loads(neighbours.compacted("resp_1", 5, [Raw(b'{"type":"compaction"}')], Usage(3, 4)))
    assert (made["object"], made["created_at"], made["output"], made["usage"]["total_tokens"]) == (
        "response.compaction",
        5,
        [{"type": "compaction"}],
        7,
    )
