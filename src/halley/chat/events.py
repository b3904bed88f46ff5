"""A streamed answer as seven events, in no dialect's words.

    Started · { PartStarted · Delta* · PartEnded | Noted }* · Finished        or Failed at any time, which is the last

One part is open at a time, and parts come in order: a reader whose dialect interleaves pieces of several tool calls holds back those of a
later one until the earlier has ended. `Noted` may stand anywhere between Started and Finished. A reader emits every event as soon as it
can be sure of it; nothing is held back for a writer's sake.
"""

from __future__ import annotations

import msgspec

from halley.chat.model import Citation, Finish, Part, Seal
from halley.chat.usage import Usage

LOGPROBS = "logprobs"


class Started(msgspec.Struct, frozen=True, gc=False):
    """`id` and `model` are the provider's, empty where it has not said them; `created` is Unix seconds. `usage` is what is known of the
    input before the first token."""

    id: str
    model: str
    created: int | None = None
    usage: Usage | None = None


class PartStarted(msgspec.Struct, frozen=True):
    """A part begins, as far as it is known: its text, arguments or transcript are empty and come as deltas. A part that comes whole (an
    image, an opaque one, redacted thinking) is complete here, and no delta follows."""

    part: Part


class Delta(msgspec.Struct, frozen=True, gc=False):
    """More of the open part: text, thinking, refusal, arguments as JSON text, base64 of audio."""

    text: str


class PartEnded(msgspec.Struct, frozen=True):
    """The open part is complete. `seal` and `citations` belong to it where they were known only now."""

    seal: Seal | None = None
    citations: tuple[Citation, ...] = ()


class Noted(msgspec.Struct, frozen=True):
    """Something about the answer rather than of it: usage so far (the last one counts), log probabilities or an extra of one dialect.
    Of log probabilities (`what` is `LOGPROBS`) `raw` is `{"content": [{token, logprob, bytes, top_logprobs}]}`, as far as they go."""

    usage: Usage | None = None
    dialect: str = ""
    what: str = ""
    raw: msgspec.Raw | None = None


class Finished(msgspec.Struct, frozen=True):
    """The answer is whole. `usage` is the final one, None if the provider never said; `service_tier` what served it, in OpenAI's words."""

    finish: Finish
    usage: Usage | None = None
    service_tier: str | None = None


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The provider broke the answer off with an error of its own. `status` is the HTTP status that it would have had, 0 if it did not say;
    `code` is its word for it."""

    message: str
    status: int = 0
    code: str = ""


Event = Started | PartStarted | Delta | PartEnded | Noted | Finished | Failed
