"""`halley smoke`: a go/no-go check of any base URL. Records on stdout, talk on stderr, the verdict as exit code; no flag takes a key."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from halley.cli import tester
from halley.contract import records
from halley.contract.findings import Finding


class Document(msgspec.Struct, frozen=True):
    smoke_test_run: records.SmokeTestRun
    rows: tuple[records.Row, ...]
    verdict: str
    findings: tuple[Finding, ...]


@click.command()
@tester.options
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the two records.")
def smoke(*, as_json: bool, profile: str | None, **given: Any) -> None:
    """Check that an endpoint answers a good key and refuses a bad one. The key comes from the environment or standard input.

    Exit code: 0 go, 1 contract broken, 2 usage, 3 evidence missing, 4 the key was refused, 5 network or proxy, 6 a bad key was accepted.
    """
    run = tester.carry_out(tester.Asked(**given), profile or "chat")
    if as_json:
        text = msgspec.json.encode(Document(run.smoke_test_run, run.rows, run.verdict, run.findings)).decode() + "\n"
    else:
        text = records.yaml(run.smoke_test_run) + records.lines(run.rows)
    run = run.with_findings(tester.put(text))
    if tester.is_terminal(sys.stdout):  # the records stand between what was said while it ran and the verdict
        tester.say("\n".join(tester.explained(run)) or "nothing is wrong")
    tester.say(f"verdict: {run.verdict}{f' ({run.diagnosis})' if run.diagnosis else ''}")
    raise SystemExit(run.exit)
