"""Where pictures, sounds and files stand within a body: `data:` URLs, base64, and the words for encodings of sound. Nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import re

from halley.chat.model import Inline
from halley.wire import magic

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)
_SNIFFED = 24  # characters of base64 that hold every signature
# OpenAI's schema has wav and mp3; the others are what hosts that speak its dialects take besides.
_SOUNDS = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/opus",
    "pcm16": "audio/L16",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
}
_ENDINGS = {"application/pdf": "pdf", "text/plain": "txt", "text/markdown": "md", "text/html": "html", "text/csv": "csv"}
_FORMATS = {mime.lower(): name for name, mime in _SOUNDS.items()} | {
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/ogg": "opus",
}


def inline(url: str, otherwise: str = "") -> Inline | None:
    """A `data:` URL, None where it is none or is not base64. `otherwise` is what it is if neither the URL nor its first bytes say."""
    found = _DATA_URL.fullmatch(url)
    return None if found is None else Inline(found[1] or sniffed(found[2], otherwise), found[2])


def data_url(source: Inline) -> str:
    return f"data:{source.mime};base64,{source.data}"


def sniffed(data: str, otherwise: str = "") -> str:
    """The MIME type of base64 by its first bytes."""
    return magic.sniff(_head(data)) or otherwise or "application/octet-stream"


def spoken(data: str) -> Inline:
    """A sound of which a provider says no more than its base64: by its first bytes, else samples as OpenAI streams them (`pcm16`)."""
    return Inline(magic.sniff_sound(_head(data)) or "audio/L16;rate=24000", data)


def _head(data: str) -> bytes:
    try:
        return base64.b64decode(data[:_SNIFFED], validate=True)
    except (binascii.Error, ValueError):
        return b""


def file_name(mime: str) -> str:
    """A name for a file that has none, where one is demanded beside its data."""
    return f"document.{_ENDINGS.get(mime.partition(';')[0], 'bin')}"


def sound_mime(format: str) -> str:
    """Of OpenAI's word for an encoding."""
    return _SOUNDS.get(format, f"audio/{format}")


def sound_format(mime: str) -> str | None:
    """OpenAI's word for an encoding, None where it has none."""
    return _FORMATS.get(mime.partition(";")[0].strip().lower())
