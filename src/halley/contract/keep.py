"""What a run keeps under HALLEY_HOME/evidence/RUN_ID: its record, and the raw replies of failed checks with credentials masked.

All of it is for the owner's eyes only (0600 in 0700).
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from halley.contract.evidence import Evidence
from halley.contract.records import Run
from halley.redaction import Redactor
from halley.secret import Secret

_MASK = b"[masked]"
_MOST = 256 << 10
_SHORTEST = 4
"""Characters of a secret; less would take ordinary words apart."""
_SECRET_FIELD = re.compile(rb"(?im)^((?:set-cookie|cookie|authorization|proxy-authorization|x-api-key|x-goog-api-key)[ \t]*:)[^\r\n]*")
_TOKEN = re.compile(rb"(?i)(bearer\s+)[^\s\"',;]+|\bsk-[A-Za-z0-9_-]{8,}")


def reserve_run(home: Path, now: datetime | None = None) -> str:
    """The next `smoke-YYYYMMDD-NNN`. `mkdir` is atomic, so runs started at the same moment get different numbers."""
    day = (now or datetime.now(UTC)).strftime("%Y%m%d")
    evidence = home / "evidence"
    evidence.mkdir(parents=True, exist_ok=True, mode=0o700)
    numbers = [int(path.name[15:]) for path in evidence.glob(f"smoke-{day}-*") if path.name[15:].isdigit()]
    number = max(numbers, default=0)
    while True:
        number += 1
        try:
            (evidence / f"smoke-{day}-{number:03}").mkdir(mode=0o700)
        except FileExistsError:
            continue
        return f"smoke-{day}-{number:03}"


def mask(raw: bytes, *secrets: str) -> bytes:
    """Takes out each secret, also a beginning of it that a cut has left at the end, and whatever else has the shape of a credential."""
    known = [each.strip() for each in secrets if len(each.strip()) >= _SHORTEST]
    for secret in known:
        raw = _without(raw, secret.encode())
    masked = _SECRET_FIELD.sub(rb"\1 " + _MASK, raw)
    masked = _TOKEN.sub(lambda found: (found.group(1) or b"") + _MASK, masked)
    return Redactor(*map(Secret, known)).clean(masked.decode("latin-1")).encode("latin-1", "replace")


def _without(raw: bytes, secret: bytes) -> bytes:
    raw = raw.replace(secret, _MASK)
    for length in range(len(secret) - 1, 3, -1):
        if raw.endswith(secret[:length]):
            return raw[:-length] + _MASK
    return raw


class NoRun(Exception):
    """No run of that number is kept; the message says what there is."""


def save(home: Path, run: Run) -> Path:
    """Writes the run's record to a new file. OSError if that fails."""
    path = home / "evidence" / run.run_id / "run.json"
    unfinished = path.with_suffix(".part")  # so that a run which is cut off here is no run, instead of half a one
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    unfinished.rename(path)
    return path


def runs(home: Path) -> list[str]:
    """The kept runs, oldest first."""
    return sorted(path.parent.name for path in (home / "evidence").glob("*/run.json"))


def load(home: Path, named: str) -> Run:
    """A run by its id, by `last` or `previous`, or by the path of its file. Raises NoRun."""
    known = runs(home)
    short = {"last": known[-1:], "previous": known[-2:-1]}
    name = short[named][0] if short.get(named) else named
    path = home / "evidence" / name / "run.json" if name in known else Path(name)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except OSError:
        there = f"the last ones are {', '.join(known[-3:])}" if known else "none is kept under this HALLEY_HOME yet"
        raise NoRun(f"there is no run {named!r}; {there}") from None
    except msgspec.DecodeError as fault:
        raise NoRun(f"{named} is not the record of a run: {fault}") from None


def capture(home: Path, run_id: str, evidence: Evidence, *secrets: str) -> Path:
    """Writes head and body of one attempt, at most 256 KiB of it, to a new 0600 file. OSError if that fails."""
    path = home / "evidence" / run_id / f"{evidence.number}-{evidence.case.replace(' ', '-')}.txt"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(mask(evidence.head, *secrets) + mask(evidence.body[:_MOST], *secrets))
    return path
