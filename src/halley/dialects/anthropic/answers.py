"""A whole answer of Anthropic Messages, read from a provider and written for a client.

Where the seals of other makers stand is told in `sealing`. Nothing here knows of streams, but they are made of the same blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from halley.chat import untold
from halley.chat.doors import Asked, Unreadable, Written
from halley.chat.model import (
    Answer,
    Audio,
    Citation,
    Extra,
    Loss,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from halley.chat.strays import Strays, Watch
from halley.dialects.anthropic.blocks_in import read_citation
from halley.dialects.anthropic.blocks_out import as_object, wrapped
from halley.dialects.anthropic.finish import (
    ENDS,
    USAGE_SAID,
    StopDetails,
    finish_words,
    read_finish,
    read_usage,
    usage_watched,
    usage_words,
)
from halley.dialects.anthropic.left_out import LEFT_OUT
from halley.dialects.anthropic.sealing import NAME, is_own, written, written_behind
from halley.wire.jsonbody import BROKEN

TOOLS_USED: Final = "usage.server_tool_use"
# The vocabulary has OpenAI's words.
_TIERS: Final = {"default": "standard", "priority": "priority", "batch": "batch"}
_READ_TIERS: Final = {word: tier for tier, word in _TIERS.items()}
_NOT_SEEN: Final = "cannot be shown in this dialect"


class _Kind(msgspec.Struct):
    type: str


class TextWords(msgspec.Struct):
    text: str = ""
    citations: list[msgspec.Raw] | None = None


class ThinkingWords(msgspec.Struct):
    thinking: str = ""
    signature: str = ""


class RedactedWords(msgspec.Struct):
    data: str = ""


class ToolUseWords(msgspec.Struct):
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw()


BlockWords = TextWords | ThinkingWords | RedactedWords | ToolUseWords
"""A block that has a twin."""


class _Answer(msgspec.Struct):
    content: list[msgspec.Raw]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: msgspec.Raw = msgspec.Raw()
    container: msgspec.Raw = msgspec.Raw()


class _Count(msgspec.Struct):
    input_tokens: int


_ANSWER: Final = Watch(_Answer, LEFT_OUT)
_BLOCKS: Final[dict[str, Watch[Any]]] = {
    "text": Watch(TextWords, LEFT_OUT, "content[]"),
    "thinking": Watch(ThinkingWords, LEFT_OUT, "content[]"),
    "redacted_thinking": Watch(RedactedWords, LEFT_OUT, "content[]"),
    "tool_use": Watch(ToolUseWords, LEFT_OUT, "content[]"),
}
_decode_kind: Final = msgspec.json.Decoder(_Kind).decode
_decode_count: Final = msgspec.json.Decoder(_Count).decode


def _input(given: msgspec.Raw) -> str:
    """Of a tool without arguments some hosts give null."""
    return "{}" if bytes(given) == b"null" else bytes(given).decode()


def read_answer(body: bytes, origin: str, new_id: str) -> Answer:
    """`origin` is stamped on signatures. Raises Unreadable."""
    strays = Strays()
    try:
        found = _ANSWER.read(body, strays)
        parts = tuple(read_block(raw, origin, f"toolu_{new_id}_{index}", strays) for index, raw in enumerate(found.content))
    except BROKEN as error:
        raise Unreadable(f"no message: {error}"[:300]) from None
    usage = usage_watched(found.usage, strays)
    extras: list[Extra] = []
    if present(found.container):
        extras.append(Extra(NAME, "container", found.container.copy()))
    if usage is not None and present(usage.server_tool_use):
        extras.append(Extra(NAME, TOOLS_USED, usage.server_tool_use.copy()))
    return Answer(
        id=found.id,
        model=found.model,
        parts=parts,
        finish=read_finish(found.stop_reason, found.stop_sequence, found.stop_details),
        usage=None if usage is None else read_usage(usage),
        service_tier=None if usage is None else read_tier(usage.service_tier),
        extras=tuple(extras),
        losses=strays.losses,
    )


def read_count(body: bytes) -> int:
    """The answer of `/v1/messages/count_tokens`. Raises Unreadable."""
    try:
        return _decode_count(body).input_tokens
    except BROKEN as error:
        raise Unreadable(f"no count: {error}"[:300]) from None


def present(raw: msgspec.Raw) -> bool:
    return len(raw) > 0 and bytes(raw) != b"null"


def read_block(raw: msgspec.Raw, origin: str, new_id: str, strays: Strays) -> Part:
    """A content block of an answer. Raises msgspec.DecodeError."""
    match read_words(raw, strays):
        case TextWords() as block:
            return Text(block.text, citations=cited(block, strays))
        case ThinkingWords(thinking=thinking, signature=signature):
            return Thinking(thinking, seal=_seal(signature, origin))
        case RedactedWords(data=data):
            return Thinking("", redacted=True, seal=_seal(data, origin))
        case ToolUseWords(id=id, name=name, input=given):
            return ToolCall(id or new_id, name, _input(given))
        case None:
            return opaque(raw.copy())


def read_words(raw: msgspec.Raw, strays: Strays) -> BlockWords | None:
    """What a content block says, by its type; None of one that has no twin. Raises msgspec.DecodeError."""
    watch = _BLOCKS.get(_decode_kind(raw).type)
    return None if watch is None else watch.read(raw, strays)


def opaque(raw: msgspec.Raw) -> Opaque:
    """Raises msgspec.DecodeError."""
    return Opaque(NAME, _decode_kind(raw).type[:64], raw, "content[]")


def cited(block: TextWords, strays: Strays) -> tuple[Citation, ...]:
    return tuple(read_citation(raw, strays) for raw in block.citations or ())


def _seal(value: str, origin: str) -> Seal | None:
    return Seal(origin, value) if value else None


# ---- for a client -----------------------------------------------------------------------------------------------------------------------


def write_answer(answer: Answer, asked: Asked) -> Written:
    losses: list[Loss] = []
    content = [block for index, part in enumerate(answer.parts) for block in _blocks(part, f"toolu_{asked.id}_{index}", losses)]
    if answer.logprobs is not None:
        losses.append(Loss("logprobs", _NOT_SEEN))
    if answer.usage is None:
        losses.append(Loss("usage", "the provider did not say what it counted; zeros stand for it"))
    losses += untold.of_finish(answer.finish, ENDS) + untold.of_usage(answer.usage, USAGE_SAID)
    container, tools = split_extras(answer.extras, losses)
    words = finish_words(answer.finish, any(isinstance(part, Refusal) for part in answer.parts))
    body = {
        "id": answer.id or f"msg_{asked.id}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        **words,
        "usage": usage_words(answer.usage, write_tier(answer.service_tier, losses), tools),
    }
    if container is not None:
        body["container"] = container
    return Written(msgspec.json.encode(body), tuple(losses))


def read_tier(word: str | None) -> str | None:
    return None if word is None else _READ_TIERS.get(word, word)


def write_tier(tier: str | None, losses: list[Loss]) -> str | None:
    """The tier that served, where this dialect has a word for it."""
    word = None if tier is None else _TIERS.get(tier)
    if tier is not None and word is None:
        losses.append(Loss("service_tier", f'that it was served as "{tier}" {_NOT_SEEN}'))
    return word


def split_extras(extras: Iterable[Extra], losses: list[Loss]) -> tuple[msgspec.Raw | None, msgspec.Raw | None]:
    """`container` and the use of server tools; what is another dialect's is lost."""
    own: dict[str, msgspec.Raw] = {}
    for extra in extras:
        if extra.dialect == NAME:
            own[extra.at] = extra.raw
        else:
            losses.append(Loss(extra.at, _NOT_SEEN))
    return own.get("container"), own.get(TOOLS_USED)


