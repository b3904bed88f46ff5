"""A kept run in the forms in which people and machines read it: JSON Lines, JUnit, Markdown and HTML. Pure; the run holds no secret.

Each says what was run, what was not and why, with which command and version, and what is still unknown: whoever gets it need not run it
again to know where things stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

import msgspec

from halley.contract.details import COLUMNS, table
from halley.contract.records import Outcome, Run

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}"
    "th,td{border:1px solid #bbb;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}code{overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}}"
)


def json_lines(run: Run) -> str:
    """One line per case, then one per contract that was not run, then one for the run."""
    lines: list[object] = [{"event": "case", "run_id": run.run_id, **_plain(each)} for each in run.outcomes]
    lines += [{"event": "not_run", "run_id": run.run_id, **_plain(each)} for each in run.not_run]
    kept = (
        "run_id",
        "version",
        "command",
        "timestamp_utc",
        "profile",
        "verdict",
        "exit",
        "diagnosis",
        "surroundings",
        "models",
        "findings",
    )
    lines.append({"event": "run", **{name: getattr(run, name) for name in kept}})
    return "".join(msgspec.json.encode(line).decode() + "\n" for line in lines)


def _plain(value: msgspec.Struct) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__struct_fields__ if name != "shape"}


def junit(run: Run) -> str:
    cases = [_case(each) for each in run.outcomes]
    cases += [_skipped(each.contract, each.reason) for each in run.not_run if all(o.contract != each.contract for o in run.outcomes)]
    failed = sum(each.result == "fail" for each in run.outcomes)
    skipped = len(cases) - sum(each.result != "not served" for each in run.outcomes)
    if run.exit and not failed:  # what was found beside the cases: a fallback, a drift, a record that could not be written
        cases.append(
            f'<testcase classname="run" name="verdict"><failure message={_attribute(f"{run.verdict}: {run.diagnosis}")}/></testcase>'
        )
        failed = 1
    name = _attribute(f"{run.surroundings.base_url} {run.profile}")
    head = f'<testsuite name={name} tests="{len(cases)}" failures="{failed}" skipped="{skipped}" timestamp={_attribute(run.timestamp_utc)}>'
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + head + "".join(cases) + "</testsuite>\n"


def _attribute(text: str) -> str:
    quoted = escape(_NO_XML.sub("\ufffd", text)).replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")
    return f'"{quoted}"'


def _case(outcome: Outcome) -> str:
    if outcome.result == "not served":
        return _skipped(outcome.contract, outcome.notes)
    head = f"<testcase classname={_attribute(outcome.contract)} name={_attribute(outcome.case)}"
    if outcome.result == "pass":
        return head + "/>"
    return f"{head}><failure type={_attribute(outcome.code)} message={_attribute(outcome.notes)}/></testcase>"


def _skipped(contract: str, reason: str) -> str:
    return f'<testcase classname={_attribute(contract)} name="happy path"><skipped message={_attribute(reason)}/></testcase>'


class _Block:
    """A heading with a table or a list below it, for both forms of the report."""

    __slots__ = ("columns", "heading", "rows")

    def __init__(self, heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.heading, self.columns, self.rows = heading, columns, rows


def _blocks(run: Run) -> Iterator[_Block]:
    seen = run.surroundings
    facts = [
        ("Verdict", f"{run.verdict} (exit {run.exit}{f', {run.diagnosis}' if run.diagnosis else ''})"),
        ("Base URL", seen.base_url), ("Environment", seen.environment), ("Date", run.timestamp_utc), ("Run", run.run_id),
        ("Command", run.command), ("Version", f"halley {run.version}"),
        ("Models", "; ".join(f"{each.kind}: {each.model or 'none'} ({each.why})" for each in run.models) or "none asked"),
    ]  # fmt: skip
    yield _Block("", ("", ""), facts)
    if run.findings:
        yield _Block("Findings", ("Code", "Cause", "Fix"), [(each.code, each.cause, each.fix) for each in run.findings])
    columns = ("Contract", "Case", "Request", "Status", "Outcome", "Code")
    cases = [
        (o.contract, o.case, f"{o.method} {o.endpoint}", str(o.status or "none"), o.result, o.code) for o in run.outcomes
    ]  # fmt: skip
    yield _Block("Contracts run", columns, cases)
    if run.not_run:
        yield _Block("Contracts not run, and why", ("Contract", "Reason"), [(each.contract, each.reason) for each in run.not_run])
    yield _Block("Contract details to verify", COLUMNS, [tuple(row) for row in table(run)])
    yield _Block("Surroundings", ("Fact", "Value"), [(name, _shown(getattr(seen, name))) for name in seen.__struct_fields__])
    yield _Block("What this run does not prove", ("", ), [(each,) for each in run.uncertainty])  # fmt: skip
    yield _Block("Support", ("",), [(run.support_url or "No support address was given.",)])


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value) or "none"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value) or "none"


def _cell(text: str) -> str:
    return re.sub(r"([|\\<>`*_\[\]])", r"\\\1", text).replace("\n", " ") or " "


def markdown(run: Run) -> str:
    lines = [f"# Contract report: {_cell(run.surroundings.base_url)}", ""]
    for block in _blocks(run):
        if block.heading:
            lines += [f"## {block.heading}", ""]
        if len(block.columns) == 1:
            lines += [f"- {_cell(row[0])}" for row in block.rows]
        else:
            lines += [
                _line(block.columns),
                _line(["---"] * len(block.columns)),
                *(_line([_cell(each) for each in row]) for row in block.rows),
            ]
        lines.append("")
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def html(run: Run) -> str:
    title = escape(f"Contract report: {run.surroundings.base_url}")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    parts = [f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>']
    for block in _blocks(run):
        if block.heading:
            parts.append(f"<h2>{escape(block.heading)}</h2>")
        if len(block.columns) == 1:
            parts.append("<ul>" + "".join(f"<li>{escape(row[0])}</li>" for row in block.rows) + "</ul>")
            continue
        head = "<tr>" + "".join(f"<th>{escape(each)}</th>" for each in block.columns) + "</tr>" if any(block.columns) else ""
        rows = ("<tr>" + "".join(f"<td>{escape(each)}</td>" for each in row) + "</tr>" for row in block.rows)
        parts.append(f"<table>{head}{''.join(rows)}</table>")
    return "\n".join([*parts, "</body></html>"]) + "\n"
