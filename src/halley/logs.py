"""What Halley says while it runs: one JSON object per line on standard error; to a terminal, a readable line for what is wrong only.

Only fields of the allow-list `FIELDS` are written: bodies, prompts, headers and keys have no field, so they cannot be logged. What is
written still passes a redactor for key shapes and for every live secret that `guard` was told of. Nothing here is called for a request that
succeeds: its journal record is its log row.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

import msgspec

from halley.secret import Secret

Value = str | int | float | bool | None | BaseException | tuple[str, ...]

FIELDS: Final = frozenset(
    {
        "account", "attempt", "attempts", "bytes", "child", "code", "condition", "count", "detail", "elapsed_ms", "exit",
        "fault", "file", "host", "key", "kind", "lag_s", "limit", "line", "method", "model", "name", "node", "offset", "path",
        "peer", "pid", "port", "provider", "reason", "relay", "request", "restarts", "route", "seconds", "segment", "signal",
        "size", "state", "status", "url", "version", "wait_s", "workers",
    }
)  # fmt: skip

_LONGEST = 2000
_FRAMES = 12
_STRUCTURE = frozenset({"at", "level", "log", "event"})

_SHAPES = re.compile(
    r"(?P<lead>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"
    r"|(?P<head>\b(?:x-api-key|x-goog-api-key|api-key|authorization|cookie)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s\"',;]{4,}"
    r"|(?P<query>[?&](?:api_?key|key|token|access_token|signature|sig|code)=)[^&\s\"'#]+"
    r"|(?P<user>[a-z][a-z0-9+.-]*://)[^/\s\"'@]*@"
    r"|\b(?:sk|rk|pk|xai|gsk|hf|r8|fw|pplx|nvapi|ghp|whsec)[-_][A-Za-z0-9_-]{8,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    re.IGNORECASE,
)
_HIDDEN = "[redacted]"


class Redactor:
    """Replaces key shapes and known secrets in a text. `guard` may be called at any time, `clean` is called for every line."""

    __slots__ = ("_forms", "_known")

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._known: re.Pattern[str] | None = None

    def guard(self, secrets: Iterable[Secret]) -> None:
        """From now on these never appear: plain, URL-encoded, as JSON text, in hexadecimal, or inside a text that was base64-encoded."""
        for secret in secrets:
            self._forms.update(form for form in _forms(secret.reveal()) if len(form) >= 8)
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def clean(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(_HIDDEN, text)
        return _SHAPES.sub(_hide, text)


def _hide(found: re.Match[str]) -> str:
    kept = found.lastgroup and found.group(found.lastgroup)
    return f"{kept or ''}{_HIDDEN}{'@' if found.lastgroup == 'user' else ''}"


def _forms(plain: str) -> Iterable[str]:
    yield plain
    yield quote(plain)
    yield quote(plain, safe="")
    yield quote(quote(plain, safe=""), safe="")
    yield json.dumps(plain)[1:-1]
    yield json.dumps(plain, ensure_ascii=False)[1:-1]
    data = plain.encode()
    yield data.hex()
    for shift in range(3):
        # Inside a longer text (`user:secret`) base64 starts in one of three phases; characters that share bits with neighbours are cut off.
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[shift] : len(encoded) if (shift + len(data)) % 3 == 0 else -1]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


class Log:
    """A named voice. `event` is a short constant phrase; what varies goes into fields."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def info(self, event: str, **fields: Value) -> None:
        _sink.write("info", self._name, event, fields)

    def warning(self, event: str, **fields: Value) -> None:
        _sink.write("warning", self._name, event, fields)

    def error(self, event: str, **fields: Value) -> None:
        """Something a person should look at. A `fault` that is an exception brings its trace: places, never values."""
        _sink.write("error", self._name, event, fields)


class Sink:
    """Renders, redacts and writes lines to a file descriptor, each with one `write(2)` so that processes sharing it do not mix."""

    __slots__ = ("_descriptor", "_redactor", "_terminal")

    def __init__(self, descriptor: int, redactor: Redactor, *, terminal: bool) -> None:
        self._descriptor = descriptor
        self._redactor = redactor
        self._terminal = terminal

    def write(self, level: str, name: str, event: str, fields: dict[str, Value]) -> None:
        if self._terminal and level == "info":
            return  # A person at a terminal is told by `halley up` what happens; there, only what is wrong is added.
        written: dict[str, object] = {"at": _now(), "level": level, "log": name, "event": event}
        withheld = sorted(field for field in fields if field not in FIELDS)
        for field, value in fields.items():
            if field in FIELDS:
                written[field] = self._plain(value)
                if isinstance(value, BaseException) and level == "error":
                    written["trace"] = _trace(value)
        if withheld:
            written["withheld"] = withheld
        line = _for_terminal(written) if self._terminal else msgspec.json.encode(written).decode()
        try:
            os.write(self._descriptor, (self._redactor.clean(line) + "\n").encode("utf-8", "backslashreplace"))
        except OSError:
            return  # Nobody reads standard error any more; losing a log line must not end a relay.

    def _plain(self, value: Value) -> object:
        """Cleaned before it is encoded, because encoding could hide a secret from the last look at the whole line."""
        match value:
            case BaseException():
                return self._redactor.clean(f"{type(value).__name__}: {value}")[:_LONGEST]
            case str():
                return self._redactor.clean(value)[:_LONGEST]
            case tuple():
                return [self._redactor.clean(each)[:_LONGEST] for each in value]
            case _:
                return value


def _now() -> str:
    seconds = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


def _trace(fault: BaseException) -> list[str]:
    frames = traceback.extract_tb(fault.__traceback__)[-_FRAMES:]
    return [f"{'/'.join(frame.filename.split(os.sep)[-2:])}:{frame.lineno} {frame.name}" for frame in frames]


def _for_terminal(written: dict[str, object]) -> str:
    """`20:31:05 warning supervise  child ended  child=relay-0 exit=1`; control characters are escaped: no peer drives the terminal."""
    details = (f"{field}={_word(value)}" for field, value in written.items() if field not in _STRUCTURE)
    clock = str(written["at"])[11:19]
    event = _word(written["event"], quoted=False)
    return f"{clock} {written['level']:<7} {written['log']}  {event}  {' '.join(details)}".rstrip()


def _word(value: object, *, quoted: bool = True) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)
    return f'"{text}"' if quoted and " " in text else text


class _Adopted(logging.Handler):
    """Lines of libraries that use the standard `logging` (uvicorn, alembic), through the same sink and redactor."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else "info"
        fault = record.exc_info[1] if record.exc_info else None
        fields: dict[str, Value] = {"fault": fault} if fault is not None else {}
        _sink.write(level, record.name, record.getMessage()[:_LONGEST], fields)


_redactor = Redactor()
_sink = Sink(2, _redactor, terminal=sys.stderr is not None and sys.stderr.isatty())


def get(name: str) -> Log:
    """The voice of one module or process, such as `get("supervise")`."""
    return Log(name)


def guard(*secrets: Secret) -> None:
    """Tells the redactor of secrets that are alive in this process."""
    _redactor.guard(secrets)


def adopt(level: int = logging.WARNING) -> None:
    """Sends the standard library's `logging` here, from `level` on. Called once, at the start of a process whose libraries log."""
    root = logging.getLogger()
    root.handlers[:] = [_Adopted()]
    root.setLevel(level)
