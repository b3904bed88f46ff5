"""Reading journals: whole lines, segments, torn ends, and who is gone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from halley.store.journal import End, Start, encode
from halley.store.replay import Journal, Position, relays

RELAY = "relay-0-1-1"
Pair = Callable[..., tuple[Start, End]]


def test_a_partial_last_line_waits_until_it_is_whole(tmp_path: Path, pair: Pair) -> None:
    data = encode(pair())
    path = tmp_path / f"{RELAY}.0.jsonl"
    journal = Journal(tmp_path, RELAY)
    assert journal.read(Position()) is None
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        read = journal.read(Position())
        assert (len(read.records) if read is not None else 0) == data[:cut].count(b"\n")
    path.write_bytes(data)
    read = journal.read(Position())
    assert read is not None and len(read.records) == 2 and read.after == Position(len(data), 0, len(data))
    assert journal.read(read.after) is None
    journal.close()


def test_a_journal_is_read_over_its_segments_in_order(tmp_path: Path, pair: Pair) -> None:
    pairs = [pair() for _ in range(3)]
    for number, each in enumerate(pairs):
        (tmp_path / f"{RELAY}.{number}.jsonl").write_bytes(encode(each))
    journal, place, found = Journal(tmp_path, RELAY), Position(), []
    while (read := journal.read(place, limit=64)) is not None:
        found += read.records
        place = read.after
    assert found == [record for each in pairs for record in each]
    assert place.segment == 2 and place.offset == sum(len(encode(each)) for each in pairs)
    journal.forget_before(2)
    assert [path.name for path in tmp_path.iterdir()] == [f"{RELAY}.2.jsonl"]
    journal.close()


def test_a_line_that_is_no_record_is_kept_and_the_rest_is_read(tmp_path: Path, pair: Pair) -> None:
    (tmp_path / f"{RELAY}.0.jsonl").write_bytes(b'["start"]\n\xff\n' + encode(pair()))
    journal = Journal(tmp_path, RELAY)
    read = journal.read(Position())
    assert read is not None and len(read.records) == 2 and [each.line for each in read.strays] == [b'["start"]', b"\xff"]
    journal.close()


def test_a_segment_that_was_cut_does_not_stop_the_next_one(tmp_path: Path, pair: Pair) -> None:
    (tmp_path / f"{RELAY}.0.jsonl").write_bytes(b'["start","r')
    (tmp_path / f"{RELAY}.1.jsonl").write_bytes(encode(pair()))
    journal = Journal(tmp_path, RELAY)
    cut = journal.read(Position())
    assert cut is not None and [each.line for each in cut.strays] == [b'["start","r'] and cut.after == Position(11, 1, 0)
    rest = journal.read(cut.after)
    assert rest is not None and len(rest.records) == 2
    journal.close()


def test_a_relay_is_gone_when_its_lock_is_free(tmp_path: Path) -> None:
    lock = os.open(tmp_path / f"{RELAY}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    journal = Journal(tmp_path, RELAY)
    assert relays(tmp_path) == [RELAY]
    with journal.gone() as gone:
        assert not gone
    os.close(lock)
    with journal.gone() as gone:
        assert gone
        journal.delete()
    assert relays(tmp_path) == []


def test_a_missing_segment_is_told_and_those_after_it_are_read(tmp_path: Path, pair: Pair) -> None:
    first, third = pair(), pair()
    (tmp_path / f"{RELAY}.0.jsonl").write_bytes(encode(first))
    (tmp_path / f"{RELAY}.2.jsonl").write_bytes(encode(third))
    journal = Journal(tmp_path, RELAY)
    start = journal.read(Position())
    assert start is not None and journal.read(start.after) is None, "it may be still to come"
    (tmp_path / f"{RELAY}.0.jsonl").unlink()
    journal.close()
    gap = journal.read(Position())
    assert gap is not None and [each.reason for each in gap.strays] == ["segment 0 is missing, and later ones are there"]
    rest = journal.read(gap.after)
    assert rest is not None and rest.records == third and rest.after == Position(len(encode(third)), 2, len(encode(third)))
    journal.close()


def test_a_journal_that_came_back_without_its_lock_is_found_and_foreign_files_are_left_alone(tmp_path: Path, pair: Pair) -> None:
    (tmp_path / f"{RELAY}.3.jsonl").write_bytes(encode(pair()))
    for name in ("notes.txt", f"{RELAY}.old.jsonl", "x.jsonl", f"{RELAY}.3.jsonl.gz", ".lock"):
        (tmp_path / name).write_bytes(b"foreign")
    assert relays(tmp_path) == [RELAY]
    journal = Journal(tmp_path, RELAY)
    with journal.gone() as gone:
        assert gone
        assert journal.size(0) == (tmp_path / f"{RELAY}.3.jsonl").stat().st_size
        journal.delete()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".lock",
        "notes.txt",
        f"{RELAY}.3.jsonl.gz",
        f"{RELAY}.old.jsonl",
        "x.jsonl",
    ]


def test_what_waits_is_counted_and_made_durable_once(tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    journal, data = Journal(tmp_path, RELAY), encode(pair())
    assert journal.secure(Position()) == 0
    (tmp_path / f"{RELAY}.0.jsonl").write_bytes(data + b"[")
    assert (journal.secure(Position()), journal.secure(Position()), len(synced)) == (len(data) + 1, len(data) + 1, 1)
    read = journal.read(Position())
    assert read is not None and (journal.secure(read.after), len(synced)) == (1, 1), "a part of a line waits"
    (tmp_path / f"{RELAY}.1.jsonl").write_bytes(data)
    assert journal.secure(Position(len(data) + 1, 0, len(data) + 1)) == 1, "the next segment waits"
    assert (journal.secure(Position(len(data), 1, 0)), len(synced)) == (len(data), 2)
    (tmp_path / f"{RELAY}.1.jsonl").rename(tmp_path / f"{RELAY}.3.jsonl")
    assert journal.secure(Position(len(data), 2, 0)) == 1, "a gap waits to be told"
    journal.close()
