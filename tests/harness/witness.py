"""Holds the ledger's rows against the journals that they came from: every line has its row, and every row its lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.harness.books import Journals, Row

# Ended by control, without a line of the relay's.
_BY_CONTROL = ("crash", "expired")


class Witnessed(NamedTuple):
    """How many lines were compared with their rows. `unwitnessed`: rows whose journal is not here any more. `unfolded`: lines to come."""

    starts: int = 0
    ends: int = 0
    unwitnessed: int = 0
    unfolded: int = 0


def witness(rows: Mapping[str, Row], journals: Journals) -> Witnessed:
    """Raises AssertionError that names the request and what is wrong. Lines of a request that is not among the rows are not judged when it
    began before all of them."""
    starts: dict[str, dict[str, Any]] = {}
    ends: dict[str, dict[str, Any]] = {}
    progress: dict[str, dict[str, Any]] = {}
    unfolded = 0
    for line in journals.lines:
        content = line.content
        request = content["request"]
        if not line.folded:
            unfolded += 1
        elif line.kind == "start":
            assert starts.setdefault(request, content) == content, f"two starts of {request}"
            if request in rows:
                _start(rows[request], content, line.relay)
        elif line.kind == "end":
            assert ends.setdefault(request, content) == content, f"two ends of {request}"
            if request in rows:
                _end(rows[request], content)
        else:
            progress[request] = content
    for row in rows.values():
        if row.relay in journals.whole:
            _row(row, starts, ends, progress)
    return Witnessed(
        sum(request in rows for request in starts),
        sum(request in rows for request in ends),
        sum(row.relay not in journals.whole for row in rows.values()),
        unfolded,
    )


def _start(row: Row, line: Mapping[str, Any], relay: str) -> None:
    said = (line["account"], relay, line["model"], line["price_version"], line["hold"])
    assert said == (row.account, row.relay, row.model, row.price_version, row.hold), f"the journal's start {line} became {row}"


def _end(row: Row, line: Mapping[str, Any]) -> None:
    usage = (line["usage"].get("input", 0), line["usage"].get("output", 0))
    said = (line["ending"], line["status"], line["charge"], line["loss"], line["estimated"], line["attempts"], usage)
    booked = (row.ending, row.status, row.charge, row.loss, row.estimated, row.attempts, tuple(row.usage))
    assert said == booked, f"the journal's end {line} became {row}"


def _row(row: Row, starts: Mapping[str, Any], ends: Mapping[str, Any], progress: Mapping[str, Mapping[str, Any]]) -> None:
    assert row.id in starts, f"no journal has the start of {row}"
    if row.ending in _BY_CONTROL:
        last = progress.get(row.id, {}).get("charge", 0)
        assert row.charge == last, f"the last progress in the journal is {last}: {row}"
    elif row.ending:
        assert row.id in ends, f"no journal has the end of {row}"
    else:
        assert row.id not in ends, f"its end is in the journal and not in the ledger: {row}"
