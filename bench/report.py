"""The result of a run as a table for people and as one JSON object for programs. Nothing is computed here but ratios to nginx."""

from __future__ import annotations

from dataclasses import asdict
from typing import TypedDict

from bench.arithmetic import Figure
from bench.canned import KINDS
from bench.run import Measured, Result

REFERENCE = "nginx"


class Document(TypedDict):
    """What `--json` prints."""

    rows: list[dict[str, object]]
    direct: dict[str, float]
    refused: dict[str, str]
    machine: dict[str, str]


def document(result: Result, machine: dict[str, str]) -> Document:
    reference = _reference(result)
    return Document(
        rows=[_row(row, reference) for row in result.rows],
        direct={"p50_ms": round(result.direct.p50_ms, 3), "p99_ms": round(result.direct.p99_ms, 3)},
        refused=dict(result.refused),
        machine=machine,
    )


def _reference(result: Result) -> Measured | None:
    return next((row for row in result.rows if row.name == REFERENCE), None)


def _row(row: Measured, reference: Measured | None) -> dict[str, object]:
    made: dict[str, object] = {"name": row.name, "note": row.note}
    for kind in KINDS:
        made[kind] = _load(row.figures[kind], reference.figures[kind] if reference else None)
    if row.streams:
        made["streams"] = {name: round(value, 2) for name, value in asdict(row.streams).items()}
    else:
        made["streams_fault"] = row.streams_fault
    if row.idle:
        made["idle_streams"] = {
            "open": row.idle.open,
            "memory_mb": round(row.idle.memory_mb, 1),
            "kb_per_stream": round(row.idle.per_stream_kb, 1),
            "parts_mb": {part: round(value, 1) for part, value in row.idle.with_mb.items()},
        }
    elif row.idle_fault:
        made["idle_streams_fault"] = row.idle_fault
    if row.light:
        made["light"] = {"p50_ms": round(row.light.p50_ms, 3), "p99_ms": round(row.light.p99_ms, 3)}
    made["memory_mb"] = {part: round(value, 1) for part, value in row.memory_mb.items()}
    made["start_s"] = {name: round(value, 2) for name, value in asdict(row.start).items() if value is not None}
    return made


def _load(figure: Figure, reference: Figure | None) -> dict[str, object]:
    made: dict[str, object] = {
        "per_s": round(figure.per_s),
        "cpu_us": round(figure.cpu_us, 1),
        "cpu_us_least": round(figure.cpu_us_least, 1),
        "use_of_core": round(figure.use_of_core, 2),
        "answers": figure.answers,
        "reps": figure.reps,
    }
    if len(figure.parts) > 1:
        made["cpu_us_parts"] = {part: round(value, 1) for part, value in figure.parts.items()}
    if reference:
        made["cpu_to_nginx"] = round(figure.cpu_us / reference.cpu_us, 2)
        made["cpu_least_to_nginx"] = round(figure.cpu_us_least / reference.cpu_us_least, 2)
    return made


def table(result: Result, machine: dict[str, str]) -> str:
    """What a person reads: one line per row and measurement, and under it what the columns mean."""
    lines = ["; ".join(f"{name} {value}" for name, value in machine.items()), ""]
    reference = _reference(result)
    titles = {"json": "JSON, 64 connections", "sse": "SSE of 200 chunks, 32 connections"}
    for kind in KINDS:
        lines.append(f"{titles[kind]:34}{'per s':>9}{'core':>6}{'CPU us':>9}{'least':>9}{'x nginx':>9}{'(least)':>9}  parts")
        lines += [f"  {row.name:32}{_load_line(row.figures[kind], reference.figures[kind] if reference else None)}" for row in result.rows]
        lines.append("")
    lines.append(f"{'open streams':34}{'asked/s':>9}{'per s':>9}{'CPU %':>7}{'lag p50':>9}{'p99 ms':>9}{'left after 1 s':>16}")
    lines += [f"  {row.name:32}{_streams_line(row)}" for row in result.rows]
    if any(row.idle or row.idle_fault for row in result.rows):
        lines += ["", f"{'open streams that are silent':34}{'streams':>9}{'MB':>9}{'KB each':>9}  parts, MB"]
        lines += [f"  {row.name:32}{_idle_line(row)}" for row in result.rows]
    lines += ["", f"{'light load, one connection':34}{'p50 ms':>9}{'added':>9}{'p99 ms':>9}{'':6}{'start s':>9}{'again s':>9}  memory MB"]
    lines.append(f"  {'direct':32}{result.direct.p50_ms:9.3f}{'':9}{result.direct.p99_ms:9.3f}")
    lines += [f"  {row.name:32}{_light_line(row, result)}" for row in result.rows]
    lines.append("")
    lines += [f"{row.name}: {row.note}" for row in result.rows]
    lines += [f"{name} DOES NOT COUNT: {reason}" for name, reason in result.refused.items()]
    lines += ["", "CPU us: user and system time of the gateway per answer, median (least) of all repetitions; with rep counts in --json."]
    return "\n".join(lines)


def _load_line(figure: Figure, reference: Figure | None) -> str:
    ratios = f"{figure.cpu_us / reference.cpu_us:9.2f}{figure.cpu_us_least / reference.cpu_us_least:9.2f}" if reference else " " * 18
    parts = ", ".join(f"{part} {value:.1f}" for part, value in figure.parts.items()) if len(figure.parts) > 1 else ""
    return f"{figure.per_s:9,.0f}{figure.use_of_core:6.2f}{figure.cpu_us:9.1f}{figure.cpu_us_least:9.1f}{ratios}  {parts}"


def _streams_line(row: Measured) -> str:
    seen = row.streams
    if seen is None:
        return f"  failed: {row.streams_fault}"
    lag = f"{seen.lag_p50_ms:9.1f}{seen.lag_p99_ms:9.1f}"
    return f"{seen.asked_per_s:9,.0f}{seen.per_s:9,.0f}{seen.cpu_percent:7.0f}{lag}{seen.left_after_1s:16}"


def _idle_line(row: Measured) -> str:
    seen = row.idle
    if seen is None:
        return f"  failed: {row.idle_fault}"
    parts = ", ".join(f"{part} {value:.0f}" for part, value in seen.with_mb.items())
    return f"{seen.open:9,}{seen.memory_mb:9.0f}{seen.per_stream_kb:9.1f}  {parts}"


def _light_line(row: Measured, result: Result) -> str:
    light = f"{row.light.p50_ms:9.3f}{row.light.p50_ms - result.direct.p50_ms:9.3f}{row.light.p99_ms:9.3f}" if row.light else " " * 27
    again = f"{row.start.again_s:9.2f}" if row.start.again_s is not None else " " * 9
    memory = ", ".join(f"{part} {value:.0f}" for part, value in row.memory_mb.items())
    return f"{light}{'':6}{row.start.first_s:9.2f}{again}  {memory}"
