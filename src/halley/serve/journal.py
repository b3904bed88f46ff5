"""The writing end of the journal: records collected during one loop iteration leave in one `write(2)`, then their continuations run.

A record that could not be written says so to its continuation (`then(False)`); nothing torn stays in the file. `End` records are never
given up: they wait and are tried again each second, because they are money.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Callable

from halley.store.journal import End, Kept, Progress, Record, Sealed, Start, encode

SEGMENT_BYTES = 64 << 20

Continuation = Callable[[bool], None]


def _ignore(written: bool) -> None:
    del written


class JournalWriter:
    """One relay process's journal. `written` counts bytes over all segments, as control's `Folded.offset` does."""

    def __init__(self, directory: str, relay: str, loop: asyncio.AbstractEventLoop) -> None:
        self._stem = os.path.join(directory, relay)
        self._loop = loop
        self._records: list[Record] = []
        self._continuations: list[Continuation] = []
        self._unwritten_ends: list[Record] = []
        self._segment = 0
        self._size = 0
        self._folded = 0
        self.written = 0
        self._lock = os.open(self._stem + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file = self._open(0)
        # (offset, monotonic time) marks, one a second: the age of the oldest mark that control has not folded is the journal's lag.
        self._marks: deque[tuple[int, float]] = deque()

    @property
    def stem(self) -> str:
        return self._stem

    def append(self, record: Start | End, then: Continuation) -> None:
        """Queue a record; `then(written)` runs after the write of this loop iteration."""
        if not self._records:
            self._loop.call_soon(self.flush)
        self._records.append(record)
        self._continuations.append(then)

    def note(self, record: Progress | Kept | Sealed) -> None:
        """Queue a record that nobody waits for."""
        if not self._records:
            self._loop.call_soon(self.flush)
        self._records.append(record)
        self._continuations.append(_ignore)

    def flush(self) -> None:
        records, continuations = self._records, self._continuations
        if not records:
            return
        self._records, self._continuations = [], []
        written = self._write(records)
        if written < len(records):
            self._unwritten_ends += [record for record in records[written:] if type(record) is End]
        for index, then in enumerate(continuations):
            then(index < written)

    def each_second(self, now: float) -> None:
        """Try ends again that the disk refused, begin a new segment when this one is long, and mark the position."""
        self._write_late_ends()
        if self._size > SEGMENT_BYTES:
            self._next_segment()
        marks = self._marks
        if self.written > (marks[-1][0] if marks else self._folded):
            marks.append((self.written, now))

    def folded(self, offset: int) -> None:
        self._folded = offset
        marks = self._marks
        while marks and marks[0][0] <= offset:
            marks.popleft()

    def lag_s(self, now: float) -> float:
        return now - self._marks[0][1] if self._marks else 0.0

    def close(self) -> None:
        self.flush()
        self._write_late_ends()
        os.close(self._file)
        os.close(self._lock)

    def _write_late_ends(self) -> None:
        if self._unwritten_ends:
            self._unwritten_ends = self._unwritten_ends[self._write(self._unwritten_ends) :]

    def _next_segment(self) -> None:
        try:
            file = self._open(self._segment + 1)
        except OSError:
            return  # no room for it now: the long one goes on being long, and the next second tries again
        os.close(self._file)
        self._file = file
        self._segment += 1
        self._size = 0

    def _open(self, segment: int) -> int:
        return os.open(f"{self._stem}.{segment}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _write(self, records: list[Record]) -> int:
        """How many of the records, from the first on, are in the file. Whole ones stay, because control may have read them already."""
        data = encode(records)
        count, done = len(records), 0
        try:
            while done < len(data):
                done += os.write(self._file, data[done:] if done else data)
        except OSError:
            done = data.rfind(b"\n", 0, done) + 1
            count = data.count(b"\n", 0, done)
            os.ftruncate(self._file, self._size + done)
        self._size += done
        self.written += done
        return count
