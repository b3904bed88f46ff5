"""Events as a client's stream: whole responses, one a frame, that say what the events said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from halley.chat.events import Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.fold import fold
from halley.chat.model import Audio, Citation, Finish, Image, Inline, Opaque, Reason, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.usage import Usage
from halley.dialects.gemini import DOORS, Elements
from halley.wire import sse
from tests.dialects.gemini.samples import ASKED, FOREIGN, ORIGIN, OWN, cases, plain, read, stream_bytes

USAGE = Usage(input=3, output=2)


def written(*events: Event) -> list[dict]:
    data = DOORS.write_stream(ASKED).write(events)
    frames = data.split(b"\n\n")
    assert frames.pop() == (b"data: " if isinstance(events[-1], Failed) else b"") and all(
        frame.startswith(b"data: {") and b"\n" not in frame for frame in frames
    )
    return [json.loads(frame[6:]) for frame in frames]


def parts(*events: Event) -> list[object]:
    frames = written(Started("id1", "theirs"), *events)
    return [part for frame in frames for part in frame["candidates"][0]["content"]["parts"]]


def test_a_stream_from_its_beginning_to_its_end() -> None:
    first, second, last = written(
        Started("id1", "theirs", usage=Usage(input=3)),
        PartStarted(Text("")),
        Delta("a"),
        Delta("é"),
        PartEnded(),
        Finished(Finish("stop"), USAGE),
    )
    about = {
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 0, "totalTokenCount": 3},
        "modelVersion": "mine",
        "responseId": "id1",
    }
    assert first == {"candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}, "index": 0}]} | about
    assert second["candidates"][0]["content"]["parts"] == [{"text": "é"}] and "finishReason" not in second["candidates"][0]
    assert last["candidates"] == [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}]
    assert last["usageMetadata"] == {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


def test_usage_is_on_every_frame_from_which_on_it_is_known() -> None:
    frames = written(
        Started("", ""), PartStarted(Text("")), Delta("a"), Noted(usage=USAGE), Delta("b"), PartEnded(), Finished(Finish("stop"))
    )
    assert ["usageMetadata" in frame for frame in frames] == [False, True, True]
    assert frames[0]["responseId"] == ASKED.id


def test_a_call_waits_for_all_its_arguments() -> None:
    writer = DOORS.write_stream(ASKED)
    assert writer.write([Started("", ""), PartStarted(ToolCall("c", "f", "")), Delta('{"a"'), Delta(":\n 1}")]) == b""
    frame = writer.write([PartEnded(Seal("anthropic:theirs", "EpoBCkgICBAB/w=="))])
    assert json.loads(frame[6:])["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}, "thoughtSignature": FOREIGN}
    ]
    assert frame.count(b"\n") == 2 and not writer.losses
    assert b'"args":{}' in writer.write([PartStarted(ToolCall("c", "f", "")), PartEnded()])
    assert b'{"arguments":"{\\"a"}' in writer.write([PartStarted(ToolCall("c", "f", "")), Delta('{"a'), PartEnded()])
    assert [loss.path for loss in writer.losses] == ["f"]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([PartStarted(Thinking("")), Delta("t"), PartEnded()], [{"text": "t", "thought": True}]),
        (
            [PartStarted(Thinking("")), Delta("t"), PartEnded(Seal(ORIGIN, OWN))],
            [{"text": "t", "thought": True}, {"text": "", "thought": True, "thoughtSignature": OWN}],
        ),
        (
            [PartStarted(Thinking("", redacted=True, seal=Seal(ORIGIN, OWN))), PartEnded()],
            [{"text": "", "thought": True, "thoughtSignature": OWN}],
        ),
        (
            [PartStarted(Text("a")), Delta("b"), PartEnded(Seal(ORIGIN, OWN))],
            [{"text": "a"}, {"text": "b"}, {"text": "", "thoughtSignature": OWN}],
        ),
        ([PartStarted(Refusal("")), Delta("no"), PartEnded()], [{"text": "no"}]),
        ([PartStarted(Image(Inline("image/png", "QQ=="))), PartEnded()], [{"inlineData": {"mimeType": "image/png", "data": "QQ=="}}]),
        (
            [PartStarted(Audio(Inline("audio/wav", ""))), Delta("QUJD"), PartEnded()],
            [{"inlineData": {"mimeType": "audio/wav", "data": "QUJD"}}],
        ),
        ([PartStarted(Opaque("gemini", "x", Raw(b'{"toolCall": \n{}}'))), PartEnded()], [{"toolCall": {}}]),
        ([PartStarted(Opaque("anthropic", "x", Raw(b"{}"))), PartEnded()], []),
    ],
)
def test_parts(events: list[Event], expected: list[object]) -> None:
    assert parts(*events) == expected


def test_an_end_with_sources_and_what_is_lost() -> None:
    writer = DOORS.write_stream(ASKED)
    data = writer.write(
        [
            Started("", ""),
            PartStarted(Text("")),
            Delta("a b"),
            PartEnded(citations=(Citation("https://a.example", "A", 2, 3),)),
            Noted(dialect="anthropic", what="container", raw=Raw(b"{}")),
            Noted(dialect="openai_chat", what="logprobs", raw=Raw(b'{"content": [{"token": "a", "logprob": -1.0}]}')),
            Noted(what="logprobs", raw=Raw(b'{"content": [{"token": " b", "logprob": -1.0}]}')),
            Finished(Finish("stop_sequence", "END", "met")),
        ]
    )
    candidate = json.loads(data.split(b"\n\n")[-2][6:])["candidates"][0]
    assert candidate["groundingMetadata"]["groundingSupports"][0]["segment"] == {"startIndex": 2, "endIndex": 3, "text": "b"}
    assert candidate["finishMessage"] == "met" and len(candidate["logprobsResult"]["chosenCandidates"]) == 2
    assert [loss.path for loss in writer.losses] == ["container", "stop"]


def test_a_failure_is_a_frame_of_its_own_with_an_unfinished_one_behind() -> None:
    assert written(Started("", ""), Failed("busy", 529, "overloaded_error")) == [
        {"error": {"code": 529, "message": "busy", "status": "UNAVAILABLE"}}
    ]
    assert written(Failed("odd"))[0]["error"] == {"code": 500, "message": "odd", "status": "INTERNAL"}
    assert written(Failed("x", 400, "FAILED_PRECONDITION"))[0]["error"]["status"] == "FAILED_PRECONDITION"


@pytest.mark.parametrize("case", cases("streams"))
def test_an_array_has_the_same_elements(case: str) -> None:
    events = read(stream_bytes(case))
    writer, array = DOORS.write_stream(ASKED), Elements()
    data = b"".join(array.feed(writer.write([event])) for event in events) + array.end()
    frames = DOORS.write_stream(ASKED).write(events).split(b"\n\n")[:-1]
    assert json.loads(data) == [json.loads(frame[6:]) for frame in frames]


@pytest.mark.parametrize("case", [case for case in cases("streams") if case != "error_midway"])
def test_a_stream_that_was_read_is_written_and_read_as_the_same(case: str) -> None:
    found = fold(read(stream_bytes(case)))
    again = fold(read(DOORS.write_stream(ASKED).write(read(stream_bytes(case)))))
    assert plain(replace(again, model=found.model)) == plain(found)


WORDS = st.text(min_size=1, max_size=9)
SEALS = st.none() | st.just(Seal(ORIGIN, OWN))


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    events: list[Event] = [Started("id1", "mine", usage=draw(st.none() | st.just(Usage(input=3))))]
    before: type | None = None
    called = False
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from([kind for kind in (Text, Thinking, ToolCall, Image) if kind is not before]))
        before = kind
        if kind is ToolCall:
            called = True
            events += [PartStarted(ToolCall(draw(WORDS), draw(WORDS), "")), Delta('{"a":'), Delta("1}"), PartEnded(draw(SEALS))]
        elif kind is Image:
            events += [PartStarted(Image(Inline("image/png", "QQ=="))), PartEnded()]
        else:
            events += [PartStarted(kind("")), *map(Delta, draw(st.lists(WORDS, min_size=1, max_size=3))), PartEnded(draw(SEALS))]
    reasons: list[Reason] = ["length", "filter", "bad_call", "tool" if called else "stop"]
    events.append(Finished(Finish(draw(st.sampled_from(reasons))), draw(st.none() | st.just(USAGE))))
    return events


@given(streams(), st.booleans())
def test_events_are_read_as_they_were_written(events: list[Event], one_by_one: bool) -> None:
    writer = DOORS.write_stream(ASKED)
    data = b"".join(writer.write([event]) for event in events) if one_by_one else writer.write(events)
    assert plain(fold(read(data))) == plain(fold(events))
    assert not writer.losses and len([*sse.frames(data)]) == data.count(b"\n\n")
