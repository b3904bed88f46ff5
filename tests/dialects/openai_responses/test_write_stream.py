"""Events as a client's stream: the order of events, their numbers, one end, and that reading it gives the same answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.chat.doors import Asked
from halley.chat.events import Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.fold import fold
from halley.chat.model import (
    Answer,
    Ask,
    Audio,
    Citation,
    Finish,
    FreeTool,
    Function,
    Image,
    Inline,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    Turn,
)
from halley.chat.usage import Usage
from halley.dialects.openai_responses import DOORS
from halley.wire import sse
from tests.dialects.openai_responses.test_read_answer import ORIGIN
from tests.dialects.openai_responses.test_read_stream import NAMES, STREAMS, events, same

PRETTY = msgspec.Raw(b'{\n  "type": "object",\r\n  "properties": {}\n}')
TOOLS = (Function("read", schema=PRETTY, namespace="files"), FreeTool("patch"), Function("plain"))
ASKED = Asked(Ask(model="theirs", turns=(Turn("user", (Text("hi"),)),), tools=TOOLS), "mine", "0123", 1767225600)
BEGIN, END = Started("up", "up-model", 7), Finished(Finish("stop"), Usage(3, 4))


def write(*made: Event) -> list[dict[str, Any]]:
    return frames(DOORS.write_stream(ASKED).write(made))


def frames(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, payload in sse.named(data):
        frame = json.loads(payload)
        assert frame["type"] == name.decode()
        assert frame.pop("sequence_number") == len(found)
        found.append(frame)
    return found


def part(start: Part, *deltas: str, seal: Seal | None = None, citations: tuple[Citation, ...] = ()) -> list[Event]:
    return [PartStarted(start), *map(Delta, deltas), PartEnded(seal, citations)]


def types(found: Sequence[dict[str, Any]]) -> list[str]:
    return [frame["type"].removeprefix("response.") for frame in found]


def output(*made: Event) -> list[dict[str, Any]]:
    return write(BEGIN, *made, END)[-1]["response"]["output"]


def test_a_text_in_the_order_that_is_documented() -> None:
    found = write(BEGIN, *part(Text(""), "a", "b"), END)
    assert types(found) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    place = {"item_id": "msg_0123_0", "output_index": 0, "content_index": 0}
    assert found[0]["response"]["status"] == found[1]["response"]["status"] == "in_progress"
    assert found[0]["response"]["usage"] is None
    assert found[2]["item"] == {"id": "msg_0123_0", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    assert found[3] == {"type": "response.content_part.added", **place, "part": {"type": "output_text", "text": "", "annotations": []}}
    assert found[4] == {"type": "response.output_text.delta", **place, "delta": "a", "logprobs": []}
    assert found[6] == {"type": "response.output_text.done", **place, "text": "ab", "logprobs": []}
    assert found[7]["part"] == {"type": "output_text", "text": "ab", "annotations": [], "logprobs": []}
    assert found[8]["item"]["status"] == "completed"
    assert found[9]["response"]["output"] == [found[8]["item"]]


def test_a_call_in_the_order_that_is_documented() -> None:
    found = write(BEGIN, *part(ToolCall("c1", "plain", ""), '{"a":', "1}"), END)
    assert types(found)[2:-1] == [
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.done",
    ]  # fmt: skip
    assert found[5]["arguments"] == '{"a":1}'
    assert found[5]["name"] == "plain"
    assert found[6]["item"] == {
        "id": "fc_0123_0",
        "type": "function_call",
        "status": "completed",
        "call_id": "c1",
        "name": "plain",
        "arguments": '{"a":1}',
    }


def test_thinking_in_the_order_that_is_documented() -> None:
    found = write(BEGIN, *part(Thinking(""), "a", "b", seal=Seal("anthropic:a", "sig")), END)
    assert types(found)[2:-1] == [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
    ]  # fmt: skip
    assert found[-2]["item"] == {
        "id": "rs_0123_0",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "ab"}],
        "encrypted_content": "halley.1.anthropic:a.thinking:sig",
    }


def test_texts_that_follow_each_other_are_content_of_one_message() -> None:
    source = Citation(url="https://example.org", title="t", start=0, end=1)
    found = write(BEGIN, *part(Text(""), "a", citations=(source,)), *part(Refusal(""), "no"), *part(ToolCall("c", "plain", "")), END)
    assert [item["type"] for item in found[-1]["response"]["output"]] == ["message", "function_call"]
    content = found[-1]["response"]["output"][0]["content"]
    annotation = {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://example.org", "title": "t"}
    assert content == [
        {"type": "output_text", "text": "a", "annotations": [annotation], "logprobs": []},
        {"type": "refusal", "refusal": "no"},
    ]
    assert [frame["content_index"] for frame in found if "content_index" in frame] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    added = next(frame for frame in found if frame["type"] == "response.output_text.annotation.added")
    assert (added["annotation_index"], added["annotation"]) == (0, annotation)


def test_a_signature_of_another_dialect_stands_in_front_or_behind_and_comes_back() -> None:
    early, late = Seal("gemini:g", "early"), Seal("gemini:g", "late")
    redacted = Thinking("", redacted=True, seal=early)
    made = output(*part(ToolCall("c", "plain", "", seal=early), "{}"), *part(Text(""), "x", seal=late), *part(redacted))
    assert [item["type"] for item in made] == ["reasoning", "function_call", "message", "reasoning", "reasoning"]
    (turn,) = DOORS.read_ask(json.dumps({"model": "m", "input": made}).encode()).turns
    assert [(type(each), getattr(each, "seal", None)) for each in turn.parts] == [(ToolCall, early), (Text, late), (Thinking, early)]
    assert getattr(turn.parts[2], "redacted", False)


def test_a_tool_is_found_back_by_its_flat_name() -> None:
    spaced, bare, free, wrapped, odd = output(
        *part(ToolCall("c1", "files__read", ""), "{}"),
        *part(ToolCall("c3", "read", ""), "{}"),
        *part(ToolCall("c2", "patch", "", free=True), "diff"),
        *part(ToolCall("", "patch", ""), '{"input":', '"diff"}'),
        *part(ToolCall("x" * 99, "patch", ""), '{"a":1}'),
    )
    assert (spaced["namespace"], spaced["name"]) == (bare["namespace"], bare["name"]) == ("files", "read")
    assert (free["type"], free["input"]) == ("custom_tool_call", "diff")
    assert (wrapped["type"], wrapped["input"], wrapped["call_id"]) == ("custom_tool_call", "diff", "call_0123_1")
    assert odd["input"] == '{"a":1}'
    assert len(odd["call_id"]) <= 64


def test_empty_arguments_are_an_empty_object() -> None:
    found = write(BEGIN, *part(ToolCall("c", "plain", "")), END)
    assert [frame["delta"] for frame in found if "delta" in frame] == ["{}"]
    assert found[-1]["response"]["output"][0]["arguments"] == "{}"


def test_parts_that_come_whole() -> None:
    writer = DOORS.write_stream(ASKED)
    made = [
        *part(Image(Inline("image/png", "AAAA"))),
        *part(Opaque("openai_responses", "a search", msgspec.Raw(b'{"type":"web_search_call"}'))),
        *part(Opaque("gemini", "some code", msgspec.Raw(b"{}"))),
        *part(Audio(None, "spoken")),
        *part(Text("whole")),
        *part(Thinking("thought", summary=True)),
    ]
    found = frames(writer.write([BEGIN, *made, END]))[-1]["response"]["output"]
    assert [item["type"] for item in found] == ["image_generation_call", "web_search_call", "message", "reasoning"]
    assert [content["text"] for content in found[2]["content"]] == ["spoken", "whole"]
    assert found[3]["summary"] == [{"type": "summary_text", "text": "thought"}]
    assert [loss.path for loss in writer.losses] == ["some code", "audio"]


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        (Finish("stop"), "completed", None),
        (Finish("stop_sequence"), "completed", None),
        (Finish("tool"), "completed", None),
        (Finish("pause"), "completed", None),
        (Finish("length"), "incomplete", "max_output_tokens"),
        (Finish("context"), "incomplete", "max_output_tokens"),
        (Finish("filter"), "incomplete", "content_filter"),
        (Finish("refusal"), "incomplete", "content_filter"),
        (Finish("bad_call"), "failed", None),
    ],
)
def test_why_an_answer_ended(finish: Finish, status: str, reason: str | None) -> None:
    last = write(BEGIN, *part(Text(""), "x"), Finished(finish))[-1]
    assert last["type"] == f"response.{status}"
    assert last["response"]["status"] == status
    assert (last["response"]["incomplete_details"] or {}).get("reason") == reason
    assert (last["response"]["error"] is not None) == (status == "failed")


def test_a_refusal_in_words_is_a_whole_answer() -> None:
    assert write(BEGIN, *part(Refusal(""), "no"), Finished(Finish("refusal")))[-1]["type"] == "response.completed"


def test_usage_with_its_details_and_a_loss_where_there_is_none() -> None:
    writer = DOORS.write_stream(ASKED)
    used = Usage(input=10, output=20, cache_read=3, cache_write_5m=1, cache_write_1h=2, reasoning=5)
    said = frames(writer.write([BEGIN, Noted(usage=used), Finished(Finish("stop"))]))[-1]["response"]["usage"]
    assert said == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 3},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 30,
    }
    assert [loss.path for loss in writer.losses] == ["usage.cache_write_1h"]
    writer = DOORS.write_stream(ASKED)
    assert frames(writer.write([BEGIN, Finished(Finish("stop"))]))[-1]["response"]["usage"]["total_tokens"] == 0
    assert [loss.path for loss in writer.losses] == ["usage"]


def test_notes_have_a_place_or_are_lost() -> None:
    writer = DOORS.write_stream(ASKED)
    chosen = Noted(dialect="openai_chat", what="logprobs", raw=msgspec.Raw(b'{"content":[{"token":"a"}]}'))
    grounding = Noted(dialect="gemini", what="groundingMetadata", raw=msgspec.Raw(b"{}"))
    found = frames(writer.write([BEGIN, PartStarted(Text("")), Delta("a"), chosen, grounding, PartEnded(), chosen, END]))
    assert found[-1]["response"]["output"][0]["content"][0]["logprobs"] == [{"token": "a"}]
    assert [loss.path for loss in writer.losses] == ["groundingMetadata", "logprobs"]


def test_a_failure_after_the_beginning_is_of_the_response_and_before_it_of_the_request() -> None:
    found = write(BEGIN, PartStarted(Text("")), Delta("x"), Failed("too much", 429, "odd"))
    assert types(found)[-1] == "failed"
    assert found[-1]["response"]["error"] == {"code": "rate_limit_exceeded", "message": "too much"}
    early = write(Failed("broken"))
    assert [event["type"] for event in early] == ["response.created", "response.in_progress", "response.failed"]
    assert early[-1]["response"]["error"] == {"code": "server_error", "message": "broken"}


def test_a_stream_without_a_beginning_gets_one() -> None:
    assert types(write(*part(Text(""), "x"), END))[:3] == ["created", "in_progress", "output_item.added"]
    assert types(write(END)) == ["created", "in_progress", "completed"]


def test_frames_are_whole_whatever_the_caller_wrote_in_lines() -> None:
    data = DOORS.write_stream(ASKED).write([BEGIN, END])
    assert data.count(b"\n\n") == 3
    assert b"\r" not in data
    assert len(data.split(b"\n")) == 10


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_goes_over_comes_back_as_the_same_answer(name: str) -> None:
    made = events((STREAMS / f"{name}.sse").read_bytes())
    if name == "arguments_empty":
        made.insert(-2, Delta("{}"))
    one = fold(made)
    other = fold(events(DOORS.write_stream(ASKED).write(made)))
    assert same(one, other)


words = st.text(max_size=12)
seals = st.none() | st.just(Seal(ORIGIN, "mine"))
starts = st.one_of(
    st.just(Text("")),
    st.just(Refusal("")),
    st.just(Thinking("", summary=True)),
    st.builds(ToolCall, st.text("abc", min_size=1), st.just("other"), st.just(""), st.booleans(), st.none() | st.just("ns")),
    st.just(Opaque("openai_responses", "an item of type x", msgspec.Raw(b'{"type":"x"}'))),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    made: list[Event] = [BEGIN]
    for start in draw(st.lists(starts, max_size=6)):
        deltas = [] if isinstance(start, Opaque) else draw(st.lists(words, max_size=4))
        if isinstance(start, ToolCall) and not any(deltas):
            deltas = ["{}"]
        if isinstance(start, Thinking):
            deltas.append("x")
        made += part(start, *deltas, seal=draw(seals) if isinstance(start, Thinking) else None)
    called = any(isinstance(event, PartStarted) and isinstance(event.part, ToolCall) for event in made)
    return [*made, Finished(Finish("tool" if called else "length"), Usage(5, 6))]


@given(streams(), st.data())
def test_whatever_is_written_is_read_as_it_was(made: list[Event], data: st.DataObject) -> None:
    writer = DOORS.write_stream(ASKED)
    cut = data.draw(st.integers(0, len(made)))
    written = writer.write(made[:cut]) + writer.write(made[cut:])
    assert len(ends(written)) == 1
    assert ends(written) == [frames(written)[-1]["type"]]
    one, other = fold(made), fold(events(written))
    assert same(without_word(one), without_word(other))


ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


def ends(data: bytes) -> list[str]:
    return [frame["type"] for frame in frames(data) if frame["type"] in ENDS]


def without_word(answer: Answer) -> Answer:
    return msgspec.structs.replace(answer, finish=Finish(answer.finish.reason))


def one_by_one() -> Iterator[Event]:
    yield BEGIN
    yield from part(Text(""), "a", "b")
    yield END


def test_events_may_come_one_by_one() -> None:
    writer = DOORS.write_stream(ASKED)
    assert b"".join(writer.write([event]) for event in one_by_one()) == DOORS.write_stream(ASKED).write(list(one_by_one()))
