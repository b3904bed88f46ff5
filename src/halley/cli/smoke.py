"""`halley smoke`: a go/no-go check of any base URL. Records on stdout, talk on stderr, the verdict as exit code; no flag takes a key."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click
import msgspec

from halley import config
from halley.contract import diagnosis, keep, records, runner
from halley.contract.diagnosis import Finding
from halley.contract.profiles import PROFILES
from halley.secret import Secret

KEY_VARIABLES = ("COMETAPI_KEY", "COMET_API_KEY", "HALLEY_API_KEY")


class Document(msgspec.Struct, frozen=True):
    smoke_test_run: records.SmokeTestRun
    rows: tuple[records.Row, ...]
    verdict: str
    findings: tuple[Finding, ...]


def _key() -> tuple[Secret, str, list[str]]:
    """The key, where it came from, and codes of what is odd about that."""
    held = [(name, os.environ[name]) for name in KEY_VARIABLES if os.environ.get(name)]
    if held:
        name, text = held[0]
    elif not sys.stdin.isatty():
        name, text = "stdin", sys.stdin.readline(65536).rstrip("\r\n")
    else:
        name, text = "", ""
    if not text.strip():
        raise click.UsageError(f"no key: set one of {', '.join(KEY_VARIABLES)} or send the key on standard input")
    if any(not " " <= character <= "~" and character != "\t" for character in text):
        raise click.UsageError(f"the key from {name} has a line break or another character that no header may hold")
    return Secret(text), name, ["several-keys"] if len({value for _, value in held}) > 1 else []


def _records(values: tuple[str, ...]) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for value in values:
        shape, equals, path = value.partition("=")
        if shape not in ("rows", "yaml") or not equals or not path:
            raise click.UsageError("--record takes rows=FILE or yaml=FILE")
        if not Path(path).absolute().parent.is_dir():
            raise click.UsageError(f"--record {shape}: the directory of that file does not exist")
        found.append((shape, Path(path)))
    return found


def _append(path: Path, text: str) -> None:
    # One write to a file opened for appending keeps the records of parallel runs whole.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


@click.command()
@click.option("--base-url", envvar="COMETAPI_BASE_URL", required=True, help="API address, with or without /v1.")
@click.option("--model", envvar="COMETAPI_MODEL", required=True, help="Model id to ask.")
@click.option("--profile", type=click.Choice(sorted(PROFILES)), default="chat", show_default=True, help="Contract to check.")
@click.option(
    "--environment", type=click.Choice(["staging", "production", "local"]), default=None, help="Recorded; by default local for loopback."
)
@click.option("--record", multiple=True, metavar="rows=FILE|yaml=FILE", help="Also append that record to a file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the two records.")
@click.option("--no-capture", is_flag=True, help="Keep no raw reply of a failed check.")
@click.option("--timeout", type=click.FloatRange(0.1, 3600), default=60.0, show_default=True, help="Seconds for each attempt.")
def smoke(
    base_url: str,
    model: str,
    profile: str,
    environment: runner.Environment | None,
    record: tuple[str, ...],
    as_json: bool,
    no_capture: bool,
    timeout: float,
) -> None:
    """Check that an endpoint answers a good key and refuses a bad one. The key comes from the environment or standard input."""
    try:
        base = runner.check_base(base_url)
    except runner.BadBase as error:
        raise click.UsageError(str(error)) from None
    targets, (key, source, codes) = _records(record), _key()
    home = config.home(os.environ)
    try:
        run_id = keep.reserve_run(home)
    except OSError:
        click.echo("HALLEY_HOME is not writable: a run could not be numbered nor its evidence kept", err=True)
        raise SystemExit(diagnosis.MISSING) from None
    plan = runner.Plan(
        base=base, model=model, key=key, key_source=source, profile=PROFILES[profile],
        environment=environment or ("local" if runner.is_local(base) else "production"),
        timeout_s=timeout, home=home, capture=not no_capture,
    )  # fmt: skip
    report = asyncio.run(runner.run(plan, run_id, lambda text: click.echo(text, err=True), codes))
    outcome, findings = report.exit, report.findings
    shapes = {"yaml": "---\n" + records.yaml(report.run), "rows": records.lines(report.rows)}
    for shape, path in targets:
        try:
            _append(path, shapes[shape])
        except OSError:
            findings = (*findings, diagnosis.finding("record-failed"))
            outcome = outcome or diagnosis.MISSING
            click.echo(f"record-failed: the {shape} record could not be written", err=True)
    verdict = diagnosis.VERDICTS[outcome]
    if as_json:
        click.echo(msgspec.json.encode(Document(report.run, report.rows, verdict, findings)).decode())
    else:
        click.echo(records.yaml(report.run) + records.lines(report.rows), nl=False)
    click.echo(f"verdict: {verdict}", err=True)
    raise SystemExit(outcome)
