"""What every file of this dialect needs: its name, a decoder that names the caller's field when it refuses, and where inline media stand.

Never knows what a field means.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TypeVar

import msgspec

from halley.chat.model import Inline
from halley.errors import Condition, Refused
from halley.wire import magic

DIALECT = "openai_responses"
NULL = b"null"
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)
_ENDINGS = {"application/pdf": "pdf", "text/plain": "txt", "text/markdown": "md", "text/html": "html", "text/csv": "csv"}
_SNIFFED = 24  # characters of base64 that hold every signature

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, at: str) -> T:
    """A part of the caller's body as a value. Raises Refused, naming the field below `at`."""
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise refused(str(error), at) from None


def refused(text: str, at: str = "") -> Refused:
    """A validation error of the decoder (`Expected X, got Y - at `$.path``) in the caller's spelling."""
    reason, _, path = text.partition(" - at `$")
    path = path.rstrip("`").replace("[...]", "[]")
    param = (at + path).lstrip(".") or None
    if reason.startswith("Object missing required field `"):
        field = reason.split("`")[1]
        param = f"{param}.{field}" if param else field
        return Refused(Condition.INVALID, f"{param} is missing.", param=param)
    if reason.startswith("Invalid enum value"):
        reason = "Unknown value"  # the decoder quotes what was sent, which may be a prompt in the wrong place
    reason = reason[:300]
    return Refused(Condition.INVALID, f"{param}: {reason[:1].lower()}{reason[1:]}." if param else f"{reason}.", param=param)


def unsaid(at: str, why: str) -> Refused:
    """Content or a tool that this dialect cannot say."""
    return Refused(Condition.INVALID, f"{at or 'The request'}: {why}.", param=at or None)


def inline(data: str, mime: str = "") -> Inline | None:
    """A `data:` URL, None where it is none or is not base64. `mime` is what it is if the URL does not say."""
    found = _DATA_URL.fullmatch(data)
    return None if found is None else Inline(found[1] or sniffed(found[2], mime), found[2])


def sniffed(data: str, otherwise: str = "") -> str:
    """The MIME type of base64 by its first bytes."""
    try:
        head = base64.b64decode(data[:_SNIFFED], validate=True)
    except (binascii.Error, ValueError):
        head = b""
    return magic.sniff(head) or otherwise or "application/octet-stream"


def data_url(source: Inline) -> str:
    return f"data:{source.mime};base64,{source.data}"


def file_name(mime: str) -> str:
    """A name for a file that has none, which is demanded beside its data."""
    return f"document.{_ENDINGS.get(mime, 'bin')}"
