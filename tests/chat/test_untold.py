"""What an answer's end says and a dialect does not is told; what is not counted is no loss."""

from __future__ import annotations

import pytest

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


CHAT = untold.Ends(frozenset({"stop", "length", "filter", "refusal"}), frozenset({"refusal"}), frozenset({"OTHER"}))


@pytest.mark.parametrize(
    "finish, told",
    [
        (Finish("stop"), []),
        (Finish("stop_sequence", "END"), ["stop"]),
        (Finish("context"), ["finish"]),
        (Finish("filter", word="RECITATION"), ["finish"]),
        (Finish("filter", word="OTHER"), []),
        (Finish("refusal", detail="It is a secret."), []),
        (Finish("filter", detail="It was blocked.", word="RECITATION"), ["finish", "finish.detail"]),
    ],
)
def test_what_of_the_end_has_no_word_of_its_own_is_told(finish: Finish, told: list[str]) -> None:
    assert [loss.path for loss in untold.of_finish(finish, CHAT)] == told


def test_a_word_from_elsewhere_is_fit_for_a_log() -> None:
    (loss,) = untold.of_finish(Finish("stop", word="end\r\nof " + "x" * 1000), CHAT)
    assert "\r" not in loss.reason and len(loss.reason) < 200
