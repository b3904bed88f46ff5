"""What was read is written so that it reads the same, for the fixtures of this dialect and for asks that nobody thought of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from halley.chat.doors import Asked, Target
from halley.chat.fold import fold
from halley.chat.model import (
    Answer,
    Ask,
    Cache,
    Choice,
    Document,
    Format,
    Function,
    Image,
    Inline,
    Part,
    PlainText,
    Reasoning,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    WebSearch,
)
from halley.dialects.anthropic import DOORS, outbound, peek
from halley.wire import sse

FIXTURES = Path(__file__).parents[3] / "fixtures"
# Takes budgets and adaptive thinking, so that neither becomes the other.
TARGET = Target("claude-opus-4-6", "anthropic:main", most_output=64_000)
ASKED = Asked(Ask(model="m", turns=()), "claude-opus-4-6", "n", 7)
OWN = "anthropic:"


def fixtures(kind: str, suffix: str) -> list[Path]:
    return [path for path in sorted((FIXTURES / kind / "anthropic").glob(f"*{suffix}")) if ".to-" not in path.name]


def name(path: Path) -> str:
    return path.stem


def placeless(value: object) -> object:
    """A value without the places of its parts, and raw JSON as what it says."""
    if isinstance(value, Raw):
        return msgspec.json.decode(value)
    if isinstance(value, tuple):
        return tuple(placeless(each) for each in value)  # pyright: ignore
    if isinstance(value, msgspec.Struct):
        return (type(value), {field: placeless(getattr(value, field)) for field in value.__struct_fields__ if field != "at"})
    return value


@pytest.mark.parametrize("path", fixtures("asks", ".json"), ids=name)
def test_a_request_of_a_client_passes_as_it_is(path: Path) -> None:
    body = path.read_bytes()
    seen = peek(body)
    if path.stem != "thinking_replayed":
        assert outbound(body, seen, seen.model, None, "") is body


@pytest.mark.parametrize("path", fixtures("asks", ".json"), ids=name)
def test_a_request_that_was_read_and_written_reads_the_same(path: Path) -> None:
    written = DOORS.write_ask(DOORS.read_ask(path.read_bytes()), TARGET)
    again = DOORS.write_ask(DOORS.read_ask(written.body), TARGET)
    assert msgspec.json.decode(again.body) == msgspec.json.decode(written.body)
    assert again.losses == ()


EXPECTED = {
    "agent": ["messages[5]", "tools[0]", "tools[0].input_examples", "tools[1].defer_loading", "top_k"],
    "choice_one": ["tools[1]"],  # a strict tool whose object is open
    "claude_code": ["messages[3]"],  # this model takes no system message midway
    "system_midway": ["messages[1]", "messages[3].content[1]"],
    "thinking_replayed": ["messages[3].content[1]"],  # the seal of another maker
    "sampling": ["top_p"],
    "unknown_inside": [
        "messages[0].content[0].cache_control.scope", "messages[0].content[0].source.crop", "messages[1].content[0].pinned",
        "messages[2].content[0].content[0].took_ms", "tool_choice.seed", "tools[0].timeout_s",
    ],
    "unknown_field": ["messages[0].content[0].brand_new", "output_config.task_budget"],
}  # fmt: skip


@pytest.mark.parametrize("path", fixtures("asks", ".json"), ids=name)
def test_little_is_lost_between_two_of_one_dialect(path: Path) -> None:
    written = DOORS.write_ask(DOORS.read_ask(path.read_bytes()), TARGET)
    assert sorted(loss.path for loss in written.losses) == EXPECTED.get(path.stem, [])


@pytest.mark.parametrize("path", fixtures("answers", ".json"), ids=name)
def test_an_answer_that_was_read_is_written_the_same(path: Path) -> None:
    given = msgspec.json.decode(path.read_bytes())
    written = DOORS.write_answer(DOORS.read_answer(path.read_bytes(), OWN, "n"), ASKED)
    found = msgspec.json.decode(written.body)
    assert found.pop("usage").items() <= given.pop("usage").items()
    assert (found, written.losses) == (given, ())


def read_stream(data: bytes) -> Answer:
    reader = DOORS.read_stream(OWN, "n")
    events = [event for event_name, payload in sse.named(data) for event in reader.feed(payload, event_name)]
    return fold([*events, *reader.end()])


@pytest.mark.parametrize("path", fixtures("answers", ".json"), ids=name)
def test_a_stream_reads_as_its_answer(path: Path) -> None:
    whole = DOORS.read_answer(path.read_bytes(), OWN, "n")
    streamed = read_stream((FIXTURES / "streams" / "anthropic" / f"{path.stem}.sse").read_bytes())
    parts = tuple(
        msgspec.structs.replace(part, arguments=part.arguments or "{}") if isinstance(part, ToolCall) else part for part in streamed.parts
    )
    assert placeless(msgspec.structs.replace(streamed, parts=_calls(parts))) == placeless(
        msgspec.structs.replace(whole, parts=_calls(whole.parts))
    )


def _calls(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Arguments as what they say: a stream spaces them otherwise."""
    return tuple(
        msgspec.structs.replace(part, arguments=msgspec.json.encode(msgspec.json.decode(part.arguments)).decode())
        if isinstance(part, ToolCall)
        else part
        for part in parts
    )


@pytest.mark.parametrize("path", fixtures("answers", ".json"), ids=name)
def test_a_stream_that_was_read_and_written_reads_the_same(path: Path) -> None:
    data = (FIXTURES / "streams" / "anthropic" / f"{path.stem}.sse").read_bytes()
    reader, writer = DOORS.read_stream(OWN, "n"), DOORS.write_stream(ASKED)
    out = b"".join(writer.write(reader.feed(payload, event_name)) for event_name, payload in sse.named(data))
    assert placeless(read_stream(out)) == placeless(read_stream(data))
    assert list(writer.losses) == []


