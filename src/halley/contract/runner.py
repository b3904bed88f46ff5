"""Runs one profile against one base URL: the model list, the happy path, then each error path, one attempt each, and makes the report.

It never retries and never follows; what it cannot see it says. The key leaves it only towards the base URL's own host.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from halley.contract import diagnosis, keep
from halley.contract.diagnosis import Finding
from halley.contract.evidence import UNREAD, Evidence, content, items, member, members
from halley.contract.exchange import Attempt, carry_out
from halley.contract.profiles import INVALID_KEY, Case, Profile
from halley.contract.records import Row, SmokeTestRun
from halley.secret import Secret

_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")

Environment = Literal["staging", "production", "local"]


class Plan(msgspec.Struct, frozen=True):
    base: str  # as given, without trailing slashes
    model: str
    key: Secret
    key_source: str
    profile: Profile
    environment: Environment
    timeout_s: float
    home: Path
    capture: bool


class Report(msgspec.Struct, frozen=True):
    run: SmokeTestRun
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    exit: int


class BadBase(ValueError):
    """A base URL that no request can be sent to; the message never repeats it, since it may hold a credential."""


def check_base(text: str) -> str:
    base = text.strip().rstrip("/")
    try:
        parts = urlsplit(base)
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        raise BadBase("the base URL is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadBase("the base URL must look like https://host or https://host/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BadBase("the base URL must have no credential, query or fragment")
    if not base.isascii() or any(c <= " " for c in base):
        raise BadBase("the base URL must be ASCII without blanks")
    for tail in ("/chat/completions", "/api/text/chat", "/api/text/responses"):
        if parts.path.endswith(tail):
            kind = "a documentation path" if tail.startswith("/api/text") else "an endpoint"
            raise BadBase(f"the base URL ends in {tail}, which is {kind}; leave that part out")
    return base


def endpoint_root(base: str) -> str:
    """The base with a version segment: one that has none gets /v1."""
    return base if re.fullmatch(r"v\d+[a-z0-9]*", base.rsplit("/", 1)[-1]) and urlsplit(base).path else f"{base}/v1"


def is_local(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def forewarnings(plan: Plan) -> list[str]:
    """Codes of what can be said before anything is sent."""
    key, codes = plan.key.reveal(), list[str]()
    if key != key.strip():
        codes.append("key-blank")
    if key.strip().lower().startswith("bearer "):
        codes.append("key-bearer-prefix")
    if key.strip()[:1] in ("'", '"'):
        codes.append("key-quoted")
    if "/v1/v1" in endpoint_root(plan.base):
        codes.append("doubled-v1")
    if (plan.environment == "local") != is_local(plan.base):
        codes.append("environment-mismatch")
    if plan.base.startswith("http:") and not is_local(plan.base):
        codes.append("plain-http")
    return codes


class _Judged(NamedTuple):
    """One attempt at a case: what came back, the row that says so, and whether the case holds."""

    evidence: Evidence
    row: Row
    holds: bool


class _Run:
    __slots__ = ("codes", "findings", "id", "number", "plan", "root", "say")

    def __init__(self, plan: Plan, run_id: str, say: Callable[[str], None]) -> None:
        self.plan, self.id, self.say = plan, run_id, say
        self.root = endpoint_root(plan.base)
        self.codes: list[str] = []
        self.findings: dict[Finding, None] = {}
        self.number = 0

    def note(self, found: Finding) -> None:
        if found not in self.findings:
            self.findings[found] = None
            self.say(f"{found.code}: {found.cause}. Fix: {found.fix}.")
        self.codes.append(found.code)

    async def attempt(self, name: str, method: str, path: str, credential: str | None, body: bytes) -> Evidence:
        self.number += 1
        fields = [("Accept", "application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "halley-smoke")]
        if body:
            fields.append(("Content-Type", "application/json"))
        if credential is not None:
            fields.append(("Authorization", f"Bearer {credential}"))
        return await carry_out(Attempt(name, method, self.root + path, tuple(fields), body), self.plan.timeout_s)

    def keep(self, evidence: Evidence) -> None:
        if not self.plan.capture or not (evidence.head or evidence.body):
            return
        try:
            path = keep.capture(self.plan.home, self.id, self.number, evidence, self.plan.key.reveal())
        except OSError:
            self.note(diagnosis.finding("capture-failed"))
        else:
            self.say(f"{evidence.case}: the reply is kept in {path}")

    async def judge(self, case: Case) -> _Judged:
        plan = self.plan
        credential = {"given": plan.key.reveal(), "none": None, "invalid": INVALID_KEY}[case.credential]
        evidence = await self.attempt(case.name, "POST", plan.profile.path, credential, plan.profile.body(plan.model))
        code, notes = diagnosis.failure(case, evidence), [case.name]
        if code:
            found = diagnosis.explain(code, evidence)
            found = Finding(found.code, self.masked(found.cause), found.fix)
            self.note(found)
            notes += [found.code, found.cause]
            self.keep(evidence)
        elif case.credential != "given" and evidence.status not in (401, 403):
            notes.append(f"refused with {evidence.status}, where 401 or 403 is usual")
        endpoint = self.masked(urlsplit(evidence.url).path)
        row = Row(self.id, evidence.started, endpoint, case.test_case, evidence.status, "fail" if code else "pass", "; ".join(notes))
        return _Judged(evidence, row, code is None)

    def masked(self, text: str) -> str:
        """Text of foreign origin without the key; a key under six characters would take ordinary words apart."""
        key = self.plan.key.reveal().strip()
        return text.replace(key, "[masked]") if len(key) >= 6 else text


async def run(plan: Plan, run_id: str, say: Callable[[str], None], warned: list[str]) -> Report:
    """`say` gets talk for people, `warned` are codes that the caller has already found. Raises nothing that the network can cause."""
    state = _Run(plan, run_id, say)
    for code in [*warned, *forewarnings(plan)]:
        state.note(diagnosis.finding(code))
    key = plan.key.reveal()
    listed = await state.attempt("model list", "GET", "/models", key, b"")
    advice = diagnosis.model_list(listed, plan.model)
    if advice:
        state.note(diagnosis.finding(advice))
    happy = await state.judge(plan.profile.happy)
    refusals = [await state.judge(case) for case in plan.profile.errors]
    if any(each.evidence.fault for each in (happy, *refusals)) and any(os.environ.get(name) for name in _PROXIES):
        state.note(diagnosis.finding("proxy-environment"))
    outcome = diagnosis.exit_code(state.codes)
    rows = (happy.row, *(each.row for each in refusals))
    return Report(_record(state, listed, happy, refusals, outcome), rows, tuple(state.findings), outcome)


def _record(state: _Run, listed: Evidence, happy: _Judged, refusals: Sequence[_Judged], outcome: int) -> SmokeTestRun:
    plan, value = state.plan, happy.evidence.value()
    text = content(value)
    bodies = [each.evidence.value() for each in refusals]
    return SmokeTestRun(
        run_id=state.id,
        timestamp_utc=happy.evidence.started,
        environment=plan.environment,
        endpoint_base=state.masked(plan.base),
        model_id_used=state.masked(plan.model),
        request_summary=plan.profile.summary,
        http_status=happy.evidence.status,
        response_structure_valid=happy.holds,
        choices_present=bool(items(member(value, "choices"))),
        content_non_empty=isinstance(text, str) and text != "",
        error_field_present="error" in members(value),
        auth_rejection_status=refusals[-1].evidence.status,
        auth_rejection_error_body_valid=all(body is not UNREAD and members(body).keys() & {"error", "message"} for body in bodies),
        pass_fail="PASS" if outcome == diagnosis.GO else "FAIL",
        notes="; ".join(_notes(state, listed, happy, refusals)),
    )


def _notes(state: _Run, listed: Evidence, happy: _Judged, refusals: Sequence[_Judged]) -> Iterator[str]:
    yield f"model list {listed.status or 'not seen'}"
    yield f"key from {state.plan.key_source}"
    yield "sent accept, accept-encoding, user-agent, content-type, authorization"
    yield from (each.row.notes for each in (happy, *refusals))
    if state.codes:
        yield "findings " + ", ".join(dict.fromkeys(state.codes))
    statuses = [str(each.evidence.status or "none") for each in refusals]
    if len(set(statuses)) > 1:
        yield "rejections " + " and ".join(statuses)
