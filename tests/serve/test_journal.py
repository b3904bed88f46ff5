"""The writing end of the journal."""

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from halley.chat.usage import Usage
from halley.serve import journal as module
from halley.serve.journal import JournalWriter
from halley.store.journal import End, Start, decode


def start(request: str) -> Start:
    return Start(request, 1.0, "a", "k", "/v1/chat/completions", "m", "p", 7, True, False, 3)


def end(request: str) -> End:
    return End(request, 2.0, "complete", 200, "sim", Usage(1, 2), False, 5, 0, 1, 10, 20, 0.1, 0.2, 0.3)


def records(directory: Path) -> list[str]:
    lines = [line for path in sorted(directory.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    return [type(decode(line)).__name__ + ":" + decode(line).request for line in lines]


def test_records_of_one_iteration_leave_in_one_write_before_their_continuations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = os.write

    def counted(file: int, data: bytes) -> int:
        writes.append(data.count(b"\n"))
        return real(file, data)

    async def scene() -> None:
        writer = JournalWriter(str(tmp_path), "relay-1", asyncio.get_running_loop())
        monkeypatch.setattr(module.os, "write", counted)
        told: list[tuple[bool, int]] = []
        for name in "abc":
            writer.append(start(name), lambda ok: told.append((ok, len(records(tmp_path)))))
        assert told == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert told == [(True, 3)] * 3
        assert writes == [3]
        writer.close()

    asyncio.run(scene())
    assert records(tmp_path) == ["Start:a", "Start:b", "Start:c"]


def test_a_full_disk_keeps_whole_records_refuses_the_rest_and_leaves_nothing_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = [0]
    real = os.write

    def write(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        count = real(file, data[: room[0]])
        room[0] -= count
        return count

    async def scene() -> None:
        writer = JournalWriter(str(tmp_path), "relay-1", asyncio.get_running_loop())
        told: list[bool] = []
        writer.append(start("before"), told.append)
        writer.flush()
        monkeypatch.setattr(module.os, "write", write)
        room[0] = len(module.encode([start("whole")])) + 40
        writer.append(start("whole"), told.append)
        writer.append(start("torn"), told.append)
        writer.append(end("before"), told.append)
        writer.flush()
        assert told == [True, True, False, False]
        assert records(tmp_path) == ["Start:before", "Start:whole"]
        room[0] = 10**6
        writer.each_second(1.0)
        assert records(tmp_path) == ["Start:before", "Start:whole", "End:before"]
        assert writer.written == sum(path.stat().st_size for path in tmp_path.glob("*.jsonl"))
        writer.close()

    asyncio.run(scene())


def test_a_long_segment_is_followed_by_the_next_and_never_touched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 50)

    async def scene() -> None:
        writer = JournalWriter(str(tmp_path), "relay-1", asyncio.get_running_loop())
        for name in "abc":
            writer.append(start(name), lambda ok: None)
            writer.flush()
            writer.each_second(0.0)
        assert writer.written == sum(path.stat().st_size for path in tmp_path.glob("*.jsonl"))
        writer.close()

    asyncio.run(scene())
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == [f"relay-1.{n}.jsonl" for n in range(4)]
    assert records(tmp_path) == ["Start:a", "Start:b", "Start:c"]


def test_a_segment_that_cannot_be_opened_leaves_the_long_one_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 50)

    async def scene() -> None:
        writer = JournalWriter(str(tmp_path), "relay-1", asyncio.get_running_loop())
        (tmp_path / "relay-1.1.jsonl").mkdir()
        for name in "ab":
            writer.append(start(name), lambda ok: None)
            writer.flush()
            writer.each_second(0.0)
        (tmp_path / "relay-1.1.jsonl").rmdir()
        assert records(tmp_path) == ["Start:a", "Start:b"]
        writer.each_second(1.0)
        writer.append(start("c"), lambda ok: None)
        writer.close()

    asyncio.run(scene())
    assert records(tmp_path) == ["Start:a", "Start:b", "Start:c"]


def test_ends_that_the_disk_refused_are_tried_once_more_at_the_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    async def scene() -> None:
        writer = JournalWriter(str(tmp_path), "relay-1", asyncio.get_running_loop())
        with monkeypatch.context() as full:
            full.setattr(module.os, "write", refuse)
            writer.append(end("late"), lambda ok: None)
            writer.flush()
        writer.close()

    asyncio.run(scene())
    assert records(tmp_path) == ["End:late"]


def test_the_lock_tells_whether_the_writer_lives(tmp_path: Path) -> None:
    def free() -> bool:
        with open(tmp_path / "relay-1.lock", "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    async def scene() -> None:
        writer = JournalWriter(str(tmp_path), "relay-1", asyncio.get_running_loop())
        assert not free()
        writer.close()
        assert free()

    asyncio.run(scene())


def test_lag_is_the_age_of_the_oldest_record_that_was_not_folded(tmp_path: Path) -> None:
    async def scene() -> None:
        writer = JournalWriter(str(tmp_path), "relay-1", asyncio.get_running_loop())
        writer.each_second(0.0)
        assert writer.lag_s(500.0) == 0.0
        writer.append(start("a"), lambda ok: None)
        writer.flush()
        writer.each_second(10.0)
        first = writer.written
        writer.append(start("b"), lambda ok: None)
        writer.flush()
        writer.each_second(11.0)
        assert writer.lag_s(40.0) == 30.0
        writer.folded(first)
        assert writer.lag_s(40.0) == 29.0
        writer.folded(writer.written)
        assert writer.lag_s(40.0) == 0.0
        writer.close()

    asyncio.run(scene())
