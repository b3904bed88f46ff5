"""No form in which a secret travels gets through, whole, cut short or broken over lines; ordinary words do."""

from __future__ import annotations

import base64
import html
import json
import pprint
import textwrap
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.redaction import HIDDEN, RUN, Redactor
from halley.secret import Secret, SecretBytes

CANARY = "hunter2/very+secret=="
LONG = "Zx81/kestrel+marmalade=quartz_0147-violet"


def forms(secret: str) -> list[str]:
    encoded = [base64.b64encode(f"{'u' * n}:{secret}{'!' * m}".encode()).decode() for n in range(4) for m in range(4)]
    safe = [base64.urlsafe_b64encode(f"{'u' * n}:{secret}".encode()).decode() for n in range(4)]
    return [
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote(quote(secret, safe=""), safe=""),
        json.dumps(secret)[1:-1],
        secret.encode().hex(),
        *encoded,
        *safe,
    ]


@given(st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=12, max_size=40))
def test_whatever_a_secret_is_made_of_it_is_redacted(secret: str) -> None:
    redactor = Redactor()
    redactor.guard([Secret(secret)])
    for form in forms(secret):
        assert form not in redactor.clean(f"x {form} y")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdef123456",
        "bearer CANARY.CANARY-CANARY",
        "sk-CANARYCANARYCANARY",
        "sk-proj-CANARY_CANARY-CANARY",
        "sk_live_CANARYCANARY",
        "x-api-key: CANARYCANARY",
        "x-goog-api-key=CANARYCANARY",
        "AIzaCANARYCANARYCANARYCANARY",
        "https://h.test/?key=CANARYCANARY&x=1",
        "https://h.test/?x=1&access_token=CANARY",
        "https://user:CANARY@h.test/",
        "postgresql+psycopg://u:CANARY@db/halley",
        "eyJCANARYCANARY.CANARYCANARY.CANARY",
        "AKIAIOSFODNN7EXAMPLE",
    ],
)
def test_what_looks_like_a_key_is_redacted_unknown_as_it_is(text: str) -> None:
    cleaned = Redactor().clean(f"before {text} after")
    assert "CANARY" not in cleaned and "abcdef" not in cleaned and "AKIA" not in cleaned
    assert cleaned.startswith("before ") and cleaned.endswith(" after")


@pytest.mark.parametrize(
    "text", ["task-1234567890", "disk-usage is high", "https://h.test/path@2x.png", "key rotated", "the bearer is gone"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert Redactor().clean(text) == text


def test_a_trailing_word_after_a_cookie_goes_with_it() -> None:
    assert Redactor().clean("cookie: a=1; session=CANARYCANARY\nnext") == f"cookie: {HIDDEN}\nnext"


def test_a_shell_command_that_reads_a_key_stays() -> None:
    text = 'curl -H "Authorization: Bearer $(cat /home/me/starter-key)" -d \'{"a":1}\''
    assert Redactor().clean(text) == text


@pytest.mark.parametrize("form", forms(LONG))
@pytest.mark.parametrize("size", [16, 20, 27])
def test_a_piece_of_a_secret_is_enough(form: str, size: int) -> None:
    redactor = Redactor(Secret(LONG))
    for start in range(0, len(LONG) - size + 1, 3):
        piece = LONG[start : start + size]
        assert piece not in redactor.clean(f"cut: {piece}")
    assert form[:20] not in redactor.clean(f"cut: {form[:40]}…")


def wrapped(secret: str) -> list[str]:
    data = f"name:{secret}".encode() * 3
    return [
        base64.encodebytes(data).decode(),
        json.dumps(base64.encodebytes(data).decode()),
        textwrap.fill(secret, 17),
        json.dumps("\n".join(textwrap.wrap(secret, 9))),
        pprint.pformat(secret.encode(), width=20),
        pprint.pformat({"a": secret.encode() * 2}, width=30),
        repr(secret[:11] + "' '" + secret[11:]),
        html.escape(secret),
        secret.upper(),
        "".join(f"%{byte:02X}" for byte in secret.encode()),
    ]


@pytest.mark.parametrize("text", wrapped(LONG))
def test_a_secret_that_a_formatter_broke_up_is_found(text: str) -> None:
    cleaned = Redactor(Secret(LONG)).clean(f"before {text} after")
    assert HIDDEN in cleaned and cleaned.startswith("before") and cleaned.rstrip().endswith("after")
    left = "".join(cleaned.replace(HIDDEN, " ").split())
    for size in range(len(LONG) - RUN + 1):
        assert LONG[size : size + RUN].lower() not in left.lower()


def test_bytes_are_found_in_every_form() -> None:
    secret = bytes(range(100, 132))
    redactor = Redactor(SecretBytes(secret))
    for form in (
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode(),
        base64.b64encode(b"k=" + secret).decode(),
        repr(secret),
    ):
        cleaned = redactor.clean(f"the key is {form}.")
        assert HIDDEN in cleaned and form[4:24] not in cleaned


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=200))
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert Redactor(Secret(LONG), SecretBytes(bytes(range(128, 160)))).known(text) == text


def test_what_stands_around_a_secret_stays() -> None:
    redactor = Redactor(Secret(LONG), Secret("second-secret-of-all"))
    assert redactor.clean(f"a {LONG} b {LONG}{LONG} c second-secret-of-all d") == f"a {HIDDEN} b {HIDDEN} c {HIDDEN} d"


def test_a_word_too_short_to_be_a_secret_takes_nothing_along() -> None:
    assert Redactor(Secret("sk-any")).clean("any sk-any") == "any sk-any"


@pytest.mark.parametrize(
    "unit", ["a", "a://", "eyJabcdefgh.", "token=", "token='", "bearer ", "sk-", "?key=", "x-api-key: ", "\\", "cookie:"]
)
def test_no_text_takes_more_than_its_length(unit: str) -> None:
    redactor = Redactor(Secret("sk-quiteSECRET0123456789"))

    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        started = time.process_time()
        redactor.clean(text)
        return time.process_time() - started

    assert min(seconds(100_000) for _ in range(3)) < 1.5
