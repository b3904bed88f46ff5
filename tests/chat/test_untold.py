"""What an answer's end says and a dialect does not is told; what is not counted is no loss."""

from __future__ import annotations

from halley.chat import untold
from halley.chat.model import Finish
from halley.chat.usage import Usage


def test_counts_that_stand_in_the_sum_alone_are_told() -> None:
    usage = Usage(9, 5, cache_read=2, cache_write_1h=1, audio_in=3, reasoning=4)
    assert [loss.path for loss in untold.of_usage(usage, frozenset({"cache_read", "reasoning"}))] == [
        "usage.cache_write_1h",
        "usage.audio_in",
    ]
    assert untold.of_usage(Usage(9, 5), frozenset()) == untold.of_usage(None, frozenset()) == []


def test_the_stop_sequence_that_was_met_is_told() -> None:
    assert [loss.path for loss in untold.of_finish(Finish("stop_sequence", "END"))] == ["stop"]
    assert untold.of_finish(Finish("stop")) == []
