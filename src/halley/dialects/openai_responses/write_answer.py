"""A whole answer as a response object: what its stream would have ended with."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from halley.chat.doors import Asked, Written
from halley.chat.events import LOGPROBS, Event, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.model import Answer, Loss, Text
from halley.dialects.openai_responses.fields import DIALECT
from halley.dialects.openai_responses.write_stream import Writer


def write_answer(answer: Answer, asked: Asked) -> Written:
    writer = Writer(asked)
    writer.write(list(_events(answer)))
    reply = writer.final
    lost = [Loss(extra.at, "has no place in an answer of the Responses dialect") for extra in answer.extras]
    return Written(msgspec.json.encode(reply), (*writer.losses, *lost))


def _events(answer: Answer) -> Iterator[Event]:
    yield Started(answer.id, answer.model, answer.created)
    logprobs = answer.logprobs
    for part in answer.parts:
        yield PartStarted(part)
        if isinstance(part, Text) and logprobs is not None:
            yield Noted(dialect=DIALECT, what=LOGPROBS, raw=logprobs)
            logprobs = None
        yield PartEnded()
    yield Finished(answer.finish, answer.usage, answer.service_tier)
