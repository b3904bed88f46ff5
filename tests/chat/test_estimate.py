"""An estimate grows with what is said, and never with how a medium is encoded."""

from __future__ import annotations

import msgspec

from halley.chat.estimate import PAGE_TOKENS, PICTURE_TOKENS, tokens
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
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Url,
)


def count(*parts: Part) -> int:
    return tokens(Ask(model="m", turns=(Turn("user", parts),)), 4.0).input


def test_text_counts_by_its_bytes() -> None:
    assert count(Text("a" * 400)) - count() == 100
    assert count(Text("é" * 200)) == count(Text("a" * 400))
    nested = ToolResult("i", (Text("a" * 400), Image(Url("https://example.com/a.png"))))
    assert count(nested) - count() >= 100 + PICTURE_TOKENS
    assert count(ToolCall("i", "n", '{"a":1}')) > count()
    assert count(Opaque("gemini", "a part", msgspec.Raw(b'{"a":1}'))) > count()


def test_media_count_by_what_they_are() -> None:
    assert count(Image(Inline("image/png", "A" * 1_000_000))) == count(Image(Inline("image/png", "A")))
    assert count(Document(Inline("application/pdf", "A" * 800_000))) - count() == 11 * PAGE_TOKENS
    assert count(Document(PlainText("a" * 400))) - count() == 100
    assert count(Audio(Inline("audio/wav", "A" * 640_000))) > count(Audio(Inline("audio/wav", "A")))


def test_tools_count() -> None:
    schema = msgspec.Raw(b'{"type":"object","properties":{}}')
    bare = tokens(Ask(model="m", turns=()), 4.0).input
    for tool in (Function("f", "what it does", schema), FreeTool("f", "what"), Hosted("gemini", "search", msgspec.Raw(b'{"a":{}}'))):
        assert tokens(Ask(model="m", turns=(), tools=(tool,)), 4.0).input > bare
