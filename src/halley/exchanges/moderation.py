"""Moderation: whether a text or a picture should not be shown. A provider's own words pass.

OpenAI reports no usage and takes no money; Mistral reports `usage.prompt_tokens` and does. Without a report the input is counted here.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from halley.chat.peek import Peek, look, rename
from halley.chat.published import Published
from halley.chat.reading import begins
from halley.chat.usage import Usage, Whole
from halley.dialects import OPENAI_CHAT
from halley.errors import Condition, Refused
from halley.exchanges.record import Exchange, Route, Surface, no_output
from halley.wire.jsonbody import BROKEN

# What OpenAI takes when none is named.
_MODEL = "omni-moderation-latest"
MOST_PICTURES = 100


class _Url(msgspec.Struct):
    url: str


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    image_url: _Url | None = None


class Request(msgspec.Struct):
    input: str | list[str | _Part]
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None


class Moderated(msgspec.Struct):
    """One result for each text of the input."""

    results: list[dict[str, msgspec.Raw]]


class _Used(msgspec.Struct):
    prompt_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class _Reply(msgspec.Struct):
    results: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(Request)
_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_used = msgspec.json.Decoder(_Used).decode
_CORE = frozenset(Request.__struct_fields__)
_DEEP = {"input": b"image_url"}


def peek(body: bytes, _path: bytes) -> Peek:
    """Raises Refused, naming the field."""
    ask, members = look(body, _decoder, _CORE, "input", _DEEP)
    parts = ask.input if isinstance(ask.input, list) else []
    urls = [part.image_url.url for part in parts if isinstance(part, _Part) and part.image_url is not None]
    if len(urls) > MOST_PICTURES:
        raise Refused(Condition.INVALID, f"input: at most {MOST_PICTURES} pictures are taken in one request.", param="input")
    return Peek(ask.model or _MODEL, False, 1, 0, True, urls, members)


def read_whole(body: bytes) -> Whole | None:
    """None when it is no JSON object."""
    try:
        reply = _decode_reply(body)
    except BROKEN:
        return None
    return Whole(_used(reply.usage), begins(reply.results, b"["))


def _used(said: msgspec.Raw) -> Usage | None:
    try:
        return Usage(_decode_used(said).prompt_tokens) if len(said) else None
    except BROKEN:  # nonsense is no report
        return None


OPENAI = OPENAI_CHAT._replace(
    name="openai_moderation",
    exchange="moderation",
    peek=peek,
    outbound=rename,
    read_whole=read_whole,
    content_bytes=no_output,
    doors=None,
    published=Published("Whether texts or pictures should not be shown", Request, Moderated),
)
MODERATION = Exchange("moderation", (Route(b"POST", b"/v1/moderations", OPENAI),), (Surface("chat", OPENAI, "/moderations"),))
