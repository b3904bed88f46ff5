"""The two records, field by field, as the smoke test guides print them; this list is theirs, not the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from halley.contract.records import Row, SmokeTestRun
from tests.contract.gateways import HEALTHY, gateway
from tests.contract.servers import GOOD_KEY, reply, serving
from tests.contract.test_contract import cli

MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
RUN_ID = re.compile(r"smoke-\d{8}-\d{3}")


def is_status(value: object) -> bool:
    return value is None or (type(value) is int and 100 <= value <= 999)


def is_note(value: object) -> bool:
    return isinstance(value, str) and value != "" and GOOD_KEY not in value and "\n" not in value


def is_moment(value: object) -> bool:
    return isinstance(value, str) and MOMENT.fullmatch(value) is not None


def is_id(value: object) -> bool:
    return isinstance(value, str) and RUN_ID.fullmatch(value) is not None


FLAT = {
    "run_id": is_id,
    "timestamp_utc": is_moment,
    "endpoint": lambda value: isinstance(value, str) and value.startswith("/"),
    "test_case": lambda value: value in ("happy_path", "error_path"),
    "http_status": is_status,
    "outcome": lambda value: value in ("pass", "fail"),
    "notes": is_note,
}
DOCUMENT = {
    "run_id": is_id,
    "timestamp_utc": is_moment,
    "environment": lambda value: value in ("staging", "production", "local"),
    "endpoint_base": lambda value: isinstance(value, str) and value.startswith("http"),
    "model_id_used": lambda value: isinstance(value, str),
    "request_summary": lambda value: value == "messages_count=1, stream=false",
    "http_status": is_status,
    "response_structure_valid": lambda value: type(value) is bool,
    "choices_present": lambda value: type(value) is bool,
    "content_non_empty": lambda value: type(value) is bool,
    "error_field_present": lambda value: type(value) is bool,
    "auth_rejection_status": is_status,
    "auth_rejection_error_body_valid": lambda value: type(value) is bool,
    "pass_fail": lambda value: value in ("PASS", "FAIL"),
    "notes": is_note,
}


def test_the_records_have_the_fields_of_the_guides_in_their_order() -> None:
    assert (Row.__struct_fields__, SmokeTestRun.__struct_fields__) == (tuple(FLAT), tuple(DOCUMENT))


@pytest.mark.parametrize(
    "answer",
    [
        gateway(),
        gateway(chat=reply(502, "<html>", kind="text/html")),
        gateway(models=HEALTHY["nothing"], catalogue=HEALTHY["nothing"]),
        lambda _: b"",
        lambda request: HEALTHY["chat"],
        lambda request: reply(999, ""),
    ],
    ids=["go", "proxy", "no model", "nothing", "any key", "status 999"],
)
@pytest.mark.parametrize("model", [(), ("--model", "m")], ids=["chosen", "named"])
def test_every_value_of_both_records_is_of_its_kind(answer: Any, model: tuple[str, ...], tmp_path: Path) -> None:
    targets = ("--record", f"rows={tmp_path}/rows", "--record", f"yaml={tmp_path}/yaml", "--record", f"jsonl={tmp_path}/jsonl")
    with serving(answer) as url:
        result = cli(tmp_path, "run", "--base-url", url, "--contract", "chat", *model, *targets, http_proxy=None, HTTP_PROXY=None)
    first, *lines = (tmp_path / "yaml").read_text().splitlines()[1:]
    assert first == "smoke_test_run:"
    document = {name: json.loads(value) for name, _, value in (line.strip().partition(": ") for line in lines)}
    assert list(document) == list(DOCUMENT)
    assert [name for name, is_right in DOCUMENT.items() if not is_right(document[name])] == []
    assert document["pass_fail"] == ("FAIL" if result.exit_code else "PASS")
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [name for row in rows for name, is_right in FLAT.items() if list(row) != list(FLAT) or not is_right(row[name])] == []
    assert len(rows) == (0 if result.exit_code == 3 else len(rows) or -1)


def test_lists_grow_and_a_document_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    shapes = ("yaml", "rows", "jsonl", "junit", "markdown", "html")
    records = [word for shape in shapes for word in ("--record", f"{shape}={tmp_path / shape}")]
    for _ in range(2):
        assert cli(tmp_path / "home", "run", "--mock", "--contract", "chat", *records).exit_code == 0
    written = {shape: (tmp_path / shape).read_text() for shape in shapes}
    assert (written["yaml"].count("smoke_test_run:"), written["rows"].count("\n"), written["jsonl"].count('"event":"run"')) == (2, 6, 2)
    assert len(ElementTree.fromstring(written["junit"])) == 3
    assert (written["markdown"].count("# Contract report"), written["html"].count("<!doctype html>")) == (1, 1)


def test_a_record_that_the_device_has_no_room_for_is_a_finding(tmp_path: Path) -> None:
    result = cli(tmp_path, "run", "--mock", "--contract", "chat", "--record", "html=/dev/full")
    assert result.exit_code == 3 and "record-failed: the html record could not be written" in result.stderr
