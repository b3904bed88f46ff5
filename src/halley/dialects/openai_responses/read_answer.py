"""A whole answer of a provider that speaks this dialect, and the parts of each of its output items.

An item of a tool that the provider ran stays raw. A reasoning item's encrypted content is sealed with the provider's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from halley.chat.doors import Unreadable
from halley.chat.model import Answer, Opaque, Part, Refusal, Text, ToolCall
from halley.dialects.openai_responses import keeping
from halley.dialects.openai_responses.content import citations
from halley.dialects.openai_responses.fields import DIALECT
from halley.dialects.openai_responses.read_items import drawing
from halley.dialects.openai_responses.replies import Reply, failure, finish, is_call, usage
from halley.errors import Refused
from halley.wire.jsonbody import BROKEN

ENDED = frozenset({"completed", "incomplete", None})


class _Kind(msgspec.Struct):
    type: str


class Said(msgspec.Struct):
    """A content part of a message, whole."""

    type: str
    text: str = ""
    refusal: str = ""
    annotations: list[msgspec.Raw] | None = None
    logprobs: list[msgspec.Raw] | None = None


class _Message(msgspec.Struct):
    content: list[Said]


class Call(msgspec.Struct):
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    input: str = ""
    namespace: str | None = None


_reply = msgspec.json.Decoder(Reply)
_kind = msgspec.json.Decoder(_Kind)
_message = msgspec.json.Decoder(_Message)
_call = msgspec.json.Decoder(Call)
_reasoning = msgspec.json.Decoder(keeping.Reasoning)


def read_answer(body: bytes, origin: str, new_id: str) -> Answer:
    """Raises Unreadable, also for an answer that failed or is not there yet."""
    del new_id  # calls have ids here
    try:
        reply = _reply.decode(body)
        if reply.output is None or reply.status not in ENDED:
            raise Unreadable(f"a response with status {reply.status}: {failure(reply.error).message}")
        parts = [part for raw in reply.output for part in item_parts(raw, origin)]
        said = [entry for raw in reply.output for entry in _logprobs(raw)]
    except (*BROKEN, Refused) as error:
        raise Unreadable(f"no response object: {error}") from None
    return Answer(
        id=reply.id,
        model=reply.model,
        parts=tuple(parts),
        finish=finish(reply, parts[-1] if parts else None, any(map(is_call, parts))),
        usage=usage(reply.usage),
        created=reply.created,
        logprobs=chosen(said) if said else None,
        service_tier=reply.service_tier,
    )


def item_parts(raw: msgspec.Raw, origin: str) -> Sequence[Part]:
    """Raises DecodeError."""
    kind = _kind.decode(raw).type
    read = _READ.get(kind)
    return (Opaque(DIALECT, f"an item of type {kind[:64]}", raw),) if read is None else read(raw, origin)


def content_part(said: Said) -> Text | Refusal:
    return Refusal(said.refusal) if said.type == "refusal" else Text(said.text, citations=citations(said.annotations))


def called(raw: msgspec.Raw, free: bool) -> ToolCall:
    found = _call.decode(raw)
    return ToolCall(found.call_id, found.name, found.input if free else found.arguments, free, found.namespace)


def chosen(entries: Sequence[msgspec.Raw]) -> msgspec.Raw:
    """Log probabilities of tokens in the vocabulary's words: `{"content": [{token, logprob, bytes, top_logprobs}]}`."""
    return msgspec.Raw(msgspec.json.encode({"content": entries}))


def _logprobs(raw: msgspec.Raw) -> Sequence[msgspec.Raw]:
    if _kind.decode(raw).type != "message":
        return ()
    return [entry for said in _message.decode(raw).content for entry in said.logprobs or ()]


def _read_message(raw: msgspec.Raw, origin: str) -> Sequence[Part]:
    return [content_part(said) for said in _message.decode(raw).content]


def _read_reasoning(raw: msgspec.Raw, origin: str) -> Sequence[Part]:
    found = _reasoning.decode(raw)
    seal = keeping.sealed(origin, found.id, found.encrypted_content)
    return (keeping.thinking(found, None if seal is None else keeping.Kept(seal, None)),)


def _read_drawing(raw: msgspec.Raw, origin: str) -> Sequence[Part]:
    return (drawing(raw) or Opaque(DIALECT, "an item of type image_generation_call", raw),)


_READ: dict[str, Callable[[msgspec.Raw, str], Sequence[Part]]] = {
    "message": _read_message,
    "reasoning": _read_reasoning,
    "function_call": lambda raw, origin: (called(raw, False),),
    "custom_tool_call": lambda raw, origin: (called(raw, True),),
    "image_generation_call": _read_drawing,
}
