"""What Halley says while it runs: one JSON object per line on standard error; to a terminal, a readable line for what is wrong only.

Only fields of the allow-list `FIELDS` are written: bodies, prompts, headers and keys have no field, so they cannot be logged. Of an
exception its class and the places of its trace are told; its words only where they are Halley's own or the system's, because those of any
other may quote what was being worked on. What is written still passes a redactor for key shapes and for every live secret that `guard` was
told of, and after `adopt` so does whatever the process writes to `sys.stderr`. Nothing here is called for a request that succeeds: its
journal record is its log row.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Final

import msgspec

from halley.errors import HalleyError
from halley.redaction import Redactor
from halley.secret import Secret, SecretBytes

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
_CAUSES = 4
_STRUCTURE = frozenset({"at", "level", "log", "event"})


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
                return self._redactor.clean(_told(value))[:_LONGEST]
            case str():
                return self._redactor.clean(value)[:_LONGEST]
            case tuple():
                return [self._redactor.clean(each)[:_LONGEST] for each in value]
            case _:
                return value


def _now() -> str:
    seconds = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


def _told(fault: BaseException) -> str:
    """The class of an exception, and what it says if that can be nothing from outside."""
    kind = type(fault).__name__
    if isinstance(fault, HalleyError):
        return f"{kind}: {fault}"
    if isinstance(fault, OSError):
        return f"{kind}: {fault.strerror}" if fault.strerror else kind
    # A database's own name for what went wrong (SQLITE_FULL, 40001), whose sentence would bring the statement along.
    code = getattr(getattr(fault, "orig", fault), "sqlite_errorname", None) or getattr(getattr(fault, "orig", fault), "sqlstate", None)
    return f"{kind}: {code}" if isinstance(code, str) else kind


def _trace(fault: BaseException) -> list[str]:
    """Where it was raised, the innermost last; then what caused it, likewise."""
    first, *causes = _chain(fault)
    return _places(first) + [line for cause in causes for line in (f"because of {_told(cause)}", *_places(cause))]


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    """The exception and what caused it, the nearest first."""
    for _ in range(_CAUSES):
        if fault is None:
            return
        yield fault
        fault = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)


def _places(fault: BaseException) -> list[str]:
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
    """Lines of libraries that use the standard `logging` (asyncio, uvicorn, alembic), through the same sink and redactor.

    What they say is the first line of their own words: arguments, and asyncio's further lines, are representations of what was worked on.
    """

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else "info"
        fault = record.exc_info[1] if record.exc_info else None
        fields: dict[str, Value] = {"fault": fault} if fault is not None else {}
        _sink.write(level, record.name, _redactor.clean(str(record.msg).strip().partition("\n")[0])[:_LONGEST], fields)


class Filtered(io.TextIOBase):
    """A standard error whose lines are redacted before they are written, each with one `write(2)`."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, descriptor: int, redactor: Redactor) -> None:
        self._descriptor = descriptor
        self._redactor = redactor
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str, /) -> int:
        with self._lock:
            whole, line_end, self._begun = (self._begun + text).rpartition("\n")
            self._put(whole + line_end)
        return len(text)

    def flush(self) -> None:
        with self._lock:
            begun, self._begun = self._begun, ""
            self._put(begun)

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def _put(self, text: str) -> None:
        if text:
            try:
                os.write(self._descriptor, self._redactor.clean(text).encode("utf-8", "backslashreplace"))
            except OSError:
                return  # as in `Sink`: nobody reads it any more


_redactor = Redactor()
_sink = Sink(2, _redactor, terminal=sys.stderr is not None and sys.stderr.isatty())


def get(name: str) -> Log:
    """The voice of one module or process, such as `get("supervise")`."""
    return Log(name)


def guard(*secrets: Secret | SecretBytes) -> None:
    """Tells the redactor of secrets that are alive in this process."""
    _redactor.guard(secrets)


def clean(text: str) -> str:
    """A text for a person without what must not be seen."""
    return _redactor.clean(text)


def adopt(level: int = logging.WARNING) -> None:
    """Everything this process says goes through the sink from now on: the standard library's `logging` from `level` on, exceptions that
    nobody caught, and whatever is printed to standard error. Called once, before anything else is imported that might speak."""
    root = logging.getLogger()
    root.handlers[:] = [_Adopted()]
    root.setLevel(level)
    if sys.stderr is not None and not isinstance(sys.stderr, Filtered):
        sys.stderr.flush()
        sys.stderr = Filtered(2, _redactor)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _lost_thread


def _uncaught(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    del kind, trace
    _sink.write("error", "halley", "a bug ended the process", {"fault": fault})


def _unraisable(seen: sys.UnraisableHookArgs) -> None:
    _sink.write("error", "halley", "an exception where none can be raised", {"fault": seen.exc_value})


def _lost_thread(seen: threading.ExceptHookArgs) -> None:
    if not isinstance(seen.exc_value, SystemExit):
        _sink.write("error", "halley", "a bug ended a thread", {"fault": seen.exc_value})
