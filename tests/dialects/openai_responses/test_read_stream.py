"""A provider's stream is the answer that it streams: however its frames are cut up, whatever of them is left out, wherever it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.chat.doors import Unreadable
from halley.chat.events import Delta, Event, Failed, Finished, PartEnded, PartStarted, Started
from halley.chat.fold import BrokenStream, fold
from halley.chat.model import Answer, Finish, Image, Opaque, Refusal, Seal, Text, Thinking, ToolCall
from halley.dialects.openai_responses import DOORS, keeping
from halley.wire import sse
from tests.dialects.openai_responses.test_read_answer import FIXTURES as ANSWERS
from tests.dialects.openai_responses.test_read_answer import ORIGIN, answer

STREAMS = Path(__file__).parents[3] / "fixtures" / "streams" / "openai_responses"
NAMES = sorted(path.stem for path in STREAMS.glob("*.sse") if ".to-" not in path.name and (ANSWERS / f"{path.stem}.json").exists())


def events(data: bytes) -> list[Event]:
    reader = DOORS.read_stream(ORIGIN, "new")
    return [event for name, payload in sse.named(data) for event in reader.feed(payload, name)] + reader.end()


def said(*frames: dict[str, Any]) -> list[Event]:
    return events(b"".join(sse.render(json.dumps(frame).encode(), frame["type"].encode()) for frame in frames))


def same(one: Answer, other: Answer) -> bool:
    """But for the ids of items, which whoever writes an answer gives anew."""

    def plain(part: object) -> object:
        match part:
            case Opaque(what=what, raw=raw):
                return what, json.loads(bytes(raw))
            case Text(text=text, citations=citations):
                return text, [(each.url, each.start, each.end) for each in citations]
            case Thinking(seal=seal):
                return msgspec.structs.replace(part, id=None, seal=seal and Seal(seal.origin, keeping.unsealed(seal)[1]))
            case _:
                return part

    return [*map(plain, one.parts), one.finish, one.usage] == [*map(plain, other.parts), other.finish, other.usage]


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_folds_to_the_answer_that_it_streams(name: str) -> None:
    found, whole = fold(events((STREAMS / f"{name}.sse").read_bytes())), answer(name)
    assert same(found, whole)
    assert (found.id, found.model, found.created) == (whole.id, whole.model, whole.created)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_means_the_same_at_every_split(name: str) -> None:
    data = (STREAMS / f"{name}.sse").read_bytes()
    whole = events(data)
    step = max(len(data) // 400, 1)
    for split in range(0, len(data), step):
        splitter, reader = sse.Splitter(), DOORS.read_stream(ORIGIN, "new")
        found = [
            event
            for piece in (data[:split], data[split:])
            for frame_name, payload in sse.named(splitter.complete(piece))
            for event in reader.feed(payload, frame_name)
        ]
        assert len(found) == len(whole)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_is_cut_is_no_answer(name: str) -> None:
    frames = list(sse.frames((STREAMS / f"{name}.sse").read_bytes()))
    for cut in range(len(frames)):
        with pytest.raises(BrokenStream):
            fold(events(b"".join(frames[:cut])))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("left_out", ["delta", "added", "done", "delta added", "output_text.done content_part", "created in_progress"])
def test_what_is_left_out_is_taken_from_what_comes_later(name: str, left_out: str) -> None:
    frames = sse.frames((STREAMS / f"{name}.sse").read_bytes())
    kept = [frame for frame in frames if not any(word in frame.split(b"\n")[0] for word in left_out.encode().split())]
    found = fold(events(b"".join(kept)))
    if left_out == "done":  # nothing says then what a citation, a seal or a whole item was
        assert found.usage == answer(name).usage
    else:
        assert same(found, answer(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_is_only_its_end_is_read_from_it(name: str) -> None:
    *_, last = sse.frames((STREAMS / f"{name}.sse").read_bytes())
    assert same(fold(events(last)), answer(name))


def test_nothing_is_held_back_and_unknown_events_say_nothing() -> None:
    assert said(
        {"type": "response.created", "response": {"id": "r", "model": "m", "created_at": 5.5}},
        {"type": "response.queued"},
        {"type": "response.future", "output_index": "x"},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_1"}},
        {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": ""}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": ""},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "b"},
    ) == [Started("r", "m", 5), PartStarted(Text("")), Delta("a"), Delta("b")]


def test_two_calls_that_grow_at_the_same_time_come_one_after_the_other() -> None:
    def call(index: int) -> dict[str, Any]:
        return {"type": "function_call", "id": f"fc_{index}", "call_id": f"c{index}", "name": "f", "arguments": ""}

    def delta(index: int, text: str) -> dict[str, Any]:
        return {"type": "response.function_call_arguments.delta", "output_index": index, "delta": text}

    found = fold(
        said(
            {"type": "response.created", "response": {"id": "r", "model": "m"}},
            {"type": "response.output_item.added", "output_index": 0, "item": call(0)},
            {"type": "response.output_item.added", "output_index": 1, "item": call(1)},
            {"type": "response.output_item.added", "output_index": 2, "item": {"type": "message"}},
            delta(1, "{"),
            delta(0, "["),
            delta(1, "}"),
            {"type": "response.output_item.done", "output_index": 1, "item": call(1)},
            delta(0, "]"),
            {"type": "response.output_item.done", "output_index": 0, "item": call(0)},
            {"type": "response.output_text.delta", "output_index": 2, "delta": "x"},
            {"type": "response.completed", "response": {"id": "r", "status": "completed"}},
        )
    )
    assert found.parts == (ToolCall("c0", "f", "[]"), ToolCall("c1", "f", "{}"), Text("x"))
    assert found.finish == Finish("tool")


def test_thinking_in_pieces_of_a_summary_or_in_full() -> None:
    def piece(kind: str, index: int, text: str) -> dict[str, Any]:
        place = "summary_index" if "summary" in kind else "content_index"
        return {"type": f"response.{kind}.delta", "output_index": 0, place: index, "delta": text}

    end = {"type": "response.completed", "response": {"status": "completed"}}
    assert fold(said(piece("reasoning_summary_text", 0, "a"), piece("reasoning_summary_text", 1, "b"), end)).parts == (
        Thinking("a\n\nb", summary=True),
    )
    assert fold(said(piece("reasoning_text", 0, "a"), piece("reasoning_text", 0, "b"), end)).parts == (Thinking("ab"),)


def test_a_refusal_and_a_drawing() -> None:
    refused = fold(events((STREAMS / "refusal.sse").read_bytes()))
    assert refused.parts == (Refusal("I cannot help with that."),)
    item = {"type": "image_generation_call", "result": "iVBORw0KGgoAAAANSUhEUgAA"}
    drawn = fold(said({"type": "response.output_item.done", "item": item}, {"type": "response.completed", "response": {}}))
    assert isinstance(drawn.parts[0], Image)


@pytest.mark.parametrize(
    ("frame", "failed"),
    [
        (
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "slow down"}}},
            Failed("slow down", 429, "rate_limit_exceeded"),
        ),
        ({"type": "error", "code": "server_error", "message": "broken"}, Failed("broken", 500, "server_error")),
        ({"type": "error", "error": {"type": "odd", "message": "broken", "code": None}}, Failed("broken", 0, "odd")),
        ({"type": "response.failed", "response": {}}, Failed("The provider's answer failed.")),
    ],
)
def test_an_error_is_the_last(frame: dict[str, Any], failed: Failed) -> None:
    assert said(frame, {"type": "response.completed", "response": {}}) == [failed]


def test_an_error_without_a_type_is_one_too() -> None:
    assert events(b'data: {"error":{"message":"broken","code":502}}\n\n') == [Failed("broken", 0, "502")]


def test_an_error_midway_comes_after_what_was_said() -> None:
    found = events((STREAMS / "error_midway.sse").read_bytes())
    assert [type(event) for event in found] == [Started, PartStarted, Delta, Failed]


@pytest.mark.parametrize("payload", [b"", b"x", b"[]", b'{"type":5}', b'{"type":"response.completed","response":[]}', b"{}"])
def test_what_is_no_event(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        DOORS.read_stream(ORIGIN, "new").feed(payload)


def test_nothing_follows_the_end() -> None:
    found = said({"type": "response.incomplete", "response": {}}, {"type": "response.output_text.delta", "delta": "x"})
    assert [type(event) for event in found] == [Started, Finished]
    assert found[1] == Finished(Finish("length"))


def test_every_part_that_starts_ends() -> None:
    for name in NAMES:
        kinds = [type(event) for event in events((STREAMS / f"{name}.sse").read_bytes())]
        assert kinds.count(PartStarted) == kinds.count(PartEnded)


ALL = [frame for name in NAMES for frame in sse.frames((STREAMS / f"{name}.sse").read_bytes())]


@given(st.lists(st.sampled_from(ALL), max_size=30))
def test_frames_in_any_order_are_unreadable_at_worst(frames: list[bytes]) -> None:
    """Whatever a provider sends, one part is open at a time, and nothing follows the end."""
    try:
        found = events(b"".join(frames))
    except Unreadable:
        return
    is_open = False
    for event in found:
        if isinstance(event, PartStarted | PartEnded | Delta):
            assert is_open == (not isinstance(event, PartStarted))
            is_open = not isinstance(event, PartEnded)
    ends = [isinstance(event, Finished | Failed) for event in found]
    assert not any(ends[:-1])
