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

    answer: Literal["echo", "words", "ask", "head"] = "echo"
    """`ask` repeats the body as it came, `head` the request's line and fields; both as JSON with sorted keys."""
    tokens: int | None = None
    reasoning_tokens: int = 0
    redacted: bool = False
    """Thinks something that it keeps to itself: only a seal is given."""
    tool: str | None = None
    calls: int = 1
    rounds: int = 1
    """How often tools are called before the answer that quotes their results."""
    no_tools: bool = False
    preamble: bool = False
    """Says something before it calls."""
    arguments: Literal["schema", "said", "called", "empty", "long", "broken"] = "schema"
    """`said` takes the last JSON object of what the user said, so that a prompt can have a real tool do real work; `called` what stands in
    a call as it is written, `NAME(3)`, or in quotes, and the schema's own where nobody said it."""
    argument_length: int = 4096
    fragment: int = 8
    """Characters in one piece of JSON."""
    cite: bool = False
    ending: Literal["natural", "length", "stop-sequence", "refusal", "filter", "blocked", "failed"] = "natural"
    """`failed` is an ending of Responses only: a response whose status is failed. Elsewhere it is natural."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_prompt_tokens: int = 0
    audio_completion_tokens: int = 0
    strict: bool = False
    """Refuses what only the strictest models of a dialect refuse: unknown fields in chat, a missing thought signature in Gemini."""
    head_delay_ms: float = 0.0
    chunk_delay_ms: float = 0.0
    closing_delay_ms: float = 0.0
    """Before each frame that follows the last piece of output, and before the end of the body."""
    halves: bool = False
    """The wait of a piece stands in the middle of its frame, not before it."""
    write_bytes: int | None = None
    status: int = 200
    headers: dict[str, str] = {}
    html: bool = False
    echo_key: bool = False
    """Puts the credential it was sent into its error message, to see whether the gateway lets it through."""
    cut_at: int | None = None
    stall_after: int | None = None
    cut_after: int | None = None
    """Ends the connection after so many pieces."""
    error_frame_after: int | None = None
    garbage_after: int | None = None
    """A line that is no frame after so many pieces; the stream goes on."""
    comments: bool = False
    pings: bool = False
    unknown_events: bool = False
    reset_after_head: bool = False
    usage: Literal["right", "none", "wrong", "each-chunk", "nulls", "early", "late"] = "right"
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
        if self.fragment < 1 or self.calls < 1 or self.rounds < 1:
            raise ValueError("fragment, calls and rounds must be at least 1")
        if min(self.head_delay_ms, self.chunk_delay_ms, self.closing_delay_ms) < 0:
            raise ValueError("a delay cannot be negative")


Change = dict[str, object]

PARTS: tuple[tuple[str, Callable[[list[str]], Change]], ...] = (
    (r"echo", lambda _: {"answer": "echo"}),
    (r"tokens-(\d{1,6})", lambda n: {"answer": "words", "tokens": int(n[0])}),
    (r"echo-ask", lambda _: {"answer": "ask"}),
    (r"echo-head", lambda _: {"answer": "head"}),
    (r"reasoner", lambda _: {"reasoning_tokens": 12}),
    (r"think-(\d{1,6})", lambda n: {"reasoning_tokens": int(n[0])}),
    (r"redacted", lambda _: {"redacted": True}),
    (r"tool-([\w.:-]{1,128})", lambda n: {"tool": n[0]}),
    (r"calls-([1-9]\d?)", lambda n: {"calls": int(n[0])}),
    (r"rounds-([1-9]\d?)", lambda n: {"rounds": int(n[0])}),
    (r"no-tools", lambda _: {"no_tools": True}),
    (r"preamble", lambda _: {"preamble": True}),
    (r"args-said", lambda _: {"arguments": "said"}),
    (r"args-called", lambda _: {"arguments": "called"}),
    (r"args-empty", lambda _: {"arguments": "empty"}),
    (r"args-broken", lambda _: {"arguments": "broken"}),
    (r"args-long-(\d{1,7})", lambda n: {"arguments": "long", "argument_length": int(n[0])}),
    (r"fragment-([1-9]\d{0,5})", lambda n: {"fragment": int(n[0])}),
    (r"cite", lambda _: {"cite": True}),
    (r"length", lambda _: {"ending": "length"}),
    (r"stop-sequence", lambda _: {"ending": "stop-sequence"}),
    (r"refusal", lambda _: {"ending": "refusal"}),
    (r"filter", lambda _: {"ending": "filter"}),
    (r"blocked", lambda _: {"ending": "blocked"}),
    (r"fails", lambda _: {"ending": "failed"}),
    (r"cached-(\d{1,7})", lambda n: {"cached_tokens": int(n[0])}),
    (r"cache-write-(\d{1,7})", lambda n: {"cache_write_tokens": int(n[0])}),
    (r"cache-write-1h-(\d{1,7})", lambda n: {"cache_write_1h_tokens": int(n[0])}),
    (r"audio-in-(\d{1,7})", lambda n: {"audio_prompt_tokens": int(n[0])}),
    (r"audio-out-(\d{1,7})", lambda n: {"audio_completion_tokens": int(n[0])}),
    (r"strict", lambda _: {"strict": True}),
    (r"slow-(\d{1,6})ms", lambda n: {"chunk_delay_ms": float(n[0])}),
    (r"head-delay-(\d{1,6})ms", lambda n: {"head_delay_ms": float(n[0])}),
    (r"closing-(\d{1,6})ms", lambda n: {"closing_delay_ms": float(n[0])}),
    (r"halves", lambda _: {"halves": True}),
    (r"write-([1-9]\d{0,5})", lambda n: {"write_bytes": int(n[0])}),
    (r"one-byte-writes", lambda _: {"write_bytes": 1}),
    (r"stall-after-(\d{1,6})", lambda n: {"stall_after": int(n[0])}),
    (r"cut-at-(\d{1,9})", lambda n: {"cut_at": int(n[0])}),
    (r"cut-after-(\d{1,6})", lambda n: {"cut_after": int(n[0])}),
    (r"garbage-after-(\d{1,6})", lambda n: {"garbage_after": int(n[0])}),
    (r"comments", lambda _: {"comments": True}),
    (r"pings", lambda _: {"pings": True}),
    (r"unknown-events", lambda _: {"unknown_events": True}),
    (r"status-([2-5]\d\d)", lambda n: {"status": int(n[0])}),
    (r"html-([2-5]\d\d)", lambda n: {"status": int(n[0]), "html": True}),
    (r"retry-after-(\d{1,6})", lambda n: {"headers": {"retry-after": n[0]}}),
    (r"echo-key", lambda _: {"echo_key": True}),
    (r"bad-json", lambda _: {"bad_json": True}),
    (r"no-usage", lambda _: {"usage": "none"}),
    (r"wrong-usage", lambda _: {"usage": "wrong"}),
    (r"usage-each-chunk", lambda _: {"usage": "each-chunk"}),
    (r"usage-nulls", lambda _: {"usage": "nulls"}),
    (r"usage-early", lambda _: {"usage": "early"}),
    (r"usage-late", lambda _: {"usage": "late"}),
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
        for pattern, change in PARTS:
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
