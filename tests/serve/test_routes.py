"""What a mistyped path meant."""

import pytest

from halley.serve import routes


@pytest.mark.parametrize(
    "path, meant",
    [
        (b"/chat/completions", b"/v1/chat/completions"),
        (b"/v1/v1/chat/completions", b"/v1/chat/completions"),
        (b"/v1/chat/completions/", b"/v1/chat/completions"),
        (b"/api/v1/chat/completions", b"/v1/chat/completions"),
        (b"/openai/v1/chat/completions", b"/v1/chat/completions"),
        (b"//v1//chat/completions", b"/v1/chat/completions"),
        (b"/api/chat/completions", b"/v1/chat/completions"),
        (b"/v1/models/", b"/v1/models"),
        (b"/v1/v1/models/gpt-4o", b"/v1/models/gpt-4o"),
        (b"/v1/api/models", b"/v1/models"),
        (b"/text/chat", b"/api/text/chat"),
        (b"/v1/chat/completions/chat/completions", b"/v1/chat/completions"),
        (b"/v1/chat/completions/v1/chat/completions", b"/v1/chat/completions"),
    ],
)
def test_a_mistyped_path_names_the_right_one(path: bytes, meant: bytes) -> None:
    assert routes.suggestion(path) == meant


@pytest.mark.parametrize("path", [b"/", b"/v1", b"/v1/nope", b"/docs", b"/v1/chat%2fcompletions", b"/V1/CHAT/COMPLETIONS", b"/metrics"])
def test_a_path_that_means_nothing_gets_no_suggestion(path: bytes) -> None:
    assert routes.suggestion(path) is None


def test_no_served_path_is_suggested_for_itself() -> None:
    for path in routes.METHODS:
        assert routes.suggestion(path) is None


@pytest.mark.parametrize(
    "path, methods",
    [
        (b"/v1/chat/completions", b"POST"),
        (b"/api/text/chat", b"POST, GET, HEAD"),
        (b"/v1/models", b"GET, HEAD"),
        (b"/v1/models/gpt-4o", b"GET, HEAD"),
        (b"/api/models", b"GET, HEAD"),
        (b"/healthz", b"GET, HEAD"),
        (b"/readyz", b"GET, HEAD"),
        (b"/v1beta/models", b"GET, HEAD"),
        (b"/v1beta/models/a/b", b"GET, HEAD"),
        (b"/v1beta/models/a:generateContent", b"POST"),
        (b"/v1/models/a:embedContent", b"POST"),
        (b"/v1/models/", None),
        (b"/v1/nope", None),
        (b"/", None),
    ],
)
def test_a_path_that_exists_says_what_may_be_asked_of_it(path: bytes, methods: bytes | None) -> None:
    assert routes.allowed(path) == methods
