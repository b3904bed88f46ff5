"""Streams both ways: every event, every cut, every split, and that what was written reads as what was meant."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from halley.chat.doors import Asked, Unreadable
from halley.chat.events import Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.fold import BrokenStream, fold
from halley.chat.model import (
    Answer,
    Ask,
    Audio,
    Citation,
    Finish,
    Image,
    Inline,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    Url,
)
from halley.chat.seals import labelled
from halley.chat.usage import Usage
from halley.dialects.anthropic.ask_in import read_ask
from halley.dialects.anthropic.sealing import UNSEALED, written_behind
from halley.dialects.anthropic.stream_in import read_stream
from halley.dialects.anthropic.stream_out import write_stream
from halley.wire import sse

ASKED = Asked(Ask(model="m", turns=()), "mine", "1a2b", 7)
OWN = "anthropic:"
GEMINI = Seal("gemini:g", "c2ln")


def frame(kind: str, **fields: object) -> bytes:
    return sse.render(msgspec.json.encode({"type": kind, **fields}), kind.encode())


def start(index: int, **block: object) -> bytes:
    return frame("content_block_start", index=index, content_block=block)


def delta(index: int, kind: str, **fields: object) -> bytes:
    return frame("content_block_delta", index=index, delta={"type": kind, **fields})


def stop(index: int) -> bytes:
    return frame("content_block_stop", index=index)


BEGIN = frame(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-6",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0, "output_tokens": 1},
    },
)
END = frame("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 9}) + frame("message_stop")
CITATION = {"type": "char_location", "cited_text": "q", "document_index": 0, "start_char_index": 0, "end_char_index": 1}
STREAM = (
    BEGIN
    + frame("ping")
    + start(0, type="thinking", thinking="", signature="")
    + delta(0, "thinking_delta", thinking="h")
    + delta(0, "thinking_delta", thinking="m")
    + delta(0, "signature_delta", signature="c2ln")
    + stop(0)
    + start(1, type="redacted_thinking", data="cmVk")
    + stop(1)
    + start(2, type="text", text="")
    + delta(2, "text_delta", text='say "é\n')
    + frame("ping")
    + delta(2, "text_delta", text="🙂")
    + delta(2, "citations_delta", citation=CITATION)
    + stop(2)
    + start(3, type="server_tool_use", id="srvtoolu_1", name="web_search", input={})
    + delta(3, "input_json_delta", partial_json='{"query":')
    + delta(3, "input_json_delta", partial_json='"x"}')
    + stop(3)
    + start(4, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"type": "web_search_result", "url": "u"}])
    + stop(4)
    + start(5, type="tool_use", id="toolu_1", name="f", input={})
    + delta(5, "input_json_delta", partial_json="")
    + delta(5, "input_json_delta", partial_json='{"a":')
    + delta(5, "input_json_delta", partial_json="1}")
    + stop(5)
    + frame("what_comes_next_year", x=1)
    + END
)
CITED = Citation(quote="q", dialect="anthropic", raw=Raw(msgspec.json.encode(CITATION)))
READ = Answer(
    id="msg_1",
    model="claude-opus-4-6",
    parts=(
        Thinking("hm", seal=Seal(OWN, "c2ln")),
        Thinking("", redacted=True, seal=Seal(OWN, "cmVk")),
        Text('say "é\n🙂', citations=(CITED,)),
        Opaque(
            "anthropic",
            "server_tool_use",
            Raw(b'{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}'),
            "content[]",
        ),
        Opaque(
            "anthropic",
            "web_search_tool_result",
            Raw(b'{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","url":"u"}]}'),
            "content[]",
        ),
        ToolCall("toolu_1", "f", '{"a":1}'),
    ),
    finish=Finish("tool"),
    usage=Usage(8, 9, cache_read=5),
)


def read(stream: bytes, origin: str = OWN) -> list[Event]:
    reader = read_stream(origin, "n")
    events = [event for name, payload in sse.named(stream) for event in reader.feed(payload, name)]
    return events + reader.end()


def written(events: Iterable[Event]) -> bytes:
    writer = write_stream(ASKED)
    return b"".join(writer.write([event]) for event in events)


def shown(stream: bytes) -> list[dict[str, object]]:
    """The data of every frame, whose event line must say its type."""
    found: list[dict[str, object]] = []
    for name, payload in sse.named(stream):
        data = msgspec.json.decode(payload, type=dict[str, object])
        assert data["type"] == name.decode()
        found.append(data)
    return found


def test_a_stream_is_read() -> None:
    events = read(STREAM)
    assert events[0] == Started("msg_1", "claude-opus-4-6", usage=Usage(8, 1, cache_read=5))
    assert fold(events) == READ


def test_a_stream_without_event_lines_is_read_alike() -> None:
    assert fold(read(b"".join(sse.render(payload) for _, payload in sse.named(STREAM)))) == READ


def test_a_stream_is_read_alike_wherever_it_is_split() -> None:
    whole = read(STREAM)
    for cut in range(1, len(STREAM)):
        splitter = sse.Splitter()
        reader = read_stream(OWN, "n")
        events: list[Event] = []
        for piece in (STREAM[:cut], STREAM[cut:]):
            for name, payload in sse.named(splitter.complete(piece)):
                events += reader.feed(payload, name)
        assert events == whole


def test_a_stream_that_is_cut_never_finishes() -> None:
    frames = list(sse.frames(STREAM))
    for cut in range(len(frames) - 2):
        with pytest.raises(BrokenStream):
            fold(read(b"".join(frames[:cut])))


def test_a_stream_that_said_why_it_ends_is_whole_without_its_last_event() -> None:
    assert fold(read(STREAM.removesuffix(frame("message_stop")))) == READ


def test_what_follows_the_end_says_nothing() -> None:
    assert read(STREAM + STREAM) == read(STREAM)


def test_a_delta_is_emitted_at_once_and_an_empty_one_not_at_all() -> None:
    reader = read_stream(OWN, "n")
    for name, payload in sse.named(BEGIN + start(0, type="text", text="")):
        reader.feed(payload, name)
    assert [
        reader.feed(payload, name) for name, payload in sse.named(delta(0, "text_delta", text="a") + delta(0, "text_delta", text=""))
    ] == [
        [Delta("a")],
        [],
    ]


@pytest.mark.parametrize("deltas", [b"", delta(0, "input_json_delta", partial_json="")])
def test_arguments_that_come_at_the_start_of_a_call_are_read(deltas: bytes) -> None:
    stream = BEGIN + start(0, type="tool_use", id="", name="f", input={"a": 1}) + deltas + stop(0) + END
    assert fold(read(stream)).parts == (ToolCall("toolu_n_1", "f", '{"a":1}'),)


def test_text_that_comes_at_the_start_of_its_block_is_read_and_a_missing_stop_is_made_up() -> None:
    stream = BEGIN + start(0, type="text", text="a") + delta(0, "text_delta", text="b") + start(1, type="text", text="c") + END
    assert fold(read(stream)).parts == (Text("ab"), Text("c"))


def test_an_error_fails_the_stream_with_its_status() -> None:
    events = read(BEGIN + frame("error", error={"type": "overloaded_error", "message": "Overloaded"}) + frame("message_stop"))
    assert events[1:] == [Failed("Overloaded", 529, "overloaded_error")]


def test_usage_at_the_end_replaces_that_of_the_start() -> None:
    last = {"input_tokens": 4, "cache_read_input_tokens": 6, "cache_creation_input_tokens": 7, "output_tokens": 9}
    stream = BEGIN + frame("message_delta", delta={"stop_reason": "end_turn"}, usage=last) + frame("message_stop")
    assert fold(read(stream)).usage == Usage(17, 9, cache_read=6, cache_write_5m=7)
    extra = last | {"server_tool_use": {"web_search_requests": 1}}
    stream = (
        BEGIN + frame("message_delta", delta={"stop_reason": "end_turn", "container": {"id": "c"}}, usage=extra) + frame("message_stop")
    )
    assert [each.at for each in fold(read(stream)).extras] == ["usage.server_tool_use", "container"]


@pytest.mark.parametrize(
    "stream",
    [
        sse.render(b"{", b"content_block_delta"),
        sse.render(b"[]", b"message_start"),
        sse.render(b'{"type":"message_start"}', b"message_start"),
        sse.render(b"never"),
        BEGIN + sse.render(b'{"content_block":{"type":"tool_use","input":{"a":"\xff"}}}', b"content_block_start") + stop(0),
        BEGIN + delta(0, "text_delta", text="a"),
        # A block that only this dialect has is put together with its input.
        BEGIN
        + sse.render(b'{"content_block":{"type":"server_tool_use","a":1,"a":2}}', b"content_block_start")
        + delta(0, "input_json_delta", partial_json="{}")
        + stop(0),
    ],
)
def test_what_is_no_event_is_unreadable(stream: bytes) -> None:
    with pytest.raises(Unreadable):
        read(stream)


# ---- written ----------------------------------------------------------------------------------------------------------------------------


def events_of(*parts: tuple[Part, Iterable[str], PartEnded], finish: Finish = Finish("stop")) -> list[Event]:  # noqa: B008
    events: list[Event] = [Started("msg_1", "theirs", usage=Usage(3, 1))]
    for part, pieces, end in parts:
        events += [PartStarted(part), *map(Delta, pieces), end]
    return [*events, Finished(finish, Usage(8, 9, cache_read=5))]


def blocks(*parts: tuple[Part, Iterable[str], PartEnded]) -> list[object]:
    """What the SDK makes of the blocks of a stream: each complete, checked for order."""
    found: list[dict[str, object]] = []
    open_index: int | None = None
    for event in shown(written(events_of(*parts)))[1:-2]:
        match event:
            case {"type": "content_block_start", "index": index, "content_block": dict() as block}:
                assert open_index is None and index == len(found)
                open_index = len(found)
                found.append({**block, "input": ""} if block["type"] == "tool_use" else dict(block))  # pyright: ignore
            case {"type": "content_block_delta", "index": index, "delta": dict() as piece}:
                assert index == open_index
                field = {
                    "text_delta": "text",
                    "thinking_delta": "thinking",
                    "input_json_delta": "partial_json",
                    "signature_delta": "signature",
                }
                name = field[str(piece["type"])]
                key = "input" if name == "partial_json" else name
                found[-1][key] = str(found[-1][key]) + str(piece[name])
            case {"type": "content_block_stop", "index": index}:
                assert index == open_index
                open_index = None
            case _:
                raise AssertionError(event)
    assert open_index is None
    return list(found)


def empty_thinking(signature: str) -> dict[str, str]:
    return {"type": "thinking", "thinking": "", "signature": signature}


END_OF_PART, SEALED = PartEnded(), PartEnded(GEMINI)


def test_a_stream_is_written_frame_by_frame() -> None:
    assert shown(written(events_of((Text(""), ["a", "b"], END_OF_PART), finish=Finish("stop_sequence", "END")))) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "mine",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 3,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                    "output_tokens": 1,
                },
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "b"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END", "stop_details": None},
            "usage": {
                "input_tokens": 3,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 9,
            },
        },
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize(
    "part, pieces, end, made",
    [
        (Text("a"), ["b"], END_OF_PART, [{"type": "text", "text": "ab"}]),
        (Text(""), [], END_OF_PART, []),
        (Text(""), ["a"], SEALED, [{"type": "text", "text": "a"}, empty_thinking(written_behind(GEMINI))]),
        (Text("", seal=GEMINI), ["a"], END_OF_PART, [empty_thinking(labelled(GEMINI)), {"type": "text", "text": "a"}]),
        (Text(""), [], SEALED, [empty_thinking(written_behind(GEMINI))]),
        (Refusal(""), ["no"], END_OF_PART, [{"type": "text", "text": "no"}]),
        (Thinking(""), ["h", "m"], END_OF_PART, [{"type": "thinking", "thinking": "hm", "signature": UNSEALED}]),
        (Thinking(""), ["hm"], SEALED, [{"type": "thinking", "thinking": "hm", "signature": labelled(GEMINI)}]),
        (Thinking("", seal=GEMINI), ["hm"], END_OF_PART, [{"type": "thinking", "thinking": "hm", "signature": labelled(GEMINI)}]),
        (Thinking(""), [], END_OF_PART, []),
        (Thinking(""), [], SEALED, [{"type": "redacted_thinking", "data": labelled(GEMINI)}]),
        (Thinking("", redacted=True), [], SEALED, [{"type": "redacted_thinking", "data": labelled(GEMINI)}]),
        (Thinking("", redacted=True, seal=GEMINI), [], END_OF_PART, [{"type": "redacted_thinking", "data": labelled(GEMINI)}]),
        (Thinking(""), [], PartEnded(Seal(OWN, "s")), [empty_thinking("s")]),
        (ToolCall("", "f", ""), [], END_OF_PART, [{"type": "tool_use", "id": "toolu_1a2b_0", "name": "f", "input": ""}]),
        (ToolCall("c", "f", ""), ['{"a"', ":1}"], END_OF_PART, [{"type": "tool_use", "id": "c", "name": "f", "input": '{"a":1}'}]),
        (
            ToolCall("c", "f", "{}", seal=GEMINI),
            [],
            END_OF_PART,
            [empty_thinking(labelled(GEMINI)), {"type": "tool_use", "id": "c", "name": "f", "input": "{}"}],
        ),
        (
            ToolCall("c", "f", ""),
            ["{}"],
            SEALED,
            [{"type": "tool_use", "id": "c", "name": "f", "input": "{}"}, empty_thinking(written_behind(GEMINI))],
        ),
        (Opaque("anthropic", "x", Raw(b'{"type":"x","y":1}')), [], END_OF_PART, [{"type": "x", "y": 1}]),
    ],
)
def test_a_part_is_its_blocks(part: Part, pieces: list[str], end: PartEnded, made: object) -> None:
    after: tuple[Part, Iterable[str], PartEnded] = (Text(""), ["z"], END_OF_PART)
    assert blocks((part, pieces, end), after) == [*made, {"type": "text", "text": "z"}]  # type: ignore[misc]


@pytest.mark.parametrize(
    "part, pieces, made",
    [
        (Audio(Inline("audio/wav", ""), transcript="aloud"), ["AAAA"], [{"type": "text", "text": "aloud"}]),
        (Audio(Inline("audio/wav", "")), ["AAAA"], []),
        (Image(Url("https://a.test")), [], []),
        (Opaque("gemini", "executable code", Raw(b"{}")), [], []),
    ],
)
def test_a_part_that_cannot_be_shown_is_a_loss(part: Part, pieces: list[str], made: object) -> None:
    assert blocks((part, pieces, END_OF_PART)) == made
    writer = write_stream(ASKED)
    writer.write(events_of((part, pieces, END_OF_PART)))
    assert [loss.path for loss in writer.losses] == ["content"]


def test_citations_come_before_the_end_of_their_block_and_foreign_ones_are_lost() -> None:
    writer = write_stream(ASKED)
    events = events_of((Text(""), ["a"], PartEnded(None, (CITED, Citation(url="https://a.test")))))
    deltas = [event["delta"] for event in shown(writer.write(events)) if event["type"] == "content_block_delta"]
    assert deltas == [{"type": "text_delta", "text": "a"}, {"type": "citations_delta", "citation": CITATION}]
    assert [loss.path for loss in writer.losses] == ["content"]


def test_a_failure_is_an_error_event_and_a_refusal_in_words_a_reason() -> None:
    assert shown(written([Failed("busy", 529)])) == [{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}]
    last = shown(written(events_of((Refusal(""), ["no"], END_OF_PART))))[-2]
    assert isinstance(last["delta"], dict) and last["delta"]["stop_reason"] == "refusal"


def test_a_provider_that_counts_nothing_is_told_of() -> None:
    writer = write_stream(ASKED)
    stream = shown(writer.write([Started("", ""), Noted(dialect="gemini", what="x", raw=Raw(b"1")), Finished(Finish("stop"))]))
    message, last = stream[0]["message"], stream[1]["usage"]
    assert isinstance(message, dict) and message["id"] == "msg_1a2b" and message["usage"]["output_tokens"] == 0
    assert isinstance(last, dict) and (last["input_tokens"], last["output_tokens"]) == (0, 0)
    assert [loss.path for loss in writer.losses] == ["usage", "x"]


def test_one_write_of_all_is_the_same_as_one_of_each() -> None:
    events = read(STREAM)
    assert write_stream(ASKED).write(events) == written(events)


def test_a_seal_survives_the_client_that_repeats_what_it_saw() -> None:
    made = blocks(
        (ToolCall("c", "f", ""), [], SEALED),
        (ToolCall("d", "f", "", seal=Seal("gemini:g", "ZA==")), ["{}"], END_OF_PART),
        (Thinking(""), ["hm"], END_OF_PART),
        (Text(""), ["a"], SEALED),
        (Thinking(""), ["so"], END_OF_PART),
    )
    for block in made:
        if isinstance(block, dict) and block["type"] == "tool_use":  # pyright: ignore
            block["input"] = {}
    again = read_ask(json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": made}]}).encode())
    strip = msgspec.structs.replace
    assert [strip(part, at="") for part in again.turns[0].parts] == [
        ToolCall("c", "f", "{}", seal=GEMINI),
        ToolCall("d", "f", "{}", seal=Seal("gemini:g", "ZA==")),
        Thinking("hm"),
        Text("a", seal=GEMINI),
        Thinking("so"),
    ]


def test_nothing_stands_behind_the_last_text_because_claude_code_takes_the_last_block_for_the_answer() -> None:
    assert blocks((Text(""), ["a"], SEALED)) == [{"type": "text", "text": "a"}]
    writer = write_stream(ASKED)
    writer.write([PartStarted(Text("a")), SEALED, Finished(Finish("stop"), Usage(1, 2))])
    assert [loss.path for loss in writer.losses] == ["content"]


WORDS = st.text(min_size=1, max_size=20)
SEALS = st.builds(Seal, st.just(OWN), st.text("abcXYZ019+/=", min_size=1, max_size=20))
PARTS = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Thinking, WORDS, seal=SEALS),
    st.builds(Thinking, st.just(""), redacted=st.just(True), seal=SEALS),
    st.builds(ToolCall, st.text("ab_1", min_size=1, max_size=9), WORDS, WORDS),
)
COUNTS = st.integers(0, 10_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read_, short, long, fresh, reasoning = (draw(COUNTS) for _ in range(5))
    return Usage(
        read_ + short + long + fresh,
        reasoning + draw(COUNTS),
        cache_read=read_,
        cache_write_5m=short,
        cache_write_1h=long,
        reasoning=reasoning,
    )


def pieces_of(part: Part) -> list[Event]:
    match part:
        case Text(text=text) | Thinking(text=text, redacted=False):
            empty = msgspec.structs.replace(part, text="", seal=None)
        case ToolCall(arguments=text):
            empty = msgspec.structs.replace(part, arguments="")
        case _:
            return [PartStarted(part), PartEnded()]
    half = len(text) // 2
    seal = part.seal if isinstance(part, Thinking) else None
    return [PartStarted(empty), *(Delta(piece) for piece in (text[:half], text[half:]) if piece), PartEnded(seal)]


@given(
    st.lists(PARTS, max_size=5), usages(), st.sampled_from([Finish("stop"), Finish("length"), Finish("stop_sequence", "x"), Finish("tool")])
)
@settings(max_examples=150)
def test_what_was_written_reads_as_what_was_meant(parts: list[Part], usage: Usage, finish: Finish) -> None:
    events: list[Event] = [Started("msg_1", "mine", usage=usage)]
    for part in parts:
        events += pieces_of(part)
    events.append(Finished(finish, usage))
    assert fold(read(written(events))) == fold(events) == Answer(id="msg_1", model="mine", parts=tuple(parts), finish=finish, usage=usage)


def test_pieces_of_two_blocks_at_once_are_never_put_into_one() -> None:
    reader = read_stream(OWN, "n")
    frames = [
        start(0, type="tool_use", id="a", name="f", input={}),
        start(1, type="tool_use", id="b", name="g", input={}),
        delta(1, "input_json_delta", partial_json='{"b":1}'),
    ]
    for event_name, payload in sse.named(b"".join(frames)):
        reader.feed(payload, event_name)
    ((event_name, payload),) = sse.named(delta(0, "input_json_delta", partial_json='{"a":1}'))
    with pytest.raises(Unreadable):
        reader.feed(payload, event_name)
