"""Reads one relay's journal from where the ledger stands: whole lines only, over its segments, made durable before they are used.

It knows files and positions, nothing of money. A last line without its end waits; when its
relay is gone it is no record, for nothing followed from it.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from halley import crash
from halley.store.journal import Record, decode, decode_lines

BATCH_BYTES = 2 << 20
# What belongs to a journal; whatever else lies in its directory is left alone.
_SEGMENT = re.compile(r"(?P<relay>.+)\.(?P<number>\d+)\.jsonl")
_LOCK = re.compile(r"(?P<relay>.+)\.lock")


class Position(msgspec.Struct, frozen=True):
    """A place in a journal: bytes over all segments, and the same place as a segment's number and a position in it."""

    offset: int = 0
    segment: int = 0
    position: int = 0


class Stray(msgspec.Struct, frozen=True):
    """A whole line that is no record, and why."""

    line: bytes
    reason: str


class Read(msgspec.Struct, frozen=True):
    """What one reading found, and the place after it."""

    records: tuple[Record, ...]
    strays: tuple[Stray, ...]
    after: Position


class Journal:
    """The files of one relay process."""

    def __init__(self, directory: Path, relay: str) -> None:
        self.relay = relay
        self._directory = directory
        self._file = -1
        self._open_segment = -1
        self._durable = 0

    def secure(self, at: Position) -> int:
        """Make durable what is written after `at`. Returns how many bytes of it wait to be read, at least one if there are any."""
        if not self._open(at.segment):
            return int(self._gap(at) is not None)
        size = os.fstat(self._file).st_size
        self._sync(size)
        return size - at.position if size > at.position else int(self._segment(at.segment + 1).exists())

    def read(self, at: Position, limit: int = BATCH_BYTES) -> Read | None:
        """The next whole lines after `at`, at most about `limit` bytes; None when there are none yet."""
        while True:
            if not self._open(at.segment):
                return self._gap(at)
            data = os.pread(self._file, limit, at.position)
            end = data.rfind(b"\n") + 1
            if end:
                self._sync(at.position + end)
                return parse(data[:end], at)
            if len(data) == limit:
                limit *= 2
            elif self._segment(at.segment + 1).exists():
                # The writer is on the next segment. It may have written between our read and its change: look once more before leaving.
                rest = os.pread(self._file, limit, at.position)
                if rest != data:
                    continue
                if data:
                    return Read((), (Stray(data, "cut at the end of a segment"),), _next(at, len(data)))
                at = _next(at, 0)
            else:
                return None

    def _sync(self, size: int) -> None:
        if size > self._durable:
            os.fsync(self._file)
            self._durable = size

    def _gap(self, at: Position) -> Read | None:
        """The segment at the place is not there. Nothing to read, if it is to come; lost, if there are later ones."""
        later = [number for number, _ in self._segments() if number > at.segment]
        if not later:
            return None
        lost = Stray(b"", f"segment {at.segment} is missing, and later ones are there")
        return Read((), (lost,), Position(at.offset, min(later), 0))

    def size(self, since: int) -> int:
        """Bytes in segment `since` and those after it."""
        return sum(path.stat().st_size for number, path in self._segments() if number >= since)

    def forget_before(self, segment: int) -> None:
        """Delete segments that are in the ledger to their end."""
        for number, path in self._segments():
            if number < segment:
                path.unlink(missing_ok=True)

    @contextmanager
    def gone(self) -> Generator[bool]:
        """Whether the relay is gone: nobody holds its lock, or the lock is not there. While the block runs the lock is ours."""
        try:
            file = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            yield True
            return
        try:
            yield _locked(file)
        finally:
            os.close(file)

    def delete(self) -> None:
        self.close()
        for _, path in self._segments():
            path.unlink(missing_ok=True)
        crash.here("control.relay_end.unlocked")
        self._lock.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = self._open_segment = -1

    def _open(self, segment: int) -> bool:
        if self._open_segment == segment:
            return True
        self.close()
        try:
            self._file = os.open(self._segment(segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._open_segment = segment
        self._durable = 0
        return True

    @property
    def _lock(self) -> Path:
        return self._directory / f"{self.relay}.lock"

    def _segment(self, number: int) -> Path:
        return self._directory / f"{self.relay}.{number}.jsonl"

    def _segments(self) -> list[tuple[int, Path]]:
        found = [each for name in os.listdir(self._directory) if (each := _SEGMENT.fullmatch(name)) and each["relay"] == self.relay]
        return sorted((int(each["number"]), self._directory / each[0]) for each in found)


def relays(directory: Path) -> list[str]:
    """Every relay that has a journal here: a lock, which is made first and deleted last, or a segment that came back without one."""
    found = [_LOCK.fullmatch(name) or _SEGMENT.fullmatch(name) for name in os.listdir(directory)]
    return sorted({each["relay"] for each in found if each})


def _locked(file: int) -> bool:
    """Take the lock if nobody has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _next(at: Position, skipped: int) -> Position:
    return Position(at.offset + skipped, at.segment + 1, 0)


def parse(data: bytes, at: Position) -> Read:
    after = Position(at.offset + len(data), at.segment, at.position + len(data))
    try:
        return Read(tuple(decode_lines(data)), (), after)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        records, strays = _parse_each(data)
        return Read(tuple(records), tuple(strays), after)


def _parse_each(data: bytes) -> tuple[list[Record], list[Stray]]:
    """Line by line: one of them is no record."""
    records: list[Record] = []
    strays: list[Stray] = []
    for line in data.split(b"\n"):
        if line:
            try:
                records.append(decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
                strays.append(Stray(line, f"not a record: {fault}"))
    return records, strays
