"""`halley contract`: run contracts against any endpoint, keep the runs, and tell two runs or two endpoints apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from halley import config
from halley.cli import tester
from halley.contract import difference, findings, keep
from halley.contract.profiles import CONTRACTS, PROFILES
from halley.contract.records import Run


@click.group()
def contract() -> None:
    """Prove that an endpoint keeps its contracts, and tell two runs or two endpoints apart."""


def _print_json(value: object) -> None:
    click.echo(msgspec.json.encode(value).decode())


def _columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text in columns, the last one ragged."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _summary(run: Run) -> str:
    """A run for a person at a terminal: what passed, what did not, what was not run and why, and what to do first."""
    marks = {"pass": "ok", "fail": "FAIL", "not served": "-"}
    rows = [(marks[o.result], o.contract, o.case, str(o.status or ""), o.code) for o in run.outcomes if o.result != "not served"]
    rows += [("-", each.contract, "not run", "", each.reason) for each in run.not_run]
    lines = [_columns(rows), ""]
    lines += [f"model for {each.kind}: {each.model} ({each.why})" for each in run.models if each.model]
    lines += tester.explained(run)
    return tester.fitted("\n".join([*lines, f"run {run.run_id}, verdict: {run.verdict}"]))


@contract.command()
@tester.options
@click.option("--json", "as_json", is_flag=True, help="The whole run as one JSON object.")
def run(*, as_json: bool, profile: str | None, **given: Any) -> None:
    """Run contracts against an endpoint and keep the run.

    Exit code: 0 go, 1 contract broken, 2 usage, 3 evidence missing, 4 the key was refused, 5 network or proxy, 6 a bad key was accepted.
    """
    made = tester.carry_out(tester.Asked(**given), profile or "text")
    text = msgspec.json.encode(made).decode() if as_json else _summary(made)
    raise SystemExit(made.with_findings(tester.put(text + "\n")).exit)


def _load(named: str) -> Run:
    try:
        return keep.load(config.home(os.environ), named)
    except keep.NoRun as fault:
        raise click.UsageError(str(fault)) from None


@contract.command()
@click.argument("run_a")
@click.argument("run_b")
@click.option("--json", "as_json", is_flag=True, help="A list of differences as JSON.")
def diff(run_a: str, run_b: str, as_json: bool) -> None:
    """Name the first difference of two kept runs, then the others. A run is an id, a file, `last` or `previous`.

    Exit code: 0 no difference, 1 differences, 2 usage.
    """
    found = list(difference.of_runs(_load(run_a), _load(run_b)))
    if as_json:
        _print_json([each._asdict() for each in found])
    elif not found:
        click.echo("no difference")
    else:
        click.echo(f"first difference: {found[0].what}\n  {run_a}: {found[0].a}\n  {run_b}: {found[0].b}")
        if found[1:]:
            click.echo("\n" + _columns([("also", run_a, run_b), *(each[:3] for each in found[1:])]))
    raise SystemExit(1 if found else 0)


@contract.command()
@click.argument("url_a")
@click.argument("url_b")
@tester.options
@click.option("--model-b", help="Model of the second endpoint; by default that of the first.")
@click.option("--key-env-b", metavar="NAME", help="Variable that holds the key of the second endpoint; by default the first one's.")
@click.option("--json", "as_json", is_flag=True, help="Both runs and their differences as one JSON object.")
def compare(
    url_a: str, url_b: str, *, model_b: str | None, key_env_b: str | None, as_json: bool, profile: str | None, **given: Any
) -> None:  # fmt: skip
    """Run the same contracts on two endpoints and show them side by side.

    Exit code: 1 if a case has another outcome or status, else the worse one of both runs.
    """
    asked = msgspec.structs.replace(tester.Asked(**given), base_url=url_a)
    other = msgspec.structs.replace(
        asked, base_url=url_b, model=model_b or asked.model, key_env=key_env_b or asked.key_env, record=(), baseline=None
    )
    if asked.mock:
        raise click.UsageError("--mock has one endpoint only; start a second one with `halley simulate`")
    key = tester.take_key(asked.key_env)
    runs = [tester.carry_out(asked, profile or "text", key)]
    runs.append(tester.carry_out(other, profile or "text", tester.take_key(key_env_b) if key_env_b else key))
    differences = list(difference.of_outcomes(*runs))
    if as_json:
        _print_json({"a": runs[0], "b": runs[1], "differences": [each._asdict() for each in differences]})
    else:
        rows = [("=" if each.same else "!", each.case, each.a, each.b) for each in difference.side_by_side(*runs)]
        click.echo(_columns([("", "", f"A {runs[0].surroundings.base_url}", f"B {runs[1].surroundings.base_url}"), *rows]))
        fields = [each for each in differences if not each.hard]
        if fields:
            click.echo("\n" + _columns([("field", "A", "B"), *(each[:3] for each in fields)]))
        click.echo(f"\nA {runs[0].verdict}, B {runs[1].verdict}")
    hard = any(each.hard for each in differences)
    raise SystemExit(findings.BROKEN if hard else findings.worst([each.exit for each in runs]))


@contract.command("list")
@click.option("--runs", "kept", is_flag=True, help="The kept runs instead.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show_list(kept: bool, as_json: bool) -> None:
    """Name the contracts, what each says, and the profiles that run it."""
    if kept:
        made = [_load(name) for name in keep.runs(config.home(os.environ))]
        rows = [(each.run_id, each.verdict, each.profile, each.surroundings.base_url) for each in made]
        names = ("run", "verdict", "profile", "base_url")
    else:
        rows = [
            (row.name, f"{row.method} {row.path}", row.about, ", ".join(name for name, members in PROFILES.items() if row.name in members))
            for row in CONTRACTS.values()
        ]
        names = ("contract", "request", "about", "profiles")
    if as_json:
        _print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        click.echo(_columns([names, *rows]))


@contract.command()
@click.argument("run_id", default="last")
@click.option("--shape", type=click.Choice(tester.SHAPES), default="markdown", show_default=True, help="Form of the report.")
def report(run_id: str, shape: str) -> None:
    """Print a kept run as a report."""
    click.echo(tester.render(_load(run_id), shape), nl=False)
