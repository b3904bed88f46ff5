"""What an answer of the simulator does wrong, as a value: from a model's name, from a TOML file, or from the control port.

`sim/` names are made of parts joined by `+`: `sim/tokens-200+slow-50ms+cut-at-512`. Nothing here does I/O except `read_file`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from halley.errors import HalleyError


class BadScript(HalleyError):
    """A script file or a script sent to the control port does not say what it should."""


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one model answers. Chunk counts are pieces of output; byte counts are of the body, before HTTP framing."""

    answer: Literal["echo", "words"] = "echo"
    tokens: int | None = None
    reasoning_tokens: int = 0
    head_delay_ms: float = 0.0
    chunk_delay_ms: float = 0.0
    write_bytes: int | None = None
    status: int = 200
    headers: dict[str, str] = {}
    html: bool = False
    echo_key: bool = False
    """Puts the credential it was sent into its error message, to see whether the gateway lets it through."""
    cut_at: int | None = None
    stall_after: int | None = None
    error_frame_after: int | None = None
    reset_after_head: bool = False
    usage: Literal["right", "none", "wrong", "each-chunk", "nulls"] = "right"
    bad_json: bool = False
    framing: Literal["asked", "sse", "json"] = "asked"
    finish: bool = True
    crlf: bool = False
    empty_choices: bool = False
    eof_body: bool = False
    early_close: bool = False
    """Closes the connection after the answer without having said so."""
    bills_to_end: bool = False
    """A caller that hangs up pays for the whole answer, as at providers that cannot cancel."""
    sequence: tuple[Script, ...] = ()
    """The first calls take these in turn; later ones take the script itself."""

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError(f"status must be between 200 and 599, not {self.status}")
        if self.write_bytes is not None and self.write_bytes < 1:
            raise ValueError("write_bytes must be at least 1")
        if min(self.head_delay_ms, self.chunk_delay_ms) < 0:
            raise ValueError("a delay cannot be negative")


Change = dict[str, object]

_PARTS: tuple[tuple[str, Callable[[list[str]], Change]], ...] = (
    (r"echo", lambda _: {"answer": "echo"}),
    (r"tokens-(\d{1,6})", lambda n: {"answer": "words", "tokens": int(n[0])}),
    (r"reasoner", lambda _: {"reasoning_tokens": 12}),
    (r"slow-(\d{1,6})ms", lambda n: {"chunk_delay_ms": float(n[0])}),
    (r"head-delay-(\d{1,6})ms", lambda n: {"head_delay_ms": float(n[0])}),
    (r"write-([1-9]\d{0,5})", lambda n: {"write_bytes": int(n[0])}),
    (r"one-byte-writes", lambda _: {"write_bytes": 1}),
    (r"stall-after-(\d{1,6})", lambda n: {"stall_after": int(n[0])}),
    (r"cut-at-(\d{1,9})", lambda n: {"cut_at": int(n[0])}),
    (r"status-([2-5]\d\d)", lambda n: {"status": int(n[0])}),
    (r"html-([2-5]\d\d)", lambda n: {"status": int(n[0]), "html": True}),
    (r"retry-after-(\d{1,6})", lambda n: {"headers": {"retry-after": n[0]}}),
    (r"echo-key", lambda _: {"echo_key": True}),
    (r"bad-json", lambda _: {"bad_json": True}),
    (r"no-usage", lambda _: {"usage": "none"}),
    (r"wrong-usage", lambda _: {"usage": "wrong"}),
    (r"usage-each-chunk", lambda _: {"usage": "each-chunk"}),
    (r"usage-nulls", lambda _: {"usage": "nulls"}),
    (r"sse-anyway", lambda _: {"framing": "sse"}),
    (r"json-anyway", lambda _: {"framing": "json"}),
    (r"error-frame-after-(\d{1,6})", lambda n: {"error_frame_after": int(n[0])}),
    (r"reset-after-head", lambda _: {"reset_after_head": True}),
    (r"no-finish", lambda _: {"finish": False}),
    (r"crlf", lambda _: {"crlf": True}),
    (r"empty-choices", lambda _: {"empty_choices": True}),
    (r"eof-body", lambda _: {"eof_body": True}),
    (r"early-close", lambda _: {"early_close": True}),
    (r"bills-to-end", lambda _: {"bills_to_end": True}),
    (r"fail-(\d{1,3})", lambda n: {"sequence": [{"status": 500}] * int(n[0])}),
    (r"fail-(\d{1,3})-with-([45]\d\d)", lambda n: {"sequence": [{"status": int(n[1])}] * int(n[0])}),
    # Says nothing: tests that count calls give their model a name of its own with it.
    (r"id-\w+", lambda _: {}),
)

LISTED = ("sim/echo", "sim/tokens-200", "sim/reasoner")
"""The `sim/` names that the model list shows; the others are made by combining parts."""


def read_name(model: str) -> Script | None:
    """The script that a `sim/` name spells; None when it is not such a name or a part of it is unknown."""
    prefix, _, parts = model.partition("/")
    if prefix != "sim":
        return None
    changes: Change = {}
    for part in parts.split("+"):
        for pattern, change in _PARTS:
            if found := re.fullmatch(pattern, part):
                changes |= change(list(found.groups()))
                break
        else:
            return None
    try:
        return msgspec.convert(changes, Script)
    except msgspec.ValidationError:
        return None


def read_json(body: bytes) -> Script:
    """Raises BadScript naming the field."""
    try:
        return msgspec.json.decode(body, type=Script)
    except msgspec.DecodeError as fault:
        raise BadScript(f"The script is not usable: {fault}.") from fault


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[str, Script]


def read_file(path: Path) -> dict[str, Script]:
    """Scripts by model name from `[models."NAME"]` tables; the name `*` answers for every other model. Raises BadScript."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=_File).models
    except (OSError, msgspec.DecodeError) as fault:
        raise BadScript(f"{path} is not a usable script file: {fault}.") from fault


class Scripts:
    """The scripts in force, and how often each model was called (what `sequence` counts)."""

    __slots__ = ("_calls", "_named")

    def __init__(self, named: dict[str, Script]) -> None:
        self._named = dict(named)
        self._calls: dict[str, int] = {}

    def names(self) -> list[str]:
        return [*LISTED, *(name for name in self._named if name != "*" and name not in LISTED)]

    def put(self, model: str, script: Script) -> None:
        self._named[model] = script
        self._calls.pop(model, None)

    def drop(self, model: str) -> None:
        self._named.pop(model, None)
        self._calls.pop(model, None)

    def forget_calls(self) -> None:
        self._calls.clear()

    def knows(self, model: str) -> bool:
        return model in self._named or "*" in self._named or read_name(model) is not None

    def take(self, model: str) -> Script | None:
        """The script for this call of `model`; counts the call."""
        script = self._named.get(model) or read_name(model) or self._named.get("*")
        if script is None or not script.sequence:
            return script
        call = self._calls.get(model, 0)
        self._calls[model] = call + 1
        return script.sequence[call] if call < len(script.sequence) else script
