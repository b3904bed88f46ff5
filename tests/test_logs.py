"""Log lines hold allowed fields only, and no secret in any of the forms in which one travels."""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley import logs
from halley.logs import Redactor, Sink, Value
from halley.secret import Secret

CANARY = "hunter2/very+secret=="


def lines(tmp_path: Path, speak: Callable[[Sink], None], *, terminal: bool = False, secrets: tuple[Secret, ...] = ()) -> list[str]:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    redactor = Redactor()
    redactor.guard(secrets)
    speak(Sink(descriptor, redactor, terminal=terminal))
    os.close(descriptor)
    return path.read_text(encoding="utf-8").splitlines()


def one(tmp_path: Path, terminal: bool = False, secrets: tuple[Secret, ...] = (), level: str = "info", **fields: Value) -> str:
    (line,) = lines(tmp_path, lambda sink: sink.write(level, "here", "it happened", fields), terminal=terminal, secrets=secrets)
    return line


def test_a_line_is_one_json_object_with_allowed_fields(tmp_path: Path) -> None:
    line = json.loads(one(tmp_path, status=502, provider="main", reason="x\ny"))
    assert line["at"].endswith("Z")
    del line["at"]
    assert line == {"level": "info", "log": "here", "event": "it happened", "status": 502, "provider": "main", "reason": "x\ny"}


def test_a_field_that_is_not_allowed_is_withheld_and_named(tmp_path: Path) -> None:
    line = one(tmp_path, body="canary", prompt="canary", status=1)
    assert "canary" not in line
    assert json.loads(line)["withheld"] == ["body", "prompt"]


def test_no_body_prompt_header_or_secret_has_a_field() -> None:
    assert not logs.FIELDS & {
        "body",
        "prompt",
        "messages",
        "content",
        "headers",
        "authorization",
        "api_key",
        "secret",
        "token",
        "password",
        "text",
    }


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


@pytest.mark.parametrize("form", forms(CANARY))
def test_a_live_secret_does_not_appear_in_any_form(tmp_path: Path, form: str) -> None:
    line = one(tmp_path, secrets=(Secret(CANARY),), reason=f"before {form} after")
    assert form not in line
    assert "[redacted]" in json.loads(line)["reason"]


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


def test_a_terminal_gets_warnings_and_errors_only(tmp_path: Path) -> None:
    def speak(sink: Sink) -> None:
        for level in ("info", "warning", "error"):
            sink.write(level, "here", level, {})

    assert [line.split()[1] for line in lines(tmp_path, speak, terminal=True)] == ["warning", "error"]


def test_a_terminal_gets_a_line_that_cannot_drive_it(tmp_path: Path) -> None:
    line = one(tmp_path, terminal=True, level="warning", child="relay-0", reason="\x1b[2J red", exit=1)
    assert line.split(" ", 1)[1] == 'warning here  it happened  child=relay-0 reason="\\x1b[2J red" exit=1'


def test_an_error_brings_its_trace_without_values(tmp_path: Path) -> None:
    try:
        canary = "never shown"
        raise ValueError("wrong")
    except ValueError as fault:
        line = json.loads(one(tmp_path, level="error", fault=fault))
    assert line["fault"] == "ValueError: wrong"
    assert line["trace"][-1].startswith("tests/test_logs.py:") and line["trace"][-1].endswith(
        "test_an_error_brings_its_trace_without_values"
    )
    assert canary not in json.dumps(line)


def test_a_closed_standard_error_does_not_raise() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    Sink(writing, Redactor(), terminal=False).write("info", "here", "nobody listens", {})
    os.close(writing)


def test_libraries_log_through_the_same_sink(capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.adopt()
        logging.getLogger("uvicorn").warning("odd %s", "Bearer CANARYCANARY")
        logging.getLogger("uvicorn").info("not interesting")
        logs.get("there").info("hello", port=1)
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    first, second = map(json.loads, capfd.readouterr().err.splitlines())
    assert (first["log"], first["level"], first["event"]) == ("uvicorn", "warning", "odd Bearer [redacted]")
    assert (second["log"], second["port"]) == ("there", 1)
