"""Ten times as much of anything is at most eleven times the work, counted: calls of functions, and the lengths of what they return.

A count is the same on every machine, so that the bound is the promised one; what functions in C do inside is timed, in `test_linear`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from halley.dialects import DOORS
from halley.wire import sse
from tests.dialects.test_linear import ODD, SAID, Say, read, whole, write

FEW = 150
MOST = 11.0


def counted(do: Callable[[], object]) -> tuple[int, int]:
    """Calls, and bytes, characters and items that Python functions returned."""
    calls = size = 0

    def note(_frame: FrameType, event: str, found: object) -> None:
        nonlocal calls, size
        if event == "return":
            size += len(found) if isinstance(found, bytes | str | list | tuple) else 0
        elif event in ("call", "c_call"):
            calls += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(before)
    return calls, size


def grown(work: Callable[[int], Callable[[], object]]) -> float:
    few, many = counted(work(FEW)), counted(work(10 * FEW))
    return max(later / sooner for sooner, later in zip(few, many, strict=True))


@pytest.mark.parametrize("say", SAID, ids=lambda say: say.__name__)
@pytest.mark.parametrize("name", DOORS)
def test_the_work_of_a_writer_is_linear(name: str, say: Say) -> None:
    def work(size: int) -> Callable[[], object]:
        said = whole(say, size)
        return lambda: write(DOORS[name], said)

    assert grown(work) <= MOST


@pytest.mark.parametrize("say", SAID, ids=lambda say: say.__name__)
@pytest.mark.parametrize("name", DOORS)
def test_the_work_of_a_reader_is_linear(name: str, say: Say) -> None:
    def work(size: int) -> Callable[[], object]:
        frames = sse.named(write(DOORS[name], whole(say, size)))
        return lambda: read(DOORS[name], frames)

    assert grown(work) <= MOST


@pytest.mark.parametrize("name, make", ODD, ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_the_work_of_an_adversarial_stream_is_linear(name: str, make: Callable[[int], list[tuple[bytes, bytes]]]) -> None:
    def work(size: int) -> Callable[[], object]:
        frames = make(size)
        return lambda: read(DOORS[name], frames)

    assert grown(work) <= MOST


def test_what_is_squared_is_seen() -> None:
    def work(size: int) -> Callable[[], object]:
        def do() -> None:
            said = ""
            for _ in range(size):
                said = longer(said)

        return do

    def longer(said: str) -> str:
        return said + "x"

    assert grown(work) > 50
