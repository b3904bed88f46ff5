"""A provider's chat completion as an answer: the first choice. Reasoning comes first, then text, then tool calls, as models work."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from halley.chat.doors import ProviderError, Unreadable
from halley.chat.media import spoken
from halley.chat.model import Answer, Audio, Image, Part, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.strays import Strays, Watch
from halley.dialects.openai_chat import media
from halley.dialects.openai_chat.left_out import LEFT_OUT
from halley.dialects.openai_chat.read_messages import Detail
from halley.dialects.openai_chat.reply import UsageShape, normal
from halley.dialects.openai_chat.words import Annotation, read_annotations, read_finish
from halley.wire.jsonbody import BROKEN

ONE = "only the first of several answers is given"


class Called(msgspec.Struct):
    """Of arguments some hosts give the object and not its text."""

    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None
    input: str | None = None

    def said(self) -> str:
        """Raises Unreadable: what is within the object nobody has looked at yet."""
        found = self.arguments
        if found is None or isinstance(found, str):
            return found or ""
        try:
            return msgspec.json.encode(found).decode()
        except UnicodeDecodeError:
            raise Unreadable("arguments of a call that are no UTF-8") from None


class Google(msgspec.Struct):
    thought_signature: str | None = None


class Beside(msgspec.Struct):
    google: Google | None = None


class Call(msgspec.Struct):
    """A tool call, whole or a piece of one. Hosts that number none of them give each its own id."""

    index: int | None = None
    id: str | None = None
    function: Called | None = None
    custom: Called | None = None
    extra_content: Beside | None = None


class Spoken(msgspec.Struct):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None


class _Text(msgspec.Struct):
    text: str = ""


class Piece(msgspec.Struct):
    """A piece of content that is a list: text, or thinking as Mistral's models say it (its page about reasoning, read 2026-11)."""

    text: str = ""
    thinking: str | list[_Text] | None = None

    def thought(self) -> str:
        found = self.thinking or ""
        return found if isinstance(found, str) else "".join([each.text for each in found])


class _Url(msgspec.Struct):
    url: str


class Picture(msgspec.Struct):
    image_url: _Url


class _Message(msgspec.Struct):
    content: str | list[Piece] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    tool_calls: list[Call] | None = None
    function_call: Called | None = None
    audio: Spoken | None = None
    annotations: list[Annotation] | None = None
    images: list[Picture] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: msgspec.Raw = msgspec.Raw()


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None
    created: float | None = None  # some providers write it with a fraction
    usage: UsageShape | None = None
    service_tier: str | None = None


class _Likely(msgspec.Struct):
    """Log probabilities, of which the tokens of the text cross."""

    content: msgspec.Raw = msgspec.Raw()


class ErrorShape(msgspec.Struct):
    message: str = ""
    code: str | int | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None


class _Error(msgspec.Struct):
    error: ErrorShape | str | None = None
    message: str | None = None
    detail: str | msgspec.Raw | None = None


_completion = Watch(_Completion, LEFT_OUT)
_likely = Watch(_Likely, LEFT_OUT, "choices[].logprobs")
_error = msgspec.json.Decoder(_Error)


def read_answer(body: bytes, origin: str, new_id: str) -> Answer:
    """Raises Unreadable."""
    strays = Strays()
    try:
        found = _completion.read(body, strays)
        if not found.choices:
            raise Unreadable("no choices")
        choice = found.choices[0]
        parts = tuple(_parts(choice.message, origin, new_id))
        logprobs = likely(choice.logprobs, strays)
    except BROKEN as error:
        raise Unreadable(str(error)) from None
    if len(found.choices) > 1:
        strays.tell("choices[1]", ONE)
    return Answer(
        id=found.id or "",
        model=found.model or "",
        parts=parts,
        finish=read_finish(choice.finish_reason, bool(choice.message.refusal), any(isinstance(part, ToolCall) for part in parts)),
        usage=normal(found.usage),
        created=None if found.created is None else int(found.created),
        logprobs=logprobs,
        service_tier=found.service_tier,
        losses=strays.losses,
    )


def likely(raw: msgspec.Raw, strays: Strays) -> msgspec.Raw | None:
    """Log probabilities, None without any."""
    if not len(raw) or bytes(raw) == b"null":
        return None
    with suppress(*BROKEN):  # of another shape they are whole, and a writer's matter
        _likely.read(raw, strays)
    return raw.copy()


def _parts(message: _Message, origin: str, new_id: str) -> list[Part]:
    parts: list[Part] = []
    if message.reasoning_details:
        parts += [thought(detail, origin) for detail in message.reasoning_details]
    elif text := message.reasoning_content or message.reasoning:
        parts.append(Thinking(text, seal=Seal(origin, "")))  # unsigned, and yet wanted back by hosts that think between calls
    content = message.content or ""
    if not isinstance(content, str):
        # Not wanted back in any field of the host's: it has no mark of its maker.
        parts += [Thinking(thought) for thought in ["".join([piece.thought() for piece in content])] if thought]
        content = "".join([piece.text for piece in content])
    text = content
    citations = read_annotations(message.annotations or ())
    if text or citations:
        parts.append(Text(text, citations=citations))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    if message.audio is not None and message.audio.data is not None:
        parts.append(Audio(spoken(message.audio.data), message.audio.transcript, message.audio.id))
    parts += [Image(media.source(picture.image_url.url, "image/png")) for picture in message.images or ()]
    if message.function_call is not None:
        called = message.function_call
        parts.append(ToolCall(f"call_{new_id}_0", called.name or "", called.said()))
    parts += [_call(call, origin, f"call_{new_id}_{index}") for index, call in enumerate(message.tool_calls or ())]
    return parts


def _call(call: Call, origin: str, otherwise: str) -> ToolCall:
    id = call.id or otherwise
    if call.custom is not None:
        return ToolCall(id, call.custom.name or "", call.custom.input or "", free=True, seal=seal_beside(call, origin))
    called = call.function or Called()
    return ToolCall(id, called.name or "", called.said(), seal=seal_beside(call, origin))


def seal_beside(call: Call, origin: str) -> Seal | None:
    """What Google's host of this dialect puts beside a call, and wants back."""
    beside = call.extra_content
    signature = None if beside is None or beside.google is None else beside.google.thought_signature
    return None if signature is None else Seal(origin, signature)


def thought(detail: Detail, origin: str) -> Thinking:
    value = detail.signature or detail.data
    text = detail.text or detail.summary or ""
    seal = None if not value else Seal(origin, value)
    return Thinking(text, summary=detail.summary is not None, redacted=detail.data is not None and not text, id=detail.id, seal=seal)


def read_error(status: int, body: bytes) -> ProviderError:
    """Any of the shapes that hosts of this dialect answer with."""
    try:
        found = _error.decode(body)
    except BROKEN:
        return ProviderError(status, f"The provider answered with status {status}.")
    error = found.error
    if isinstance(error, ErrorShape):
        return ProviderError(status, error.message or f"status {status}", str(error.code or error.type or ""), error.param)
    words = error or found.message or (found.detail if isinstance(found.detail, str) else None)
    return ProviderError(status, words or f"The provider answered with status {status}.")


__all__ = ["ONE", "Beside", "Call", "Called", "Picture", "Piece", "Spoken", "likely", "read_answer", "read_error", "seal_beside", "thought"]
