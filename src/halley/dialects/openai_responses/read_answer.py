"""A whole answer of a provider that speaks this dialect, and the parts of each of its output items.

An item of a tool that the provider ran stays raw. A reasoning item's encrypted content is sealed with the provider's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from halley.chat.doors import Unreadable
from halley.chat.model import Answer, Citation, Opaque, Part, Refusal, Text, ToolCall
from halley.chat.strays import Strays, Watch
from halley.dialects.openai_responses import keeping
from halley.dialects.openai_responses.content import citation_watched
from halley.dialects.openai_responses.fields import DIALECT
from halley.dialects.openai_responses.left_out import LEFT_OUT
from halley.dialects.openai_responses.read_items import Drawing, drawing
from halley.dialects.openai_responses.replies import Reply, failure, finish, is_call, usage_watched
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


_ITEM = "output[]"
REPLY = Watch(Reply, LEFT_OUT)
SAID = Watch(Said, LEFT_OUT, f"{_ITEM}.content[]")
_kind = msgspec.json.Decoder(_Kind)
_message = Watch(_Message, LEFT_OUT, _ITEM)
_call = Watch(Call, LEFT_OUT, _ITEM)
_reasoning = Watch(keeping.Reasoning, LEFT_OUT, _ITEM)
_drawing = Watch(Drawing, LEFT_OUT, _ITEM)


def read_answer(body: bytes, origin: str, new_id: str) -> Answer:
    """Raises Unreadable, also for an answer that failed or is not there yet."""
    del new_id  # calls have ids here
    strays = Strays()
    try:
        reply = REPLY.read(body, strays)
        if reply.output is None or reply.status not in ENDED:
            raise Unreadable(f"a response with status {reply.status}: {failure(reply.error).message}")
        parts = [part for raw in reply.output for part in item_parts(raw, origin, strays)]
        said = [entry for raw in reply.output for entry in _logprobs(raw, strays)]
    except (*BROKEN, Refused) as error:
        raise Unreadable(f"no response object: {error}") from None
    used = usage_watched(reply.usage, strays)
    return Answer(
        id=reply.id,
        model=reply.model,
        parts=tuple(parts),
        finish=finish(reply, parts[-1] if parts else None, any(map(is_call, parts))),
        usage=used,
        created=reply.created,
        logprobs=chosen(said) if said else None,
        service_tier=reply.service_tier,
        losses=strays.losses,
    )


def item_parts(raw: msgspec.Raw, origin: str, strays: Strays) -> Sequence[Part]:
    """Raises DecodeError."""
    kind = _kind.decode(raw).type
    read = _READ.get(kind)
    return (_opaque(kind, raw),) if read is None else read(raw, origin, strays)


def content_part(said: Said, strays: Strays) -> Text | Refusal:
    if said.type not in CONTENT:
        strays.tell(f"{_ITEM}.content[]", f"a content part of type {said.type[:64]}, of which only a text would be given")
    return Refusal(said.refusal) if said.type == "refusal" else Text(said.text, citations=cited(said, strays))


def cited(said: Said, strays: Strays) -> tuple[Citation, ...]:
    return tuple(citation_watched(raw, strays) for raw in said.annotations or ())


def called(raw: msgspec.Raw, free: bool, strays: Strays) -> ToolCall:
    found = _call.read(raw, strays)
    return ToolCall(found.call_id, found.name, found.input if free else found.arguments, free, found.namespace)


def chosen(entries: Sequence[msgspec.Raw]) -> msgspec.Raw:
    """Log probabilities of tokens in the vocabulary's words: `{"content": [{token, logprob, bytes, top_logprobs}]}`."""
    return msgspec.Raw(msgspec.json.encode({"content": entries}))


def _opaque(kind: str, raw: msgspec.Raw) -> Opaque:
    return Opaque(DIALECT, f"an item of type {kind[:64]}", raw, _ITEM)


def _logprobs(raw: msgspec.Raw, strays: Strays) -> Sequence[msgspec.Raw]:
    if _kind.decode(raw).type != "message":
        return ()
    return [entry for said in _message.read(raw, strays).content for entry in said.logprobs or ()]


def _read_message(raw: msgspec.Raw, origin: str, strays: Strays) -> Sequence[Part]:
    return [content_part(said, strays) for said in _message.read(raw, strays).content]


def _read_reasoning(raw: msgspec.Raw, origin: str, strays: Strays) -> Sequence[Part]:
    found = _reasoning.read(raw, strays)
    seal = keeping.sealed(origin, found.id, found.encrypted_content)
    return (keeping.thinking(found, None if seal is None else keeping.Kept(seal, None)),)


def _read_drawing(raw: msgspec.Raw, origin: str, strays: Strays) -> Sequence[Part]:
    image = drawing(raw)
    if image is None:
        return (_opaque("image_generation_call", raw),)
    _drawing.read(raw, strays)
    return (image,)


CONTENT: dict[str, type[Text] | type[Refusal]] = {"output_text": Text, "refusal": Refusal}
_READ: dict[str, Callable[[msgspec.Raw, str, Strays], Sequence[Part]]] = {
    "message": _read_message,
    "reasoning": _read_reasoning,
    "function_call": lambda raw, origin, strays: (called(raw, False, strays),),
    "custom_tool_call": lambda raw, origin, strays: (called(raw, True, strays),),
    "image_generation_call": _read_drawing,
}
