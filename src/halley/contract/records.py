"""The two records of a run, field by field as their templates have them and in writing. No key, prompt or body has a field here."""

from __future__ import annotations

import msgspec


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


def _scalar(value: object) -> str:
    # A JSON string is a YAML double-quoted scalar, once the characters that YAML does not allow raw are escaped too.
    text = msgspec.json.encode(value).decode()
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def yaml(run: SmokeTestRun) -> str:
    fields = (f"  {name}: {_scalar(getattr(run, name))}\n" for name in run.__struct_fields__)
    return "smoke_test_run:\n" + "".join(fields)


def lines(rows: tuple[Row, ...]) -> str:
    return "".join(msgspec.json.encode(row).decode() + "\n" for row in rows)
