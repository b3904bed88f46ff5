"""The relay's crash points, wrapped around its methods. Imported only by a relay that is armed: an unarmed one does not carry them.

`WRAPPED` says which method each wrapper goes around; the loop of work itself knows nothing of this.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from halley import crash
from halley.net.upstream import Upstream
from halley.serve import journal
from halley.serve.credit import Credit
from halley.serve.journal import JournalWriter
from halley.serve.relay import Run
from halley.store.journal import End, Progress, Start, encode

Method = Callable[..., Any]

# A write to a socket leaves the process at the end of the loop's iteration.
_SENT_S = 0.005
# The roll-over must come within a campaign's few requests.
_SHORT_SEGMENT = 1 << 12


def wrap(name: str) -> None:
    """Puts every point in place; `name` is the armed one."""
    if name.startswith("relay.segment."):
        setattr(journal, "SEGMENT_BYTES", _SHORT_SEGMENT)  # noqa: B010
    for owner, method, around in WRAPPED:
        setattr(owner, method, around(getattr(owner, method)))


def _soon(name: str) -> None:
    asyncio.get_running_loop().call_later(_SENT_S, crash.here, name)


def _writes(write: Method) -> Method:
    def wrapped(writer: Any, records: list[Any]) -> int:
        kinds: set[type] = {type(record) for record in records}
        if Start in kinds:
            crash.here("relay.start.unwritten")
        if End in kinds:
            crash.here("relay.end.unwritten")
        if crash.due("relay.write.torn"):
            data = encode(records)
            last = data.rfind(b"\n", 0, -1) + 1
            os.write(writer._file, data[: (last + len(data)) // 2])
            crash.die()
        written: int = write(writer, records)
        if Start in kinds:
            crash.here("relay.start.written")
        if Progress in kinds:
            crash.here("relay.progress.written")
        if End in kinds:
            crash.here("relay.end.written")
        return written

    return wrapped


def _opens(opens: Method) -> Method:
    def wrapped(writer: Any, segment: int) -> int:
        file: int = opens(writer, segment)
        if segment:
            crash.here("relay.segment.opened")
        return file

    return wrapped


def _changes(change: Method) -> Method:
    def wrapped(writer: Any) -> None:
        before = writer._segment
        change(writer)
        if writer._segment != before:
            crash.here("relay.segment.begun")

    return wrapped


def _calls(start: Method) -> Method:
    def wrapped(upstream: Any, call: Any) -> None:
        start(upstream, call)
        _soon("relay.call.sent")

    return wrapped


def _streams(stream: Method) -> Method:
    def wrapped(run: Any, *arguments: Any) -> None:
        before = run.headed
        stream(run, *arguments)
        if run.headed and not before:
            _soon("relay.first_byte")

    return wrapped


def _ends(ended: Method) -> Method:
    def wrapped(run: Any, written: bool) -> None:
        crash.here("relay.last_bytes.unsent")
        ended(run, written)
        _soon("relay.answer.sent")

    return wrapped


def _borrows(granted: Method) -> Method:
    def wrapped(credit: Any, message: Any) -> None:
        crash.here("relay.lease.granted")
        granted(credit, message)

    return wrapped


def _returns(recalled: Method) -> Method:
    def wrapped(credit: Any, account: str) -> None:
        recalled(credit, account)
        crash.here("relay.lease.returned")

    return wrapped


WRAPPED: tuple[tuple[type, str, Callable[[Method], Method]], ...] = (
    (JournalWriter, "_write", _writes),
    (JournalWriter, "_open", _opens),
    (JournalWriter, "_next_segment", _changes),
    (Upstream, "start", _calls),
    (Run, "_stream", _streams),
    (Run, "ended", _ends),
    (Credit, "granted", _borrows),
    (Credit, "recalled", _returns),
)