def test_a_stream_that_breaks_off_ends_with_the_providers_error() -> None:
    data = (FIXTURES / "streams" / "anthropic" / "error_midway.sse").read_bytes()
    reader, writer = DOORS.read_stream(OWN, "n"), DOORS.write_stream(ASKED)
    out = b"".join(writer.write(reader.feed(payload, event_name)) for event_name, payload in sse.named(data))
    assert out.endswith(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n')


WORDS = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() == text)
CACHES = st.none() | st.sampled_from([Cache(), Cache("5m"), Cache("1h")])
JSON = st.dictionaries(WORDS, st.integers() | WORDS | st.none(), max_size=3).map(lambda value: msgspec.json.encode(value).decode())
TEXTS = st.builds(Text, WORDS, cache=CACHES)
IMAGES = st.builds(
    Image,
    st.sampled_from([Inline("image/png", "AA=="), Url("https://a.test/x")]),
    cache=CACHES,
)
DOCUMENTS = st.builds(
    Document,
    st.sampled_from([Inline("application/pdf", "AA=="), PlainText("words"), Url("https://a.test/x.pdf")]),
    st.none() | WORDS,
    st.none() | WORDS,
    st.booleans(),
    CACHES,
)
IDS = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
RESULTS = st.builds(ToolResult, IDS, st.lists(TEXTS | IMAGES, max_size=2).map(tuple), failed=st.booleans(), cache=CACHES)
SEALS = st.builds(Seal, st.just(OWN), st.text("abcXYZ019+/=", min_size=1, max_size=12))
THOUGHTS = st.builds(Thinking, WORDS, seal=SEALS) | st.builds(Thinking, st.just(""), redacted=st.just(True), seal=SEALS)
CALLS = st.builds(ToolCall, IDS, IDS, JSON, cache=CACHES)
SCHEMAS = st.just(Raw(b'{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}'))
TOOLS = st.one_of(
    st.builds(Function, IDS, st.none() | WORDS, SCHEMAS, st.none() | st.booleans(), cache=CACHES),
    st.builds(WebSearch, most_uses=st.none() | st.integers(1, 9), allowed=st.lists(WORDS, max_size=2).map(tuple)),
)
REASONINGS = st.one_of(
    st.none(),
    st.builds(Reasoning, budget=st.integers(1024, 3000), show=st.sampled_from(["none", "auto"])),
    st.builds(
        Reasoning,
        st.sampled_from([None, "low", "medium", "high", "xhigh", "max"]),
        adaptive=st.just(True),
        show=st.sampled_from([None, "none", "auto"]),
    ),
    st.just(Reasoning(budget=0)),
)


def _calls_once(turns: list[Turn]) -> Iterator[Turn]:
    """Without the calls whose id was had before: they would be said under another."""
    seen: set[str] = set()
    for turn in turns:
        parts: list[Part] = []
        for part in turn.parts:
            if not isinstance(part, ToolCall) or part.id not in seen:
                parts.append(part)
            if isinstance(part, ToolCall):
                seen.add(part.id)
        yield msgspec.structs.replace(turn, parts=tuple(parts or [Text("said")]))


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    turns: list[Turn] = []
    if draw(st.booleans()):
        turns.append(Turn("system", tuple(draw(st.lists(TEXTS, min_size=1, max_size=2)))))
    for _ in range(draw(st.integers(1, 3))):
        results = tuple(draw(st.lists(RESULTS, max_size=2)))
        turns.append(Turn("user", (*results, *draw(st.lists(TEXTS | IMAGES | DOCUMENTS, min_size=1, max_size=2)))))
        turns.append(Turn("assistant", tuple(draw(st.lists(THOUGHTS | TEXTS | CALLS, min_size=1, max_size=3)))))
    turns = list(_calls_once(turns))
    tools = tuple(draw(st.lists(TOOLS, max_size=3, unique_by=lambda tool: getattr(tool, "name", ""))))
    reasoning = draw(REASONINGS)
    modes = ["auto", "none"] if reasoning is not None else ["auto", "any", "none"]
    thinks = reasoning is not None
    if thinks:  # no answer is begun for a model that thinks
        turns.append(Turn("user", (draw(TEXTS),)))
    return Ask(
        model=TARGET.model,
        turns=tuple(turns),
        tools=tools,
        choice=draw(st.none() | st.builds(Choice, st.sampled_from(modes))) if tools else None,
        format=draw(st.none() | st.builds(Format, st.just("schema"), SCHEMAS)),
        reasoning=reasoning,
        max_output=draw(st.integers(4000, 64_000)),
        temperature=None if thinks else draw(st.none() | st.floats(0, 1)),
        top_k=None if thinks else draw(st.none() | st.integers(1, 99)),
        stop=tuple(draw(st.lists(WORDS, max_size=2))),
        end_user=draw(st.none() | WORDS),
        service_tier=draw(st.sampled_from([None, "auto", "default"])),
        cache=draw(CACHES),
        stream=draw(st.booleans()),
    )


@given(asks())
@settings(max_examples=150)
def test_an_ask_that_was_written_reads_as_what_was_meant(ask: Ask) -> None:
    written = DOORS.write_ask(ask, TARGET)
    assert written.losses == ()
    peek(written.body)
    assert placeless(DOORS.read_ask(written.body)) == placeless(ask)
