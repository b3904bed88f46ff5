"""How many tokens an ask has, about: for who asks for a count where no provider counts. It says nothing of money.

Text is reckoned by its bytes; a picture, a page or a second as providers document them on average (read 2026-11).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from halley.chat.model import (
    Ask,
    Audio,
    Document,
    FreeTool,
    Function,
    Hosted,
    Image,
    Inline,
    Opaque,
    Part,
    PlainText,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Video,
)
from halley.chat.usage import Usage

PICTURE_TOKENS = 1600
# A page of a PDF is text and picture, and takes about 60 KB.
PAGE_TOKENS = 2000
_PAGE_BYTES = 60_000
# Speech at 16 KB a second.
SECOND_TOKENS = 32
_SECOND_BYTES = 16_000
# What stands around a turn or a tool.
_FRAME_TOKENS = 4


def tokens(ask: Ask, bytes_per_token: float) -> Usage:
    text, fixed = 0, 0
    for turn in ask.turns:
        fixed += _FRAME_TOKENS
        for part in turn.parts:
            more, also = _part(part)
            text, fixed = text + more, fixed + also
    for tool in ask.tools:
        fixed += _FRAME_TOKENS
        match tool:
            case Function():
                text += _bytes((tool.name, tool.description or "")) + len(tool.schema or b"")
            case FreeTool():
                text += _bytes((tool.name, tool.description or "")) + len(tool.grammar or b"")
            case Hosted():
                text += len(tool.raw)
            case _:
                pass
    if ask.format is not None:
        text += len(ask.format.schema or b"")
    return Usage(math.ceil(text / bytes_per_token) + fixed)


def _part(part: Part) -> tuple[int, int]:
    """Bytes of text, and tokens of everything else."""
    match part:
        case Text() | Refusal() | Thinking():
            return _bytes((part.text,)), 0
        case ToolCall():
            return _bytes((part.name, part.arguments)), _FRAME_TOKENS
        case ToolResult():
            found = [_part(inner) for inner in part.parts]
            return sum(more for more, _ in found), _FRAME_TOKENS + sum(also for _, also in found)
        case Image():
            return 0, PICTURE_TOKENS
        case Document():
            source = part.source
            if isinstance(source, PlainText):
                return _bytes((source.text,)), 0
            return 0, PAGE_TOKENS * (1 + _size(source) // _PAGE_BYTES)
        case Audio() | Video():
            return 0, SECOND_TOKENS * (1 + _size(part.source) // _SECOND_BYTES)
        case Opaque():
            return len(part.raw), 0


def _size(source: object) -> int:
    """Bytes of a medium that is here."""
    return len(source.data) * 3 // 4 if isinstance(source, Inline) else 0


def _bytes(texts: Iterable[str]) -> int:
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