def own_citations(citations: tuple[Citation, ...], losses: list[Loss]) -> list[msgspec.Raw]:
    """Others name pages by URL and characters of the answer; here a citation is of a document or a search of this provider's own."""
    own = [citation.raw for citation in citations if citation.dialect == NAME and citation.raw is not None]
    if len(own) < len(citations):
        losses.append(Loss("content", "citations of another provider's search cannot be shown in this dialect"))
    return own


def carrier(signature: str) -> dict[str, object]:
    """The empty thinking block that carries a neighbour's seal."""
    return {"type": "thinking", "thinking": "", "signature": signature}


def unseen(part: Part, losses: list[Loss]) -> None:
    what = part.what if isinstance(part, Opaque) else type(part).__name__.lower()
    losses.append(Loss(part.at or "content", f'a part of kind "{what}" {_NOT_SEEN}'))


def whole_block(part: Part) -> object | None:
    """A part that comes whole, as its block; None if it has none."""
    match part:
        case Thinking(text="", seal=Seal() as seal) if part.redacted or not is_own(seal):
            return {"type": "redacted_thinking", "data": written(seal)}
        case Opaque(dialect=dialect, raw=raw) if dialect == NAME:
            return raw
        case _:
            return None


def _blocks(part: Part, new_id: str, losses: list[Loss]) -> list[object]:
    whole = whole_block(part)
    if whole is not None:
        return [whole]
    match part:
        case Text(text=""):  # no block may be empty, and what seals it seals what is before
            return [] if part.seal is None else [carrier(written_behind(part.seal))]
        case Text():
            block: dict[str, object] = {"type": "text", "text": part.text}
            if citations := own_citations(part.citations, losses):
                block["citations"] = citations
            return [*_carriers(part.seal), block]
        case Refusal(text=text):
            return [{"type": "text", "text": text}] if text else []
        case Thinking(text=text, seal=seal):
            return [{"type": "thinking", "thinking": text, "signature": written(seal)}] if text or seal is not None else []
        case ToolCall():
            said = as_object(part.arguments)
            if said is None:
                losses.append(Loss("content", 'arguments that are no JSON object are given as {"arguments": …}'))
                said = wrapped(part.arguments)
            return [*_carriers(part.seal), {"type": "tool_use", "id": part.id or new_id, "name": part.name, "input": said}]
        case Audio(transcript=str(transcript)):
            losses.append(Loss("content", "what was spoken is said by its transcript"))
            return [{"type": "text", "text": transcript}]
        case _:
            unseen(part, losses)
            return []


def _carriers(seal: Seal | None) -> list[object]:
    return [] if seal is None else [carrier(written(seal))]
