"""Log lines hold allowed fields only, and no secret in any of the forms in which one travels."""

from __future__ import annotations

import base64
import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from halley import logs
from halley.errors import HalleyError
from halley.logs import Filtered, Sink, Value
from halley.redaction import Redactor
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


@pytest.mark.parametrize("form", [CANARY, base64.b64encode(f"u:{CANARY}".encode()).decode(), quote(CANARY, safe="")])
def test_a_live_secret_does_not_appear_in_any_form(tmp_path: Path, form: str) -> None:
    line = one(tmp_path, secrets=(Secret(CANARY),), reason=f"before {form} after")
    assert form not in line
    assert "[redacted]" in json.loads(line)["reason"]


def test_a_terminal_gets_warnings_and_errors_only(tmp_path: Path) -> None:
    def speak(sink: Sink) -> None:
        for level in ("info", "warning", "error"):
            sink.write(level, "here", level, {})

    assert [line.split()[1] for line in lines(tmp_path, speak, terminal=True)] == ["warning", "error"]


def test_a_terminal_gets_a_line_that_cannot_drive_it(tmp_path: Path) -> None:
    line = one(tmp_path, terminal=True, level="warning", child="relay-0", reason="\x1b[2J red", exit=1)
    assert line.split(" ", 1)[1] == 'warning here  it happened  child=relay-0 reason="\\x1b[2J red" exit=1'


def raised(fault: BaseException) -> BaseException:
    try:
        raise fault
    except BaseException as caught:
        return caught


def test_an_error_brings_its_trace_without_values(tmp_path: Path) -> None:
    line = json.loads(one(tmp_path, level="error", fault=raised(ValueError("what the customer wrote"))))
    assert line["fault"] == "ValueError"
    assert line["trace"][-1].startswith("tests/test_logs.py:") and line["trace"][-1].endswith("raised")
    assert "customer" not in json.dumps(line)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (HalleyError("our own words"), "HalleyError: our own words"),
        (OSError(28, "No space left on device", "/tmp/what-the-customer-wrote"), "OSError: No space left on device"),
        (KeyError("what the customer wrote"), "KeyError"),
        (UnicodeDecodeError("utf-8", b"what the customer wrote \xff", 24, 25, "invalid start byte"), "UnicodeDecodeError"),
    ],
)
def test_an_exception_speaks_for_itself_only_in_words_that_cannot_come_from_outside(tmp_path: Path, fault: Exception, told: str) -> None:
    assert json.loads(one(tmp_path, level="error", fault=raised(fault)))["fault"] == told


def test_a_databases_own_name_for_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught, closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("SELECT 'what the customer wrote' FROM nowhere")
    assert json.loads(one(tmp_path, level="error", fault=caught.value))["fault"] == "OperationalError: SQLITE_ERROR"


def test_an_errors_cause_is_traced_too(tmp_path: Path) -> None:
    fault = HalleyError("on top")
    fault.__cause__ = raised(OSError(5, "Input/output error"))
    line = json.loads(one(tmp_path, level="error", fault=raised(fault)))
    assert "because of OSError: Input/output error" in line["trace"]


def test_standard_error_is_filtered_by_whole_lines() -> None:
    reading, writing = os.pipe()
    stream = Filtered(writing, Redactor(Secret(CANARY)))
    print("one", CANARY[:9], sep=" ", end="", file=stream)
    print(CANARY[9:], "two", file=stream)
    print("rest", end="", file=stream, flush=True)
    os.close(writing)
    with os.fdopen(reading) as told:
        assert told.read() == "one [redacted] two\nrest"


_PROGRAM = """
import asyncio, sys, threading, uvloop
from halley import logs
from halley.secret import Secret
logs.adopt()
logs.guard(Secret({canary!r}))
class Unraisable:
    def __del__(self): raise ValueError({canary!r})
async def never_awaited_by_anybody(): raise ValueError({canary!r})
async def main():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0 if {canary!r} else None)
    task = asyncio.create_task(never_awaited_by_anybody())
    await asyncio.sleep(0.01)
    del task
uvloop.run(main())
Unraisable()
thread = threading.Thread(target=lambda: int({canary!r})); thread.start(); thread.join()
print("printed", {canary!r}, file=sys.stderr)
raise KeyError({canary!r})
"""


@pytest.mark.parametrize("loop", ["uvloop.run", "asyncio.run"])
def test_whatever_a_process_says_is_filtered(loop: str) -> None:
    program = _PROGRAM.format(canary=CANARY).replace("uvloop.run", loop)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert CANARY not in done.stderr and CANARY[:16] not in done.stderr
    for word in (
        "ZeroDivisionError",
        "never retrieved",
        "where none can be raised",
        "ended a thread",
        "ended the process",
        "printed [redacted]",
    ):
        assert word in done.stderr, done.stderr


def test_a_closed_standard_error_does_not_raise() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    Sink(writing, Redactor(), terminal=False).write("info", "here", "nobody listens", {})
    os.close(writing)


def test_libraries_log_through_the_same_sink(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((sys, "stderr"), (sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back afterwards
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.adopt()
        logging.getLogger("uvicorn").warning("odd %s, Bearer CANARYCANARY\nsecond line", "what the customer wrote")
        logging.getLogger("uvicorn").info("not interesting")
        logs.get("there").info("hello", port=1)
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    first, second = map(json.loads, capfd.readouterr().err.splitlines())
    assert (first["log"], first["level"], first["event"]) == ("uvicorn", "warning", "odd %s, Bearer [redacted]")
    assert (second["log"], second["port"]) == ("there", 1)
