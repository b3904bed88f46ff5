"""From the outcomes of a run to its `smoke_test_run` record and to the one finding that explains its verdict best. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from halley.contract import findings
from halley.contract.evidence import UNREAD, content, items, member, members
from halley.contract.records import SmokeTestRun
from halley.contract.session import Done, Judged, Session

_SLIPS = ("key-bearer-prefix", "key-quoted", "key-blank")


def diagnosis(codes: Sequence[str]) -> str:
    """The code behind the exit code. A slip that was seen in the key explains its refusal; a doubled /v1 explains that nothing is there."""
    outcome = findings.exit_code(codes)
    if outcome == findings.GO:
        return ""
    named = next(code for code in codes if findings.TABLE[code][0] == outcome)
    if named in ("key-refused", "header-name"):
        return next((slip for slip in _SLIPS if slip in codes), named)
    return "doubled-v1" if named in ("wrong-base-url", "website") and "doubled-v1" in codes else named


def template(session: Session, done: Mapping[str, Done], started: str, outcome: int) -> SmokeTestRun:
    """The first contract of the run in the fields of the template."""
    plan = session.plan
    gate = next(iter(done.values()))
    happy = next(iter(gate.judged), None)
    refusals = [each for each in gate.judged if each.outcome.test_case == "error_path"]
    value = happy.evidence.value() if happy else UNREAD
    text = content(value)
    bodies = [each.evidence.value() for each in refusals]
    return SmokeTestRun(
        run_id=session.id,
        timestamp_utc=happy.evidence.started if happy else started,
        environment=plan.environment,
        endpoint_base=session.masked(plan.base),
        model_id_used=session.masked(session.model(gate.contract)),
        request_summary=_summary(gate),
        http_status=happy.evidence.status if happy else None,
        response_structure_valid=happy is not None and happy.outcome.result == "pass",
        choices_present=bool(items(member(value, "choices"))),
        content_non_empty=isinstance(text, str) and text != "",
        error_field_present=bool(members(value).get("error")),
        auth_rejection_status=refusals[-1].evidence.status if refusals else None,
        auth_rejection_error_body_valid=bool(bodies) and all(members(body).keys() & {"error", "message"} for body in bodies),
        pass_fail="PASS" if outcome == findings.GO else "FAIL",
        notes="; ".join(_notes(session, done, refusals)),
    )


def _summary(gate: Done) -> str:
    return "messages_count=1, stream=false" if gate.contract.name == "chat" else f"contract={gate.contract.name}"


def _notes(session: Session, done: Mapping[str, Done], refusals: Sequence[Judged]) -> Iterator[str]:
    yield f"model list {(session.listed.status if session.listed else None) or 'not seen'}"
    yield f"key from {session.plan.key_source}"
    yield f"sent {', '.join(sorted(session.headers))}"
    yield from (each.outcome.notes for every in done.values() for each in every.judged)
    yield from (f"{name} not run: {every.reason}" for name, every in done.items() if every.reason and not every.judged)
    if session.codes:
        yield "findings " + ", ".join(dict.fromkeys(session.codes))
    statuses = [str(each.evidence.status or "none") for each in refusals]
    if len(set(statuses)) > 1:
        yield "rejections " + " and ".join(statuses)
