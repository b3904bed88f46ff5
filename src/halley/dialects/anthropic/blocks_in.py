"""Content blocks of Anthropic Messages to parts: of messages, of tool results, of documents.

A block that only this dialect has becomes an opaque part, never an error: new kinds appear every few months. Blocks and fields as the SDK's
types of 2026-10 have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, cast

import msgspec

from halley.chat.model import (
    Cache,
    Citation,
    Document,
    Extra,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    PlainText,
    Seal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from halley.chat.reading import decode, given, invalid, join, missing, strays
from halley.chat.strays import Strays, Watch
from halley.dialects.anthropic.left_out import LEFT_OUT
from halley.dialects.anthropic.sealing import NAME, is_own, taken, taken_behind

Blocks = list[msgspec.Raw]
_Tell = list[Extra]


class CacheControl(msgspec.Struct):
    type: str = "ephemeral"
    ttl: str | None = None


class _Text(msgspec.Struct):
    text: str
    cache_control: CacheControl | None = None
    citations: list[msgspec.Raw] | None = None


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: str | list[msgspec.Raw] | None = None


class _Image(msgspec.Struct):
    source: _Source
    cache_control: CacheControl | None = None


class _Cited(msgspec.Struct):
    enabled: bool | None = None


class _Document(msgspec.Struct):
    source: _Source
    title: str | None = None
    context: str | None = None
    citations: _Cited | None = None
    cache_control: CacheControl | None = None


class _ToolUse(msgspec.Struct):
    id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")
    cache_control: CacheControl | None = None
    caller: msgspec.Raw = msgspec.Raw()


class _ToolResult(msgspec.Struct):
    tool_use_id: str
    content: str | list[msgspec.Raw] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class _Thinking(msgspec.Struct):
    thinking: str
    signature: str = ""


class _Redacted(msgspec.Struct):
    data: str


class _Reference(msgspec.Struct):
    tool_name: str
    cache_control: CacheControl | None = None


class _Kind(msgspec.Struct):
    type: str


class CitationWords(msgspec.Struct):
    """What the five kinds of citations have in common with those of others."""

    cited_text: str | None = None
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None


_KIND: Final = msgspec.json.Decoder(_Kind)
_CITATION: Final = msgspec.json.Decoder(CitationWords)
_PROVIDERS: Final = Watch(CitationWords, LEFT_OUT, "content[].citations[]")


def read_cache(found: CacheControl | None, at: str) -> Cache | None:
    if found is None:
        return None
    if found.ttl == "5m" or found.ttl == "1h" or found.ttl is None:
        return Cache(found.ttl)
    raise invalid(join(at, "cache_control.ttl"), "known are 5m and 1h")


def read_citation(raw: msgspec.Raw, told: Strays) -> Citation:
    """A provider's. Raises msgspec.DecodeError."""
    return _citation(_PROVIDERS.read(raw, told), raw)


def _citation(words: CitationWords, raw: msgspec.Raw | bytes) -> Citation:
    """Its places are places of a document, not of the text, so that only `raw` has them."""
    url = words.url or (words.source if words.source is not None and words.source.startswith("http") else None)
    return Citation(url=url, title=words.title or words.document_title, quote=words.cited_text, dialect=NAME, raw=msgspec.Raw(bytes(raw)))


def read_source(found: _Source, at: str) -> Source | PlainText | None:
    """None: a source that has no twin."""
    match found:
        case _Source(type="base64", media_type=str(mime), data=str(data)):
            return Inline(mime, data)
        case _Source(type="url", url=str(url)):
            return Url(url, found.media_type)
        case _Source(type="file", file_id=str(name)):
            return FileId(name, NAME, found.media_type)
        case _Source(type="text", data=str(text)):
            return PlainText(text)
        case _Source(type="base64"):
            raise missing(join(at, "media_type" if found.media_type is None else "data"), "a base64 source has media_type and data")
        case _Source(type="url" | "file" | "text"):
            field = {"url": "url", "file": "file_id", "text": "data"}[found.type]
            raise missing(join(at, field), f"a {found.type} source has it")
        case _:
            return None


def _text(raw: msgspec.Raw, at: str, tell: _Tell) -> Part:
    found = decode(_TEXT, raw, at)
    cited = [(join(at, f"citations[{index}]"), each) for index, each in enumerate(found.citations or ())]
    citations = tuple(_citation(decode(_CITATION, each, place), each) for place, each in cited)
    for place, each in cited:
        tell += strays(NAME, each, CitationWords, place)
    return Text(found.text, read_cache(found.cache_control, at), citations, at=at)


def _image(raw: msgspec.Raw, at: str, tell: _Tell) -> Part:
    found = decode(_IMAGE, raw, at)
    source = read_source(found.source, join(at, "source"))
    if source is None or isinstance(source, PlainText):
        return Opaque(NAME, f"image from a source of type {found.source.type[:64]}", raw.copy(), at)
    return Image(source, cache=read_cache(found.cache_control, at), at=at)


def _document(raw: msgspec.Raw, at: str, tell: _Tell) -> Part:
    found = decode(_DOCUMENT, raw, at)
    content = found.source.content
    if found.source.type == "content" and content is not None:
        # Where one block ends and the next begins matters to this dialect's citations alone.
        texts = [content] if isinstance(content, str) else _texts(read_blocks(content, join(at, "source.content"), tell))
        source = None if texts is None else PlainText("\n".join(texts))
    else:
        source = read_source(found.source, join(at, "source"))
    if source is None:
        return Opaque(NAME, f"document from a source of type {found.source.type[:64]}", raw.copy(), at)
    cited = found.citations is not None and found.citations.enabled is True
    return Document(source, found.title, found.context, cited, read_cache(found.cache_control, at), at)


