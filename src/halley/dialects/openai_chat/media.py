"""Where pictures, sounds and files stand in a chat message: data URLs, base64 with a format, file ids. Nothing is decoded or fetched."""

from __future__ import annotations

import re

from halley.chat.model import FileId, Inline, Source, Url

NAME = "openai_chat"
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)
# The schema has wav and mp3; the others are what hosts that speak this dialect take besides.
_AUDIO = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/opus",
    "pcm16": "audio/L16",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
}
_FORMATS = {mime: name for name, mime in _AUDIO.items()} | {
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/ogg": "opus",
}


def source(url: str, otherwise: str) -> Source:
    """What a URL field holds: a data URL inline, anything else an address. `otherwise` is the MIME type of data that names none."""
    found = _DATA_URL.fullmatch(url)
    return Url(url) if found is None else Inline(found[1] or otherwise, found[2])


def url(source: Inline | Url) -> str:
    return source.url if isinstance(source, Url) else f"data:{source.mime};base64,{source.data}"


def file(data: str | None, id: str | None) -> Source | None:
    """`file_data` is a data URL, or base64 of what OpenAI takes for a PDF."""
    if id is not None:
        return FileId(id, NAME)
    if data is None:
        return None
    found = _DATA_URL.fullmatch(data)
    return Inline("application/pdf", data) if found is None else Inline(found[1] or "application/pdf", found[2])


def audio_mime(format: str) -> str:
    return _AUDIO.get(format, f"audio/{format}")


def audio_format(mime: str) -> str | None:
    """OpenAI's word for an encoding, None where it has none."""
    return _FORMATS.get(mime.partition(";")[0].strip().lower())
