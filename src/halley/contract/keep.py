"""What a run keeps under HALLEY_HOME: its number, and the raw replies of failed checks credentials masked, for the owner's eyes only."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from halley.contract.evidence import Evidence

_MASK = b"[masked]"
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


def mask(raw: bytes, key: str) -> bytes:
    """Takes out the key, also a beginning of it that a cut has left at the end, and whatever else has the shape of a credential."""
    secret = key.strip().encode()
    masked = raw.replace(secret, _MASK) if secret else raw
    for length in range(len(secret) - 1, 3, -1):
        if masked.endswith(secret[:length]):
            masked = masked[:-length] + _MASK
            break
    masked = _SECRET_FIELD.sub(rb"\1 " + _MASK, masked)
    return _TOKEN.sub(lambda found: (found.group(1) or b"") + _MASK, masked)


def capture(home: Path, run_id: str, number: int, evidence: Evidence, key: str) -> Path:
    """Writes head and body of one attempt to a new 0600 file. OSError if that fails."""
    path = home / "evidence" / run_id / f"{number}-{evidence.case.replace(' ', '-')}.txt"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(mask(evidence.head, key) + mask(evidence.body, key))
    return path
