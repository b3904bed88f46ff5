"""A provider's stream as events, however it was cut into pieces."""

from __future__ import annotations

import json

import pytest

from halley.chat.doors import Unreadable
from halley.chat.events import Delta, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.fold import BrokenStream, fold
from halley.chat.model import Audio, Finish, Inline, Seal, Text, Thinking, ToolCall
from halley.chat.usage import Usage
from halley.dialects.gemini import DOORS
from halley.wire import sse
from tests.dialects.gemini.samples import ORIGIN, OWN, answer_bytes, cases, plain, read, stream_bytes

ID, MODEL = "pJ8naYb2KvTVz7IP0bKj6Ak", "gemini-2.5-flash"


def frames(*parts: object, **last: object) -> bytes:
    found = [{"candidates": [{"content": {"parts": [part]}}]} for part in parts]
    found.append({"candidates": [{"finishReason": "STOP"} | last]})
    return b"".join(sse.render(json.dumps(frame).encode()) for frame in found)


def test_text_comes_as_soon_as_it_is_there() -> None:
    assert read(stream_bytes("text"))[:-2] == [
        Started(ID, MODEL, usage=Usage(input=8)),
        PartStarted(Text("")),
        Delta("Bon"),
        Delta("jour, ça"),
        Delta(" va ?"),
        PartEnded(),
    ]
    assert read(stream_bytes("text"))[-1] == Finished(Finish("stop"), Usage(input=8, output=3))
    assert len(read(stream_bytes("text"), ended=False)) == 5


def test_a_signature_in_an_empty_piece_is_of_the_text_before_it() -> None:
    answer = fold(read(stream_bytes("thinking")))
    assert answer.parts == (Thinking("**Comparing**\n\nThe second is larger."), Text("No.", seal=Seal(ORIGIN, OWN)))
    assert fold(read(frames({"text": "", "thoughtSignature": OWN}))).parts == (Text("", seal=Seal(ORIGIN, OWN)),)


def test_calls_come_whole_and_their_seal_before_them() -> None:
    events = read(stream_bytes("thinking_tool"))
    assert [event for event in events if isinstance(event, PartStarted)][1:] == [
        PartStarted(ToolCall("call_abc_1", "get_weather", "", seal=Seal(ORIGIN, OWN))),
        PartStarted(ToolCall("call_abc_2", "get_weather", "")),
    ]
    assert Delta('{"city":"Paris"}') in events
    assert fold(events).finish == Finish("tool")


def test_sound_in_pieces_is_one_part_whose_base64_is_that_of_the_whole() -> None:
    answer = fold(read(stream_bytes("audio_out")))
    assert answer.parts == (Audio(Inline("audio/L16;codec=pcm;rate=24000", "AAECAwQFBgc=")),)
    with pytest.raises(Unreadable):
        read(frames({"inlineData": {"mimeType": "audio/wav", "data": "x"}}))


def test_citations_end_the_text() -> None:
    events = read(stream_bytes("citations"))
    assert [each.title for event in events if isinstance(event, PartEnded) for each in event.citations] == ["uefa.com", "bbc.co.uk"]
    assert [event.what for event in events if isinstance(event, Noted)] == ["groundingMetadata"]


def test_log_probabilities_and_ratings_are_noted() -> None:
    assert [event.what for event in read(stream_bytes("logprobs")) if isinstance(event, Noted)] == ["logprobs", "avgLogprobs"]
    assert [event.what for event in read(stream_bytes("text")) if isinstance(event, Noted)] == ["safetyRatings"]


def test_ends() -> None:
    assert read(stream_bytes("length"))[-1] == Finished(Finish("length"), Usage(input=8, output=16))
    assert read(stream_bytes("filter"))[-1] == Finished(
        Finish("filter", detail="The answer was stopped.", word="PROHIBITED_CONTENT"), Usage(input=8, output=2)
    )
    blocked = read(stream_bytes("blocked_prompt"))[-1]
    assert blocked == Finished(Finish("filter", detail="The prompt was blocked.", word="PROHIBITED_CONTENT"), Usage(input=8))


def test_an_error_in_the_stream_is_the_last_event() -> None:
    events = read(stream_bytes("error_midway"))
    assert events[-1] == Failed("The model is overloaded. Please try again later.", 503, "UNAVAILABLE")
    listed = DOORS.read_stream(ORIGIN, "abc")
    assert listed.feed(b'[{"error": {"code": 500, "message": "x", "status": "INTERNAL"}}]') == [Failed("x", 500, "INTERNAL")]
    assert listed.end() == []
    odd = DOORS.read_stream(ORIGIN, "abc")
    assert odd.feed(b'{"error": "no"}') == [Failed('"no"', 0, "")]


@pytest.mark.parametrize("payload", [b"", b"{", b"[1]", b'"x"', b'{"candidates": 1}', b": keep-alive"])
def test_what_is_no_frame_is_unreadable(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        DOORS.read_stream(ORIGIN, "abc").feed(payload)


def test_other_candidates_are_noted_and_do_not_mix_with_the_answer() -> None:
    pair = {"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}}, {"index": 0, "content": {"parts": [{"text": "a"}]}}]}
    events = read(sse.render(json.dumps(pair).encode()) * 2 + frames())
    assert fold(events).parts == (Text("aa"),)
    assert [event.what for event in events if isinstance(event, Noted)] == ["candidates[1]", "candidates[1]"]


def test_a_cut_stream_has_no_end_but_tells_what_was_used() -> None:
    whole = [frame for frame in sse.frames(stream_bytes("text"))]
    for count in range(len(whole)):
        events = read(b"".join(whole[:count]))
        assert not any(isinstance(event, Finished | Failed) for event in events)
        assert not count or events[-1] == Noted(usage=Usage(input=8))
        with pytest.raises(BrokenStream):
            fold(events)


@pytest.mark.parametrize("case", cases("streams"))
def test_every_split_of_the_bytes_gives_the_same_events(case: str) -> None:
    data = stream_bytes(case)
    whole = plain(read(data))
    for cut in range(0, len(data), 7):
        splitter, reader = sse.Splitter(), DOORS.read_stream(ORIGIN, "abc")
        pieces = [splitter.complete(data[:cut]), splitter.complete(data[cut:])]
        events = [event for piece in pieces for name, payload in sse.named(piece) for event in reader.feed(payload, name)]
        assert plain(events + reader.end()) == whole


@pytest.mark.parametrize("case", sorted({*cases("streams")} & {*cases("answers")} - {"filter"}))
def test_a_stream_says_what_the_whole_answer_says(case: str) -> None:
    streamed, whole = fold(read(stream_bytes(case))), DOORS.read_answer(answer_bytes(case), ORIGIN, "abc")
    assert streamed.finish == whole.finish
    assert [type(part) for part in streamed.parts] == [type(part) for part in whole.parts]
    if case != "citations":
        texts = [[part.text for part in answer.parts if isinstance(part, Text | Thinking)] for answer in (streamed, whole)]
        assert texts[0] == texts[1]


def test_arguments_that_are_no_utf8_are_unreadable() -> None:
    """Found by `script/soak fuzz`."""
    reader = DOORS.read_stream(ORIGIN, "abc")
    call = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"city":"%b"}}}],"role":"model"}}]}'
    assert reader.feed(call % b"Paris")
    with pytest.raises(Unreadable):
        reader.feed(call % b"P\xff")
