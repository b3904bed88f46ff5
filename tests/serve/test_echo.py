"""A provider that repeats the credential it was asked with does not tell it to the client, whatever it made of it."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from halley.secret import Secret
from halley.serve.echo import Echo

KEY = 'up/stream+key="quoted\\0123456789'
FORMS = [
    KEY,
    KEY[:20],
    base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    base64.urlsafe_b64encode(KEY.encode()).decode(),
    quote(KEY, safe=""),
    KEY.encode().hex(),
    "\n".join(KEY[at : at + 7] for at in range(0, len(KEY), 7)),
]


@pytest.mark.parametrize("escapes", [json.dumps, lambda value: json.dumps(value).replace("/", "\\/")])
@pytest.mark.parametrize("form", FORMS)
def test_an_error_stays_json_and_says_the_rest(form: str, escapes: object) -> None:
    assert callable(escapes)
    words = escapes({"error": {"message": f"the key {form} is wrong", "code": 7}}).encode()
    cleaned = Echo(Secret(KEY)).clean(words)
    error = json.loads(cleaned)["error"]
    assert error["message"].startswith("the key ") and error["message"].endswith(" is wrong") and error["code"] == 7
    assert "***" in error["message"] and form[-20:-3] not in error["message"]


@pytest.mark.parametrize("form", FORMS)
def test_of_a_stream_the_error_frames_are_searched_for_every_form(form: str) -> None:
    echo = Echo(Secret(KEY))
    delta = b'data: {"choices":[{"delta":{"content":"an \\"error\\": {"}}]}\n\n'
    error = b"data: " + json.dumps({"error": {"message": form}}).encode() + b"\n\n"
    out = echo.stream(delta + error + delta)
    assert out.startswith(delta) and out.endswith(delta) and json.dumps(form)[1:-1].encode() not in out
    json.loads(out[len(delta) + 6 : -len(delta)])
    assert echo.stream(delta) == delta


def test_without_a_credential_nothing_is_touched() -> None:
    words = b'data: {"error": {"message": "x"}}\n\n'
    echo = Echo(Secret(""))
    assert (echo.cut(words), echo.clean(words), echo.stream(words)) == (words, words, words)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("form", [form for form in FORMS if "\n" not in form])
def test_the_fields_around_an_answer_are_searched_too(form: str, status: int) -> None:
    fields = [(b"x-request-id", f"id-{form}".encode()), (b"openai-version", b"2020-10-01"), (b"openai-processing-ms", b"17")]
    call = SimpleNamespace(status=status, fields=fields)
    cleaned = Echo(Secret(KEY)).fields(call)
    assert cleaned is call.fields and cleaned[1:] == fields[1:] and b"***" in cleaned[0][1] and form[-20:-3].encode() not in cleaned[0][1]
    assert Echo(Secret("")).fields(SimpleNamespace(status=status, fields=fields)) == fields


@pytest.mark.parametrize("form", FORMS)
def test_a_token_that_holds_for_a_while_is_searched_for_too_and_the_one_before_it(form: str) -> None:
    echo = Echo(Secret("the key that lasts"), Secret(""))
    lasting, words = b"the key that lasts", json.dumps({"error": {"message": f"{form} is wrong"}}).encode()
    for token in ("first-token-0123456789", KEY, "third-token-0123456789"):
        echo.guard(Secret(token))
    message = json.loads(echo.clean(words))["error"]["message"]
    assert "***" in message and form[-20:-3] not in message
    assert echo.cut(KEY.encode() + lasting) == b"******"
    echo.guard(Secret("fourth-token-0123456789"))
    assert echo.cut(KEY.encode() + lasting) == KEY.encode() + b"***"
