"""Contracts as data: what a profile sends in each case and which checks its evidence must pass.

A check is a pure function of an `Evidence`; none looks at wording, length, latency, token counts or prices (seeds of the smoke test).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from halley.contract.evidence import UNREAD, Evidence, content, holds_content, items, member, members

Credential = Literal["given", "none", "invalid"]
INVALID_KEY = "sk-invalid-token-smoke-test"


class Check(msgspec.Struct, frozen=True):
    """`code` names the finding of a failure; `holds` is asked only if every check before it held."""

    code: str
    holds: Callable[[Evidence], bool]


class Case(msgspec.Struct, frozen=True):
    """`name` tells attempts apart; `test_case` is the word that the row uses."""

    name: str
    test_case: Literal["happy_path", "error_path"]
    credential: Credential
    checks: tuple[Check, ...]


class Profile(msgspec.Struct, frozen=True):
    name: str
    path: str
    summary: str
    happy: Case
    errors: tuple[Case, ...]

    def body(self, model: str) -> bytes:
        message = {"role": "user", "content": "Respond with the single word: pong"}
        return msgspec.json.encode({"model": model, "messages": [message], "stream": False})


def _content_is_text(evidence: Evidence) -> bool:
    text = content(evidence.value())
    return isinstance(text, str) and text != ""


ANSWERS = (
    Check("unexpected-status", lambda e: e.status == 200),
    Check("event-stream", lambda e: not e.is_event_stream()),
    Check("html-page", lambda e: not e.is_html()),
    Check("compressed-reply", lambda e: e.fields.get("content-encoding", "identity").lower() == "identity"),
    Check("not-json", lambda e: e.value() is not UNREAD),
    Check("content-type", Evidence.is_json_type),
    Check("error-with-200", lambda e: "error" not in members(e.value())),
    Check("no-choices", lambda e: isinstance(member(e.value(), "choices"), list)),
    Check("empty-choices", lambda e: bool(items(member(e.value(), "choices")))),
    Check("content-missing", _content_is_text),
)

REFUSES = (
    Check("html-page", lambda e: not e.is_html()),
    Check("bad-key-accepted", lambda e: e.status is None or not 200 <= e.status < 300),
    Check("unexpected-status", lambda e: e.status is not None and 400 <= e.status < 500),
    Check("compressed-reply", lambda e: e.fields.get("content-encoding", "identity").lower() == "identity"),
    Check("not-json", lambda e: e.value() is not UNREAD),
    Check("content-in-error", lambda e: not holds_content(e.value())),
    Check("error-shape", lambda e: bool(members(e.value()).keys() & {"error", "message"})),
)

PROFILES = {
    "chat": Profile(
        name="chat",
        path="/chat/completions",
        summary="messages_count=1, stream=false",
        happy=Case("happy path", "happy_path", "given", ANSWERS),
        errors=(
            Case("no credential", "error_path", "none", REFUSES),
            Case("invalid credential", "error_path", "invalid", REFUSES),
        ),
    )
}
