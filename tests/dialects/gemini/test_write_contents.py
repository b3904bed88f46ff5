"""Turns as contents: roles in turn, results with names, media by what the provider takes, seals to their makers alone."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from halley.chat.doors import Target
from halley.chat.model import (
    Ask,
    Audio,
    Cache,
    Citation,
    Document,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    PlainText,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    Video,
)
from halley.dialects.gemini import DOORS
from halley.dialects.gemini.seals import UNSIGNED_CALL
from halley.dialects.gemini.write_contents import generation
from halley.errors import Refused
from tests.dialects.gemini.samples import NEWER, ORIGIN, OWN, TARGET

PNG = Inline("image/png", "QQ==")


def contents(*turns: Turn, target: Target = TARGET) -> tuple[dict, list[str]]:
    written = DOORS.write_ask(Ask(model="m", turns=turns), target)
    return json.loads(written.body), [loss.path for loss in written.losses]


def user(*parts: Part, target: Target = TARGET) -> tuple[list[object], list[str]]:
    body, lost = contents(Turn("user", parts), target=target)
    return body["contents"][0]["parts"] if body["contents"] else [], lost


def test_neighbours_of_one_role_are_one_content() -> None:
    body, lost = contents(
        Turn("system", (Text("s"),)),
        Turn("developer", (Text("d"),)),
        Turn("user", (Text("a"),), name="bob", at="messages[2]"),
        Turn("user", (Text("b"),)),
        Turn("assistant", (Text("c"), Refusal("no"))),
        Turn("assistant", ()),
        Turn("user", (Text("d"),)),
    )
    assert body == {
        "systemInstruction": {"parts": [{"text": "s"}, {"text": "d"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [{"text": "c"}, {"text": "no"}]},
            {"role": "user", "parts": [{"text": "d"}]},
        ],
    }
    assert lost == ["messages[2].name"]


def test_a_system_turn_in_the_middle_is_said_by_the_user_in_order_and_reported() -> None:
    body, lost = contents(Turn("user", (Text("a"),)), Turn("system", (Text("s"),), at="messages[1]"), Turn("assistant", (Text("b"),)))
    assert body["contents"][0]["parts"] == [{"text": "a"}, {"text": "s"}] and "systemInstruction" not in body
    assert lost == ["messages[1]"]


def test_system_turns_alone_are_said_by_the_user_because_there_must_be_a_content() -> None:
    body, lost = contents(Turn("system", (Text("s"),), at="messages[0]"))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "s"}]}]} and lost == ["messages[0]"]
    with pytest.raises(Refused) as refused:
        contents(Turn("system", (Image(PNG, at="system[0]"),)), Turn("user", (Text("a"),)))
    assert refused.value.param == "system[0]"


CALL = Turn("assistant", (ToolCall("c1", "look", '{"a":1}'),))


@pytest.mark.parametrize(
    ("result", "response"),
    [
        (ToolResult("c1", (Text("x"), Text("y"))), {"result": "x\ny"}),
        (ToolResult("c1", ()), {"result": ""}),
        (ToolResult("c1", (Text('{"b": 2}'),)), {"result": '{"b": 2}'}),
        (ToolResult("c1", (Text('{"b": 2}'),), structured=True), {"b": 2}),
        (ToolResult("c1", (Text("[1]"),), structured=True), {"result": "[1]"}),
        (ToolResult("c1", (Text("no"),), failed=True), {"error": "no"}),
        (ToolResult("c1", (Text('{"b": 2}'),), failed=True, structured=True), {"error": {"b": 2}}),
        (ToolResult("c1", (Text('{"error": 2}'),), failed=True, structured=True), {"error": 2}),
    ],
)
def test_a_result_is_an_object_with_the_name_of_its_call(result: ToolResult, response: object) -> None:
    body, _ = contents(CALL, Turn("user", (result,)))
    assert body["contents"] == [
        {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "look", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "look", "response": response}}]},
    ]


def test_a_result_of_no_call_is_refused_unless_it_has_the_name_itself() -> None:
    assert user(ToolResult("c9", (), name="look"))[0] == [{"functionResponse": {"id": "c9", "name": "look", "response": {"result": ""}}}]
    with pytest.raises(Refused) as refused:
        user(ToolResult("c9", (), at="messages[1]"))
    assert refused.value.param == "messages[1]"


def test_media_of_a_result_are_within_it_for_newer_models_and_behind_it_for_older_ones() -> None:
    result = ToolResult("c1", (Text("taken"), Image(PNG)), name="look")
    response = {"id": "c1", "name": "look", "response": {"result": "taken"}}
    image = {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}
    assert user(result)[0] == [{"functionResponse": response}, image]
    assert user(result, target=NEWER)[0] == [{"functionResponse": response | {"parts": [image]}}]
    assert [generation(name) for name in ("gemini-2.5-pro", "models/gemini-3.1-flash", "gemma-3", "gemini-exp")] == [2, 3, None, None]
    assert [generation(name) for name in ("gemini-flash-lite-latest", "gemini-2.5-flash-latest", "latest")] == [3, 2, None]


@pytest.mark.parametrize(
    ("call", "args", "lost"),
    [
        (ToolCall("", "f", ""), {}, []),
        (ToolCall("", "f", " "), {}, []),
        (ToolCall("", "f", '{"a":'), {"arguments": '{"a":'}, ["at"]),
        (ToolCall("", "f", "[1]"), {"arguments": "[1]"}, ["at"]),
        (ToolCall("", "f", "do it", free=True), {"input": "do it"}, []),
    ],
)
def test_arguments_are_an_object(call: ToolCall, args: object, lost: list[str]) -> None:
    body, losses = contents(Turn("assistant", (ToolCall(call.id, call.name, call.arguments, call.free, at="at"),)))
    assert body["contents"][0]["parts"] == [{"functionCall": {"name": "f", "args": args}}] and losses == lost


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Image(PNG, detail="auto"), {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}),
        (Audio(Inline("audio/wav", "QQ==")), {"inlineData": {"mimeType": "audio/wav", "data": "QQ=="}}),
        (Document(Inline("application/pdf", "QQ==")), {"inlineData": {"mimeType": "application/pdf", "data": "QQ=="}}),
        (Document(PlainText("words")), {"text": "words"}),
        (Image(Url("https://a.example/b.png")), {"fileData": {"fileUri": "https://a.example/b.png"}}),
        (Image(Url("https://a.example/b", "image/png")), {"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/b"}}),
        (Document(FileId("files/a", "gemini")), {"fileData": {"fileUri": "files/a"}}),
        (
            Video(Inline("video/mp4", "QQ=="), 1.5, 3.0, 2.0),
            {
                "inlineData": {"mimeType": "video/mp4", "data": "QQ=="},
                "videoMetadata": {"startOffset": "1.5s", "endOffset": "3s", "fps": 2.0},
            },
        ),
        (Opaque("gemini", "executableCode", Raw(b'{"executableCode": {"code": "1"}}')), {"executableCode": {"code": "1"}}),
    ],
)
def test_media(part: Part, written: object) -> None:
    assert user(part) == ([written], [])


def test_a_provider_that_fetches_nothing_gets_no_address_but_of_a_video_site() -> None:
    target = TARGET._replace(takes_urls=False)
    with pytest.raises(Refused) as refused:
        user(Image(Url("https://a.example/b.png"), at="here"), target=target)
    assert refused.value.param == "here"
    assert user(Video(Url("https://www.youtube.com/watch?v=a")), target=target)[0] == [
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=a"}}
    ]


@pytest.mark.parametrize(
    "part",
    [
        Document(FileId("file-1", "openai_responses"), at="here"),
        Opaque("anthropic", "server_tool_use", Raw(b"{}"), at="here"),
        Audio(None, id="audio_1", at="here"),
    ],
)
def test_what_another_dialect_alone_knows_is_refused(part: Part) -> None:
    with pytest.raises(Refused) as refused:
        user(part)
    assert refused.value.param == "here"


@pytest.mark.parametrize(
    "part",
    [
        Text("x", cache=Cache(), at="here"),
        Text("x", citations=(Citation("https://a.example"),), at="here"),
        Image(PNG, detail="low", at="here"),
        Audio(None, "spoken", "audio_1", at="here"),
        Document(Inline("application/pdf", "QQ=="), name="a.pdf", at="here"),
        Document(Inline("application/pdf", "QQ=="), context="old", at="here"),
        Document(Inline("application/pdf", "QQ=="), cited=True, at="here"),
        Text("x", seal=Seal("anthropic:theirs", "QQ=="), at="here"),
        Thinking("x", seal=Seal("anthropic:theirs", "QQ=="), at="here"),
    ],
)
def test_what_clings_to_a_part_and_has_no_place_is_reported(part: Part) -> None:
    assert user(part)[1] == ["here"]


def test_seals_are_given_to_their_maker_letter_for_letter() -> None:
    body, lost = contents(
        Turn(
            "assistant",
            (
                Thinking("a", seal=Seal(ORIGIN, OWN)),
                Thinking("unsealed"),
                Thinking("", redacted=True),
                Thinking("b", seal=Seal("gemini:other", OWN), at="foreign"),
                Text("c", seal=Seal("gemini:", OWN)),
                ToolCall("1", "f", "{}", seal=Seal(ORIGIN, OWN)),
            ),
        )
    )
    assert body["contents"][0]["parts"] == [
        {"text": "a", "thought": True, "thoughtSignature": OWN},
        {"text": "unsealed", "thought": True},
        {"text": "c", "thoughtSignature": OWN},
        {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": OWN},
    ]
    assert lost == ["foreign"]


def test_a_call_of_another_model_is_marked_for_models_that_demand_a_signature() -> None:
    calls = Turn("assistant", (ToolCall("1", "f", "{}"), ToolCall("2", "f", "{}")))
    parts = contents(calls, target=NEWER)[0]["contents"][0]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [UNSIGNED_CALL, None]
    assert "thoughtSignature" not in contents(calls)[0]["contents"][0]["parts"][0]


def test_a_model_of_another_name_may_demand_one_too() -> None:
    named = TARGET._replace(model="endpoints/1234")
    parts = contents(Turn("assistant", (ToolCall("1", "f", "{}"),)), target=named)[0]["contents"][0]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [UNSIGNED_CALL]
