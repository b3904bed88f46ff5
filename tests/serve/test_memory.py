"""A relay's memory after a burst."""

from __future__ import annotations

from pathlib import Path

import pytest

from halley.serve import memory
from halley.serve.memory import TRIM_S, Memory


def resident() -> int:
    """MiB."""
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")).split()[1]) // 1024


@pytest.mark.skipif(memory.trimmer() is None, reason="this C library cannot give pages back")
def test_pages_between_blocks_in_use_go_back_once_a_minute() -> None:
    kept = Memory(100.0)
    blocks = [bytearray(4000) for _ in range(40_000)]
    del blocks[::2], blocks[1::2]  # every fourth stays
    full = resident()
    kept.each_second(100.0 + TRIM_S / 2)
    assert full - resident() < 20
    kept.each_second(100.0 + TRIM_S)
    assert full - resident() > 50
    assert len(blocks) == 10_000


def test_blocks_follow_what_is_in_use() -> None:
    kept = Memory(0.0)
    before = kept.blocks
    held = [bytearray(8) for _ in range(10_000)]
    assert kept.blocks - before >= len(held)