def _texts(parts: Iterable[Part]) -> list[str] | None:
    """None if one of them is not text."""
    texts: list[str] = []
    for part in parts:
        if not isinstance(part, Text):
            return None
        texts.append(part.text)
    return texts


def _tool_use(raw: msgspec.Raw, at: str, tell: _Tell) -> Part:
    found = decode(_TOOL_USE, raw, at)
    # "direct" is what every call is that the model itself made.
    if (caller := given(found.caller)) is not None and kind_of(caller, join(at, "caller")) != "direct":
        tell.append(Extra(NAME, join(at, "caller"), caller))
    return ToolCall(found.id, found.name, bytes(found.input).decode(), cache=read_cache(found.cache_control, at), at=at)


def _tool_result(raw: msgspec.Raw, at: str, tell: _Tell) -> Part:
    found = decode(_TOOL_RESULT, raw, at)
    parts = read_content(found.content, join(at, "content"), tell)
    inner = cast("tuple[Text | Image | Document | Opaque, ...]", parts)
    cache = read_cache(found.cache_control, at)
    return ToolResult(found.tool_use_id, inner, failed=found.is_error is True, cache=cache, at=at)


def _thinking(raw: msgspec.Raw, at: str, tell: _Tell) -> Part:
    found = decode(_THINKING, raw, at)
    return Thinking(found.thinking, seal=taken(found.signature), at=at)


def _redacted(raw: msgspec.Raw, at: str, tell: _Tell) -> Part:
    found = decode(_REDACTED, raw, at)
    return Thinking("", redacted=True, seal=taken(found.data), at=at)


def _tool_reference(raw: msgspec.Raw, at: str, tell: _Tell) -> Part:
    """Claude Code's search for tools finds one, and from here on it stands among the tools of the ask."""
    found = decode(_REFERENCE, raw, at)
    return Text(f"The tool {found.tool_name} has been found: it can be called.", cache=read_cache(found.cache_control, at), at=at)


_TEXT: Final = msgspec.json.Decoder(_Text)
_IMAGE: Final = msgspec.json.Decoder(_Image)
_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_TOOL_USE: Final = msgspec.json.Decoder(_ToolUse)
_TOOL_RESULT: Final = msgspec.json.Decoder(_ToolResult)
_THINKING: Final = msgspec.json.Decoder(_Thinking)
_REDACTED: Final = msgspec.json.Decoder(_Redacted)
_REFERENCE: Final = msgspec.json.Decoder(_Reference)

_Reader = Callable[[msgspec.Raw, str, _Tell], Part]


_BLOCKS: Final[dict[str, tuple[type[msgspec.Struct], _Reader]]] = {
    "text": (_Text, _text),
    "image": (_Image, _image),
    "document": (_Document, _document),
    "tool_use": (_ToolUse, _tool_use),
    "tool_result": (_ToolResult, _tool_result),
    "thinking": (_Thinking, _thinking),
    "redacted_thinking": (_Redacted, _redacted),
    "tool_reference": (_Reference, _tool_reference),
}
"""What is read: all other kinds are opaque."""


def kind_of(raw: msgspec.Raw, at: str) -> str:
    """Raises Refused."""
    return decode(_KIND, raw, at).type


def read_block(raw: msgspec.Raw, at: str, tell: _Tell) -> Part:
    """One block; fields that are unknown go to `tell`. Raises Refused."""
    kind = kind_of(raw, at)
    row = _BLOCKS.get(kind)
    if row is None:
        return Opaque(NAME, kind[:64], raw.copy(), at)
    shape, read = row
    part = read(raw, at, tell)
    if not isinstance(part, Opaque):
        tell += strays(NAME, raw, shape, at)
    return part


def read_blocks(blocks: Blocks, at: str, tell: _Tell) -> tuple[Part, ...]:
    return tuple(read_block(raw, f"{at}[{index}]", tell) for index, raw in enumerate(blocks))


def read_content(content: str | Blocks | None, at: str, tell: _Tell) -> tuple[Part, ...]:
    """A field that is a text, or blocks. Raises Refused."""
    if content is None:
        return ()
    return (Text(content, at=at),) if isinstance(content, str) else read_blocks(content, at, tell)


def unpack_seals(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Thinking blocks that only carry the seal of a neighbour give it back, and those that say nothing at all are left out."""
    out: list[Part] = []
    ahead: Seal | None = None
    for part in parts:
        if isinstance(part, Thinking) and not part.text and not part.redacted:
            if part.seal is None:
                continue
            behind = taken_behind(part.seal)
            if behind is not None:
                out[-1:] = [_sealed(out[-1], behind)] if out else []
                continue
            if not is_own(part.seal):
                ahead = part.seal
                continue
        if ahead is not None:
            part = _sealed(part, ahead)
            ahead = None
        out.append(part)
    return tuple(out)


def _sealed(part: Part, seal: Seal) -> Part:
    """A seal whose part the client took away seals nothing."""
    return msgspec.structs.replace(part, seal=seal) if isinstance(part, Text | ToolCall | Image) else part
