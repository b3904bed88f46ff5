"""Content parts of messages and of tool results, both ways: text, images, files, sound, refusals, and the citations of a text.

Shapes: `input_text{text}`, `input_image{image_url | file_id, detail}`, `input_file{file_data | file_url | file_id, filename}`,
`output_text{text, annotations}`, `refusal{refusal}` (OpenAI's published schema, read 2026-11). `image_url` is a string here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from halley.chat.media import data_url, file_name, inline, sniffed, sound_mime
from halley.chat.model import (
    Audio,
    Citation,
    Document,
    Extra,
    FileId,
    Image,
    Inline,
    Loss,
    Opaque,
    Part,
    PlainText,
    Refusal,
    Source,
    Text,
    Url,
)
from halley.chat.reading import decode, strays, unsaid
from halley.chat.strays import Strays, Watch
from halley.dialects.openai_responses.fields import DIALECT
from halley.dialects.openai_responses.left_out import LEFT_OUT

ResultPart = Text | Image | Audio | Document | Opaque


class Sound(msgspec.Struct):
    data: str
    format: str


class Annotation(msgspec.Struct):
    type: str
    url: str | None = None
    title: str | None = None
    filename: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Content(msgspec.Struct):
    """A content part of any kind; which fields it must have depends on `type`."""

    type: str
    text: str | None = None
    refusal: str | None = None
    annotations: list[msgspec.Raw] | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    filename: str | None = None
    input_audio: Sound | None = None


_content = msgspec.json.Decoder(Content)
_annotation = msgspec.json.Decoder(Annotation)
_answered = Watch(Annotation, LEFT_OUT, "output[].content[].annotations[]")


# ---- read -------------------------------------------------------------------------------------------------------------------------------


def read_parts(content: str | Sequence[msgspec.Raw], at: str, extras: list[Extra]) -> tuple[Part, ...]:
    """Raises Refused. What of a part has no place in the vocabulary goes to `extras`."""
    if isinstance(content, str):
        return (Text(content, at=at),)
    return tuple(_read_part(raw, f"{at}[{number}]", extras) for number, raw in enumerate(content))


def _read_part(raw: msgspec.Raw, at: str, extras: list[Extra]) -> Part:
    found = decode(_content, raw, at)
    read = _READ.get(found.type)
    if read is None:
        return Opaque(DIALECT, f"a content part of type {found.type[:64]}", raw, at)
    extras += strays(DIALECT, raw, Content, at)
    for number, each in enumerate(found.annotations or ()):
        extras += strays(DIALECT, each, Annotation, f"{at}.annotations[{number}]")
    return read(found, at)


def citations(annotations: Sequence[msgspec.Raw] | None, at: str = "") -> tuple[Citation, ...]:
    return tuple(citation(raw, at) for raw in annotations or ())


def citation(raw: msgspec.Raw, at: str = "") -> Citation:
    return _cited(decode(_annotation, raw, at), raw)


def citation_watched(raw: msgspec.Raw, strays: Strays) -> Citation:
    """Of a provider's answer. Raises DecodeError."""
    return _cited(_answered.read(raw, strays), raw)


def _cited(found: Annotation, raw: msgspec.Raw) -> Citation:
    return Citation(found.url, found.title or found.filename, found.start_index, found.end_index, None, DIALECT, raw)


def _needed(value: str | None, field: str, at: str) -> str:
    if value is None:
        raise unsaid(f"{at}.{field}", "is missing")
    return value


def _text(found: Content, at: str) -> Text:
    return Text(_needed(found.text, "text", at), citations=citations(found.annotations, at), at=at)


def _refusal(found: Content, at: str) -> Refusal:
    return Refusal(_needed(found.refusal, "refusal", at), at)


def _image(found: Content, at: str) -> Image:
    source: Source
    if found.file_id is not None:
        source = FileId(found.file_id, DIALECT)
    else:
        url = _needed(found.image_url, "image_url", at)
        source = inline(url) or Url(url)
    return Image(source, found.detail, at=at)


