"""In whose words a list of models is wanted."""

from __future__ import annotations

import pytest

from halley.exchanges.listing import choose


@pytest.mark.parametrize(
    ("path", "fields", "query", "name"),
    [
        (b"/v1/models", {}, b"", "openai_chat"),
        (b"/v1/models", {b"x-api-key": b"k"}, b"", "openai_chat"),
        (b"/v1/models", {b"anthropic-version": b"2023-06-01"}, b"limit=1", "anthropic"),
        (b"/v1/models/a", {b"anthropic-version": b"2023-06-01"}, b"", "anthropic"),
        (b"/v1/models", {b"x-goog-api-key": b"k"}, b"", "gemini"),
        (b"/v1/models", {}, b"a=b&key=k", "gemini"),
        (b"/v1beta/models", {}, b"", "gemini"),
        (b"/v1beta/models/a", {b"anthropic-version": b"2023-06-01"}, b"", "gemini"),
    ],
)
def test_the_head_says_who_asks(path: bytes, fields: dict[bytes, bytes], query: bytes, name: str) -> None:
    assert choose(path, fields, query).dialect.name == name
