"""What of the end of an answer a dialect has no words for: losses that the writers of whole answers and of streams tell alike."""

from __future__ import annotations

from typing import Final, NamedTuple

from halley.chat.model import Finish, Loss, Reason
from halley.chat.strays import fit
from halley.chat.usage import Usage

_DETAILS: Final = ("cache_read", "cache_write_5m", "cache_write_1h", "reasoning", "audio_in", "audio_out", "image_in", "image_out")


class Ends(NamedTuple):
    """How exactly a dialect says why an answer ended: the reasons that it has a word for each, those of which it passes the explanation on,
    and the providers' words that it gives back."""

    reasons: frozenset[Reason]
    explained: frozenset[Reason] = frozenset()
    words: frozenset[str] = frozenset()


def of_usage(usage: Usage | None, said: frozenset[str]) -> list[Loss]:
    """The details that are counted and not among those that are said. All are in the sums."""
    if usage is None:
        return []
    return [
        Loss(f"usage.{name}", "in the sum alone: this dialect does not count it apart")
        for name in _DETAILS
        if name not in said and getattr(usage, name)
    ]


def of_finish(finish: Finish, said: Ends) -> list[Loss]:
    """What of the end is not said: the stop sequence, a reason or a word for which there is only a coarser one, an explanation."""
    losses: list[Loss] = []
    if finish.stop_sequence is not None and "stop_sequence" not in said.reasons:
        losses.append(Loss("stop", "which stop sequence was met is not said in this dialect"))
    if finish.word is not None and finish.word not in said.words:
        losses.append(Loss("finish", f"the provider's word was {fit(finish.word)}; this dialect has a coarser one"))
    elif finish.reason not in said.reasons and finish.reason != "stop_sequence":
        losses.append(Loss("finish", f"the answer ended for {finish.reason}; this dialect has a coarser word"))
    if finish.detail is not None and finish.reason not in said.explained:
        losses.append(Loss("finish.detail", "the provider explained why the answer ended; this dialect has no place for that"))
    return losses
