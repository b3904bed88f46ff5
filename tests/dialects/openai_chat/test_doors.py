"""The eight doors of OpenAI chat, each against its fixtures: what is read is what was meant, and what is written reads back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.chat import seals
from halley.chat.doors import Asked, Target, Unreadable
from halley.chat.events import Delta, Event, Failed, Finished, PartEnded, PartStarted, Started
from halley.chat.fold import fold
from halley.chat.model import Answer, Ask, Citation, Finish, Image, Inline, Loss, Opaque, Seal, Text, Thinking, ToolCall, ToolResult, Turn
from halley.chat.usage import Usage
from halley.dialects.openai_chat import DOORS
from halley.errors import Refused
from halley.wire import sse

FIXTURES = Path(__file__).parents[3] / "fixtures"
ASKS = sorted(path for path in (FIXTURES / "asks/openai_chat").glob("*.json") if ".to-" not in path.name)
ANSWERS = sorted(path for path in (FIXTURES / "answers/openai_chat").glob("*.json") if ".to-" not in path.name)
STREAMS = sorted(path for path in (FIXTURES / "streams/openai_chat").glob("*.sse") if ".to-" not in path.name)
ORIGIN = seals.origin("openai_chat", "upstream")
TARGET = Target("the-model", ORIGIN, "max_completion_tokens")
SEAL = Seal("anthropic:upstream", "c2ln")


def asked(**fields: Any) -> Asked:
    ask = Ask(model="mine", turns=(), wants_usage=True)
    return Asked(msgspec.structs.replace(ask, **fields), "mine", "ID", 7)


def told(value: Any) -> Any:
    """Without the places in a body, which a round trip changes."""
    return json.loads(msgspec.json.encode(value), object_hook=lambda found: {name: each for name, each in found.items() if name != "at"})


def unsealed(value: Any) -> Any:
    """Nor the seals, which get a label on the way out."""
    return json.loads(json.dumps(told(value)), object_hook=lambda found: {name: each for name, each in found.items() if name != "seal"})


@pytest.mark.parametrize("path", ASKS, ids=lambda path: path.stem)
def test_what_this_dialect_says_it_can_write_again(path: Path) -> None:
    ask = DOORS.read_ask(path.read_bytes())
    written = DOORS.write_ask(ask, TARGET)
    again = DOORS.read_ask(written.body)
    lost = {loss.path for loss in written.losses}
    # A developer is a system, no arguments are an empty object, and the legacy pair has ids again.
    if not lost and path.stem not in ("developer", "arguments_empty", "functions_legacy"):
        assert told(again) == told(ask)
    expected = {
        "agent": {"messages[4].reasoning_content"},
        "sampling": {"top_k"},
        "several": {"n"},
        "budget": {"reasoning.budget"},
        "unknown_inside": {
            "format",
            "messages[0].content[1].image_url.crop",
            "messages[1].tool_calls[0].function.dialect",
            "messages[1].tool_calls[0].pinned",
            "reasoning.style",
            "response_format.pretty",
            "tools[0].function.timeout_s",
        },
        "cache_marks": {"messages[0].content[0].cache_control"},
        "thinking_replayed": {"messages[1].reasoning_details[0]"},
        "thinking_redacted": {"messages[1].reasoning_details[0]"},
    }
    assert lost == expected.get(path.stem, set())


def test_a_loop_of_tools_is_read_as_turns() -> None:
    ask = DOORS.read_ask((FIXTURES / "asks/openai_chat/tool_loop.json").read_bytes())
    assert [turn.role for turn in ask.turns] == ["user", "assistant", "user", "user"]
    said, first, second = ask.turns[1].parts
    assert isinstance(said, Text) and isinstance(first, ToolCall) and isinstance(second, ToolCall)
    assert (first.id, first.name, first.arguments, first.at) == ("call_1", "get_weather", '{"city":"Paris"}', "messages[1].tool_calls[0]")
    results = ask.turns[2].parts
    assert [(part.id, part.parts[0]) for part in results if isinstance(part, ToolResult)] == [
        ("call_1", Text('{"celsius":21}', at="messages[2].content")),
        ("call_2", Text("sunny", at="messages[3].content")),
    ]


def test_sealed_thoughts_go_to_their_maker_alone() -> None:
    ask = DOORS.read_ask((FIXTURES / "asks/openai_chat/thinking_replayed.json").read_bytes())
    thought = ask.turns[1].parts[0]
    assert isinstance(thought, Thinking) and (thought.text, thought.seal) == ("hm", SEAL)
    assert b"reasoning_content" not in DOORS.write_ask(ask, TARGET).body
    assert b'"reasoning_content":"hm"' in DOORS.write_ask(ask, TARGET._replace(origin=SEAL.origin)).body


def test_pieces_of_a_streamed_thought_come_back_as_one_whichever_way_the_client_kept_them() -> None:
    writer = DOORS.write_stream(asked())
    writer.write([Started("", "m")])
    streamed = writer.write([PartStarted(Thinking("")), Delta("hm, "), Delta("hm"), PartEnded(SEAL)])
    deltas = [json.loads(payload)["choices"][0]["delta"] for _, payload in sse.named(streamed)]
    pieces = [piece for delta in deltas for piece in delta["reasoning_details"]]
    joined = [{"type": "reasoning.text", "index": 0, "text": "hm, hm", "signature": pieces[-1]["signature"]}]
    for kept in (pieces, joined):
        message = {"role": "assistant", "content": "x", "reasoning_content": "hm, hm", "reasoning_details": kept}
        thoughts = DOORS.read_ask(json.dumps({"model": "m", "messages": [message]}).encode()).turns[0].parts[:-1]
        assert [(part.text, part.seal) for part in thoughts if isinstance(part, Thinking)] == [("hm, hm", SEAL)]


def test_media_in_a_tool_result_follow_it_in_a_message_of_the_user() -> None:
    picture = Image(Inline("image/png", "QUJD"))
    turns = (Turn("user", (ToolResult("c", (Text("see"), picture), failed=True, at="here"), Text("well?"))),)
    written = DOORS.write_ask(Ask(model="m", turns=turns), TARGET)
    messages = json.loads(written.body)["messages"]
    assert [message["role"] for message in messages] == ["tool", "user", "user"]
    assert messages[0]["content"] == "Error: see"
    assert messages[1]["content"][0]["image_url"]["url"] == "data:image/png;base64,QUJD"
    assert [loss.path for loss in written.losses] == ["here", "here"]


MISREAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0].file"),
    ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
    ({"messages": [], "tool_choice": "maybe"}, "tool_choice"),
    ({"messages": [], "tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"messages": [], "reasoning_effort": "enormous"}, "reasoning_effort"),
]


@pytest.mark.parametrize("body, param", MISREAD)
def test_what_cannot_be_understood_is_refused_by_name(body: dict[str, object], param: str) -> None:
    with pytest.raises(Refused) as caught:
        DOORS.read_ask(json.dumps({"model": "m", **body}).encode())
    assert caught.value.param == param


def test_a_part_of_another_dialect_is_refused_with_its_place() -> None:
    turns = (Turn("user", (Opaque("gemini", "executable code", msgspec.Raw(b"{}"), at="contents[0].parts[0]"),)),)
    with pytest.raises(Refused) as caught:
        DOORS.write_ask(Ask(model="m", turns=turns), TARGET)
    assert caught.value.param == "contents[0].parts[0]"


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_an_answer_is_read_and_written_without_loss(path: Path) -> None:
    answer = DOORS.read_answer(path.read_bytes(), ORIGIN, "NEW")
    written = DOORS.write_answer(answer, asked())
    assert written.losses == ()
    again = DOORS.read_answer(written.body, ORIGIN, "NEW")
    if path.stem == "arguments_empty":
        return  # written as an empty object, which every client can parse
    assert unsealed(again) == unsealed(msgspec.structs.replace(answer, model="mine"))


def test_seals_of_other_makers_are_labelled_wherever_they_stand() -> None:
    parts = (
        Thinking("hm", seal=SEAL),
        Text("Hello", seal=SEAL),
        ToolCall("c", "f", "{}", seal=SEAL),
        Thinking("", redacted=True, seal=SEAL),
    )
    answer = Answer(id="", model="theirs", parts=parts, finish=Finish("tool"))
    message = json.loads(DOORS.write_answer(answer, asked()).body)["choices"][0]["message"]
    back = DOORS.read_ask(json.dumps({"model": "m", "messages": [message]}).encode()).turns[0].parts
    assert [part.seal for part in back if isinstance(part, Thinking | ToolCall)] == [SEAL] * 4


def events(stream: bytes, *, cut: int | None = None) -> list[Event]:
    reader = DOORS.read_stream(ORIGIN, "NEW")
    found: list[Event] = []
    for name, payload in sse.named(stream)[:cut]:
        found += reader.feed(payload, name)
    return found + reader.end()


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_stream_is_read_and_written_without_loss(path: Path) -> None:
    found = events(path.read_bytes())
    writer = DOORS.write_stream(asked())
    written = b"".join([writer.write([event]) for event in found])
    assert list(writer.losses) == []
    if isinstance(found[-1], Failed):
        assert written.endswith(b"\n\n") and b'"error":' in written and b"[DONE]" not in written
        return
    assert written.endswith(b"data: [DONE]\n\n")
    if path.stem == "arguments_empty":
        assert [part.arguments for part in fold(events(written)).parts if isinstance(part, ToolCall)] == ["{}"]
        return
    assert unsealed(fold(events(written))) == unsealed(msgspec.structs.replace(fold(found), model="mine"))


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_stream_that_is_cut_never_looks_finished(path: Path) -> None:
    stream = path.read_bytes()
    frames = sse.named(stream)
    finish = next((index for index, (_, payload) in enumerate(frames) if b'"finish_reason":"' in payload), len(frames))
    for cut in range(finish + 1):
        assert not any(isinstance(event, Finished) for event in events(stream, cut=cut))


def test_interleaved_calls_come_one_after_the_other() -> None:
    found = events((FIXTURES / "streams/openai_chat/tools_interleaved.sse").read_bytes())
    kinds = [type(event) for event in found if not isinstance(event, Delta)]
    assert kinds == [Started, PartStarted, PartEnded, PartStarted, PartEnded, Finished]
    calls = [part for part in fold(found).parts if isinstance(part, ToolCall)]
    assert [(call.id, call.arguments) for call in calls] == [("call_1", '{"city":"Paris"}'), ("call_2", '{"city":"Rome"}')]


def chunks(*deltas: object) -> bytes:
    said = [{"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    said.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    return b"".join([sse.render(json.dumps(chunk).encode()) for chunk in said]) + b"data: [DONE]\n\n"


def piece(index: int, arguments: str, **first: object) -> dict[str, object]:
    name = {"name": first.pop("name")} if first else {}
    return {"tool_calls": [{"index": index, **first, "function": {"arguments": arguments, **name}}]}


def test_three_calls_in_turns_come_out_whole() -> None:
    opened = [piece(index, "", id=f"c{index}", name="f") for index in range(3)]
    said = [piece(index, text) for text in ('{"n":', "[1]", "}") for index in range(3)]
    calls = [part for part in fold(events(chunks(*opened, *said))).parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, call.arguments) for call in calls] == [(f"c{index}", "f", '{"n":[1]}') for index in range(3)]


def test_calls_that_share_one_index_are_told_apart_by_their_ids() -> None:
    stream = chunks(piece(0, '{"n":1}', id="a", name="f"), piece(0, "{}", id="b", name="g"))
    calls = [part for part in fold(events(stream)).parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, call.arguments) for call in calls] == [("a", "f", '{"n":1}'), ("b", "g", "{}")]


@pytest.mark.parametrize("late_id", [False, True])
def test_a_call_whose_name_comes_in_its_second_piece_begins_then(late_id: bool) -> None:
    who = {"id": "a"}
    first, second = ({}, who) if late_id else (who, {})
    opened = {"tool_calls": [{"index": 0, **first, "function": {"arguments": ""}}]}
    stream = chunks(opened, piece(0, "{", name="f", **second), piece(0, '"n":1}'), piece(1, "{}", id="b", name="g"))
    found = events(stream)
    started = [event.part for event in found if isinstance(event, PartStarted)]
    assert [part.name for part in started if isinstance(part, ToolCall)] == ["f", "g"]
    calls = [part for part in fold(found).parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, call.arguments) for call in calls] == [("a", "f", '{"n":1}'), ("b", "g", "{}")]


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    said = [{"tool_calls": [{"index": None, "id": id, "function": {"name": "f", "arguments": "{}"}}]} for id in "ab"]
    calls = [part for part in fold(events(chunks(*said))).parts if isinstance(part, ToolCall)]
    assert [(call.id, call.arguments) for call in calls] == [("a", "{}"), ("b", "{}")]


def test_two_signed_thoughts_in_a_stream_stay_two() -> None:
    details = [
        {"type": "reasoning.text", "text": text, "signature": seal, "index": index}
        for index, pair in enumerate((("one", "s1"), ("two", "s2")))
        for text, seal in ((pair[0], None), (None, pair[1]))
    ]
    found = fold(events(chunks(*[{"reasoning_details": [detail]} for detail in details]))).parts
    assert [(part.text, part.seal) for part in found if isinstance(part, Thinking)] == [
        ("one", Seal(ORIGIN, "s1")),
        ("two", Seal(ORIGIN, "s2")),
    ]


def test_signatures_go_back_to_their_maker_in_its_own_shape() -> None:
    thoughts = (Thinking("hm", seal=Seal(ORIGIN, "s1")), Thinking("", redacted=True, seal=Seal(ORIGIN, "s2"), id="r"))
    written = DOORS.write_ask(Ask(model="m", turns=(Turn("assistant", (*thoughts, Text("x"))),)), TARGET)
    message = json.loads(written.body)["messages"][0]
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "s1", "index": 0},
        {"type": "reasoning.encrypted", "data": "s2", "index": 1, "id": "r"},
    ]
    assert (message["reasoning_content"], written.losses) == ("hm", ())


def test_unsigned_reasoning_comes_back_to_its_provider_through_the_client() -> None:
    found = events(chunks({"reasoning_content": "hm"}, {"content": "x"}))
    answer = json.loads(DOORS.write_answer(fold(found), asked()).body)["choices"][0]["message"]
    ask = DOORS.read_ask(json.dumps({"model": "m", "messages": [answer]}).encode())
    assert json.loads(DOORS.write_ask(ask, TARGET).body)["messages"][0] == {
        "role": "assistant",
        "content": "x",
        "reasoning_content": "hm",
    }


def test_nothing_stands_between_the_results_of_parallel_calls() -> None:
    picture = Image(Inline("image/png", "QUJD"))
    turn = Turn("user", (ToolResult("a", (picture,)), ToolResult("b", (Text("y"), picture))))
    messages = json.loads(DOORS.write_ask(Ask(model="m", turns=(turn,)), TARGET).body)["messages"]
    assert [message["role"] for message in messages] == ["tool", "tool", "user"]
    assert len(messages[2]["content"]) == 2


def test_unknown_fields_of_messages_and_parts_are_kept_and_reported() -> None:
    parts = [{"type": "text", "text": "x", "shade": 1}, {"type": "hologram", "depth": 2}]
    message = {"role": "user", "content": parts, "mood": "good", "annotations": [], "refusal": None}
    ask = DOORS.read_ask(json.dumps({"model": "m", "messages": [message], "novelty": True}).encode())
    assert [extra.at for extra in ask.extras] == ["messages[0].mood", "novelty", "messages[0].content[0].shade"]
    written = DOORS.write_ask(ask, TARGET)
    assert json.loads(written.body)["novelty"] is True
    assert [loss.path for loss in written.losses] == ["messages[0].mood", "messages[0].content[0].shade"]


def test_usage_is_told_only_to_who_asked_for_it() -> None:
    found: list[Event] = [Started("", "m"), PartStarted(Text("")), Delta("hi"), PartEnded(), Finished(Finish("stop"), Usage(3, 4))]
    without = DOORS.write_stream(asked(wants_usage=False)).write(found)
    assert b"usage" not in without
    chunks = [json.loads(payload) for _, payload in sse.named(DOORS.write_stream(asked()).write(found))[:-1]]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["prompt_tokens"]) == ([], 3)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[0]["id"] == "chatcmpl-ID"


def test_what_has_no_place_in_a_chunk_is_a_loss() -> None:
    writer = DOORS.write_stream(asked())
    writer.write([Started("", "m"), PartStarted(Opaque("gemini", "code", msgspec.Raw(b"{}"))), PartEnded()])
    writer.write([PartStarted(Text("")), PartEnded(citations=(Citation(title="a page"),))])
    assert [type(loss) for loss in writer.losses] == [Loss, Loss]


@pytest.mark.parametrize(
    "body, message",
    [
        (b'{"error":{"message":"no","code":"bad"}}', "no"),
        (b'{"error":"no"}', "no"),
        (b'{"message":"no"}', "no"),
        (b'{"detail":"no"}', "no"),
        (b"<html>", "The provider answered with status 418."),
    ],
)
def test_any_error_of_a_host_is_read(body: bytes, message: str) -> None:
    assert DOORS.read_error(418, body).message == message


@pytest.mark.parametrize("payload", [b"", b"null", b"[1]", b'{"choices":1}', b"\xff", b'{"choices":[{"delta":{"content":7}}]}'])
def test_a_frame_that_is_no_chunk_is_unreadable(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        DOORS.read_stream(ORIGIN, "NEW").feed(payload)


@pytest.mark.parametrize("given", ["call_1", "a" * 40, "a" * 41, "é|" * 30, "abcDEF123"])
@pytest.mark.parametrize(("exact", "pattern"), [(0, ".{1,40}"), (9, "[a-zA-Z0-9]{9}")])
def test_the_id_of_a_call_is_one_that_the_provider_takes(exact: int, pattern: str, given: str) -> None:
    other = "b" * 50
    calls = Turn("assistant", (ToolCall(given, "f", "{}"), ToolCall(other, "f", "{}")))
    ask = Ask(model="m", turns=(calls, Turn("user", (ToolResult(other, ()), ToolResult(given, ())))))
    first, *results = json.loads(DOORS.write_ask(ask, TARGET._replace(exact_ids=exact)).body)["messages"]
    ids = [call["id"] for call in first["tool_calls"]]
    assert [result["tool_call_id"] for result in results] == ids[::-1] and ids[0] != ids[1]
    assert all(re.fullmatch(pattern, id) for id in ids)
    assert (ids[0] == given) == (re.fullmatch(pattern, given) is not None)


CALLED = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize(("said", "reason"), [(CALLED, "tool"), ({"content": "x"}, "stop")])
@pytest.mark.parametrize("word", ["stop", None])
def test_an_answer_with_calls_ends_for_them_whatever_the_provider_says(word: str | None, said: dict[str, Any], reason: str) -> None:
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", **said}, "finish_reason": word}]}
    assert DOORS.read_answer(json.dumps(whole).encode(), ORIGIN, "N").finish.reason == reason
    reader = DOORS.read_stream(ORIGIN, "N")
    found = reader.feed(json.dumps({"choices": [{"index": 0, "delta": said}]}).encode())
    if word is not None:
        found += reader.feed(json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": word}]}).encode())
    assert fold(found + reader.feed(b"[DONE]")).finish.reason == reason and reader.end() == []


def test_a_stream_of_nothing_is_no_answer() -> None:
    reader = DOORS.read_stream(ORIGIN, "N")
    assert [type(event) for event in reader.feed(b'{"choices": []}') + reader.feed(b"[DONE]")] == [Started, Failed]


def test_references_of_mistral_are_told() -> None:
    said = [{"type": "text", "text": "So it is."}, {"type": "reference", "reference_ids": [1, 2]}]
    whole = DOORS.read_answer(json.dumps({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}).encode(), ORIGIN, "ID")
    assert [loss.path for loss in whole.losses] == ["choices[].message.content[].reference_ids"]
    reader = DOORS.read_stream(ORIGIN, "ID")
    for _, payload in sse.named(chunks({"content": said})):
        reader.feed(payload)
    assert [loss.path for loss in reader.losses] == ["choices[].delta.content[].reference_ids"]


def test_arguments_that_are_an_object_and_no_utf8_are_unreadable() -> None:
    """Found by `script/soak fuzz`."""
    call = b'{"index":0,"id":"a","function":{"name":"f","arguments":{"a":"\xff"}}}'
    with pytest.raises(Unreadable):
        DOORS.read_answer(b'{"choices":[{"message":{"tool_calls":[%b]},"finish_reason":"tool_calls"}]}' % call, ORIGIN, "ID")
    with pytest.raises(Unreadable):
        DOORS.read_stream(ORIGIN, "ID").feed(b'{"choices":[{"index":0,"delta":{"tool_calls":[%b]}}]}' % call)
