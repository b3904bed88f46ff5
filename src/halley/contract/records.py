"""A run as a value: the two records of the templates, field by field, and the whole of it as it is kept. No key, prompt or body has a
field here."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.contract.choosing import Chosen
from halley.contract.findings import GO, TABLE, VERDICTS, Finding, worst
from halley.contract.surroundings import Surroundings


class Row(msgspec.Struct, frozen=True):
    run_id: str
    timestamp_utc: str
    endpoint: str
    test_case: str
    http_status: int | None
    outcome: str
    notes: str


class SmokeTestRun(msgspec.Struct, frozen=True):
    run_id: str
    timestamp_utc: str
    environment: str
    endpoint_base: str
    model_id_used: str
    request_summary: str
    http_status: int | None
    response_structure_valid: bool
    choices_present: bool
    content_non_empty: bool
    error_field_present: bool
    auth_rejection_status: int | None
    auth_rejection_error_body_valid: bool
    pass_fail: str
    notes: str


class Outcome(msgspec.Struct, frozen=True):
    """One case. `shape` is the fingerprint of the reply: paths with types, or the events of a stream."""

    contract: str
    case: str
    test_case: str
    method: str
    endpoint: str
    started: str
    status: int | None
    result: str
    """pass, fail, or not served"""
    code: str
    notes: str
    shape: tuple[str, ...] = ()


class NotRun(msgspec.Struct, frozen=True):
    contract: str
    reason: str


class Run(msgspec.Struct, frozen=True):
    """What is kept of a run, and what every report is made from."""

    run_id: str
    version: str
    command: str
    timestamp_utc: str
    profile: str
    verdict: str
    exit: int
    diagnosis: str
    """The finding that explains the verdict best; empty on a go."""
    surroundings: Surroundings
    models: tuple[Chosen, ...]
    outcomes: tuple[Outcome, ...]
    not_run: tuple[NotRun, ...]
    findings: tuple[Finding, ...]
    uncertainty: tuple[str, ...]
    smoke_test_run: SmokeTestRun
    rows: tuple[Row, ...]
    support_url: str = ""
    docs_url: str = ""

    def with_findings(self, more: Sequence[Finding]) -> Run:
        """The same run with what was found after its last attempt, its verdict and records made to agree."""
        if not more:
            return self
        found = tuple(dict.fromkeys((*self.findings, *more)))
        outcome = worst([self.exit, *(TABLE[each.code][0] for each in more)])
        record = msgspec.structs.replace(
            self.smoke_test_run,
            pass_fail="PASS" if outcome == GO else "FAIL",
            notes=f"{self.smoke_test_run.notes}; findings {', '.join(dict.fromkeys(each.code for each in more))}",
        )
        return msgspec.structs.replace(
            self, findings=found, exit=outcome, verdict=VERDICTS[outcome], smoke_test_run=record,
            diagnosis=self.diagnosis if outcome == self.exit else next(each.code for each in more if TABLE[each.code][0] == outcome),
        )  # fmt: skip


def _scalar(value: object) -> str:
    # A JSON string is a YAML double-quoted scalar, once the characters that YAML does not allow raw are escaped too.
    text = msgspec.json.encode(value).decode()
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def yaml(run: SmokeTestRun) -> str:
    fields = (f"  {name}: {_scalar(getattr(run, name))}\n" for name in run.__struct_fields__)
    return "smoke_test_run:\n" + "".join(fields)


def lines(rows: tuple[Row, ...]) -> str:
    return "".join(msgspec.json.encode(row).decode() + "\n" for row in rows)
