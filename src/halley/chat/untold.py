"""What of the end of an answer a dialect has no words for: losses that the writers of whole answers and of streams tell alike."""

from __future__ import annotations

from typing import Final

from halley.chat.model import Finish, Loss
from halley.chat.usage import Usage

_DETAILS: Final = ("cache_read", "cache_write_5m", "cache_write_1h", "reasoning", "audio_in", "audio_out", "image_in", "image_out")


def of_usage(usage: Usage | None, said: frozenset[str]) -> list[Loss]:
    """The details that are counted and not among those that are said. All are in the sums."""
    if usage is None:
        return []
    return [
        Loss(f"usage.{name}", "in the sum alone: this dialect does not count it apart")
        for name in _DETAILS
        if name not in said and getattr(usage, name)
    ]


def of_finish(finish: Finish) -> list[Loss]:
    """For a dialect that says that an answer ended, and not at which of the caller's stop sequences."""
    return [] if finish.stop_sequence is None else [Loss("stop", "which stop sequence was met is not said in this dialect")]