def _file(found: Content, at: str) -> Document:
    source: Source
    if found.file_id is not None:
        source = FileId(found.file_id, DIALECT)
    elif found.file_url is not None:
        source = Url(found.file_url)
    else:
        given = _needed(found.file_data, "file_data", at)
        source = inline(given) or Inline(sniffed(given), given)
    return Document(source, found.filename, at=at)


def _sound(found: Content, at: str) -> Audio:
    if found.input_audio is None:
        raise unsaid(f"{at}.input_audio", "is missing")
    return Audio(Inline(sound_mime(found.input_audio.format), found.input_audio.data), at=at)


_READ: dict[str, Callable[[Content, str], Part]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _sound,
}


# ---- write ------------------------------------------------------------------------------------------------------------------------------


def write_input(part: Part, losses: list[Loss]) -> object:
    """A part of a user's, system's or developer's message, or of a tool's result. Raises Refused."""
    match part:
        case Text(text=text):
            _unsealed(part, losses)
            return {"type": "input_text", "text": text}
        case Image(source=source, detail=detail):
            return {"type": "input_image", **_image_source(source, part.at), "detail": detail or "auto"}
        case Document():
            return _document(part, losses)
        case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
            return raw
        case Opaque(what=what):
            raise unsaid(part.at, f"{what} cannot be said in the Responses dialect")
        case _:
            raise unsaid(part.at, f"a part of kind {type(part).__name__.lower()} cannot be said in the Responses dialect")


def _image_source(source: Source, at: str) -> dict[str, str]:
    match source:
        case Inline():
            return {"image_url": data_url(source)}
        case Url(url=url):
            return {"image_url": url}
        case FileId(id=id, dialect=dialect):
            return {"file_id": _own_file(id, dialect, at)}


def _document(part: Document, losses: list[Loss]) -> object:
    if part.context is not None:
        losses.append(Loss(f"{part.at}.context", "a file has no remark about it in the Responses dialect"))
    if part.cited:
        losses.append(Loss(f"{part.at}.citations", "citations of a file are not asked for in the Responses dialect"))
    match part.source:
        case PlainText(text=text):
            if part.name is not None:
                losses.append(Loss(f"{part.at}.title", "a text has no name in the Responses dialect"))
            return {"type": "input_text", "text": text}
        case Inline(mime=mime):
            return {"type": "input_file", "filename": part.name or file_name(mime), "file_data": data_url(part.source)}
        case Url(url=url):
            if part.name is not None:
                losses.append(Loss(f"{part.at}.title", "a file that is fetched has no name in the Responses dialect"))
            return {"type": "input_file", "file_url": url}
        case FileId(id=id, dialect=dialect):
            return {"type": "input_file", "file_id": _own_file(id, dialect, part.at)}


def _own_file(id: str, dialect: str, at: str) -> str:
    if dialect != DIALECT:
        raise unsaid(at, "a file that was uploaded elsewhere is not known there; send it inline")
    return id


def write_output(part: Text | Refusal, losses: list[Loss]) -> object:
    """A part of what the model said."""
    match part:
        case Refusal(text=text):
            return {"type": "refusal", "refusal": text}
        case Text(text=text):
            return {"type": "output_text", "text": text, "annotations": write_annotations(part.citations, text, losses, part.at)}


def write_annotations(found: Sequence[Citation], text: str, losses: list[Loss], at: str) -> list[object]:
    """A citation without a range is of the whole part."""
    made: list[object] = []
    for each in found:
        if each.dialect == DIALECT and each.raw is not None:
            made.append(each.raw)
        elif each.url is not None:
            start = each.start or 0
            end = len(text) if each.end is None else each.end
            # AI SDK demands a title.
            made.append({"type": "url_citation", "start_index": start, "end_index": end, "url": each.url, "title": each.title or each.url})
        else:
            losses.append(
                Loss(f"{at}.citations" if at else "citations", "only citations of an address can be said in the Responses dialect")
            )
    return made


def _unsealed(part: Text, losses: list[Loss]) -> None:
    if part.seal is not None:
        losses.append(Loss(part.at, "a signature of another provider is left out"))
