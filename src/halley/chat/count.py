"""The surface that counts a chat request, put together from a dialect's doors: what is the same of it in every dialect."""

from __future__ import annotations

from collections.abc import Callable

from halley.chat.doors import ReadError, Swap, WriteAsk
from halley.chat.model import Ask
from halley.chat.peek import Peek
from halley.chat.usage import Usage


def swap(
    read: Callable[[bytes], Ask],
    write: WriteAsk,
    read_answer: Callable[[bytes], Usage],
    write_answer: Callable[[Usage], bytes],
    read_error: ReadError,
) -> Swap[Ask, Usage]:
    """The ask says all, so that neither the model's name nor the ask is needed beside it."""

    def read_named(body: bytes, _model: str) -> Ask:
        return read(body)

    def answer_to(usage: Usage, _ask: Ask) -> bytes:
        return write_answer(usage)

    return Swap(read_named, write, read_answer, answer_to, read_error)


def only_counted(seen: Peek) -> Peek:
    """What was seen of a chat request, when nothing will be generated, streamed or kept."""
    seen.cap, seen.stream, seen.keeps = 0, False, False
    return seen
