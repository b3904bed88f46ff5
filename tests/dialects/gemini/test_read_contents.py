"""Contents as turns: every kind of part, and calls that find their results."""

from __future__ import annotations

import json

import pytest

from halley.chat.model import Audio, Document, FileId, Image, Inline, Opaque, Seal, Text, Thinking, ToolCall, ToolResult, Turn, Url, Video
from halley.dialects.gemini import DOORS
from halley.errors import Refused
from tests.dialects.gemini.samples import FOREIGN, OWN, ask


def parts(*given: object, role: str | None = "user"):
    content = {"parts": list(given)} | ({} if role is None else {"role": role})
    return DOORS.read_ask(json.dumps({"contents": [content]}).encode()).turns[0].parts


def test_roles_are_those_of_both_sides_and_nobody_is_the_user() -> None:
    contents = [{"role": role, "parts": [{"text": "x"}]} for role in ("user", "model", "function")] + [{"parts": [{"text": "x"}]}]
    turns = DOORS.read_ask(json.dumps({"contents": contents}).encode()).turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "user"]
    assert turns[1].at == "contents[1]"
    with pytest.raises(Refused) as refused:
        DOORS.read_ask(b'{"contents": [{"role": "assistant", "parts": []}]}')
    assert refused.value.param == "contents[0].role"


@pytest.mark.parametrize("instruction", ['"Be brief."', '{"role": "user", "parts": [{"text": "Be brief."}]}'])
def test_a_system_instruction_is_a_string_or_a_content(instruction: str) -> None:
    turns = DOORS.read_ask(f'{{"system_instruction": {instruction}, "contents": [{{"parts": []}}]}}'.encode()).turns
    assert turns[0].role == "system" and isinstance(turns[0].parts[0], Text) and turns[0].parts[0].text == "Be brief."
    assert turns[0].at == "system_instruction"


def test_text_thoughts_and_signatures() -> None:
    at = "contents[0].parts"
    assert parts({"text": "a"}, {"text": "b", "thought": True}, {"text": "c", "thoughtSignature": OWN}, {"thought_signature": FOREIGN}) == (
        Text("a", at=f"{at}[0]"),
        Thinking("b", at=f"{at}[1]"),
        Text("c", seal=Seal("gemini:", OWN), at=f"{at}[2]"),
        Text("", seal=Seal("anthropic:theirs", "EpoBCkgICBAB/w=="), at=f"{at}[3]"),
    )


def test_a_response_that_is_said_twice_is_one() -> None:
    call = {"functionCall": {"id": "c", "name": "f"}}
    response = {"functionResponse": {"id": "c", "name": "f", "response": {"output": "x"}}}
    other = {"functionResponse": {"name": "f", "response": {"output": "x"}}}
    contents = [{"role": "model", "parts": [call]}, {"role": "user", "parts": [response, response, other, other]}]
    turn = DOORS.read_ask(json.dumps({"contents": contents}).encode()).turns[1]
    first, *_ = turn.parts
    assert isinstance(first, ToolResult) and first.id == "c"
    assert len(turn.parts) == 3  # without an id, each may answer another call


def test_pieces_of_a_thought_are_one_with_the_seal_of_the_last() -> None:
    own = Seal("gemini:", OWN)
    pieces = [{"text": text, "thought": True} for text in ("a", "b", "c")] + [{"text": "", "thought": True, "thoughtSignature": OWN}]
    again = {"text": "d", "thought": True}
    assert parts(*pieces, again) == (
        Thinking("abc", seal=own, at="contents[0].parts[0]"),
        Thinking("d", at="contents[0].parts[4]"),
    )
    contents = [{"role": "model", "parts": [piece]} for piece in (*pieces, again, {"text": "so"})]
    turns = DOORS.read_ask(json.dumps({"contents": contents}).encode()).turns
    assert [[getattr(part, "text", None) for part in turn.parts] for turn in turns] == [["abc"], ["d"], ["so"]]
    (first, *_), *_ = [turn.parts for turn in turns]
    assert isinstance(first, Thinking) and first.seal == own


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "QQ=="}}, Image(Inline("image/png", "QQ=="))),
        ({"inline_data": {"mime_type": "audio/wav", "data": "QQ=="}}, Audio(Inline("audio/wav", "QQ=="))),
        ({"inlineData": {"mimeType": "video/mp4", "data": "QQ=="}}, Video(Inline("video/mp4", "QQ=="))),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "QQ==", "displayName": "a.pdf"}},
            Document(Inline("application/pdf", "QQ=="), "a.pdf"),
        ),
        ({"fileData": {"fileUri": "https://example.com/a.PNG?b=c"}}, Image(Url("https://example.com/a.PNG?b=c"))),
        ({"fileData": {"fileUri": "https://example.com/a", "mimeType": "audio/mp3"}}, Audio(Url("https://example.com/a", "audio/mp3"))),
        (
            {"fileData": {"fileUri": "https://youtu.be/abc"}, "videoMetadata": {"startOffset": "1.5s", "fps": 2}},
            Video(Url("https://youtu.be/abc"), 1.5, None, 2.0),
        ),
        ({"fileData": {"fileUri": "https://example.com/paper"}}, Document(Url("https://example.com/paper"))),
        (
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc", "mimeType": "video/mp4"}},
            Video(FileId("https://generativelanguage.googleapis.com/v1beta/files/abc", "gemini", "video/mp4")),
        ),
        ({"fileData": {"fileUri": "gs://bucket/a.pdf"}}, Document(FileId("gs://bucket/a.pdf", "gemini"))),
        (
            {"inlineData": {"mimeType": "image/png", "data": "QQ=="}, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
            Image(Inline("image/png", "QQ=="), detail="low"),
        ),
    ],
)
def test_media_are_what_their_type_says(given: object, expected: Image) -> None:
    (found,) = parts(given)
    assert found == type(expected)(
        **{name: getattr(expected, name) for name in expected.__struct_fields__ if name != "at"}, at="contents[0].parts[0]"
    )


@pytest.mark.parametrize("data", ["+/+/AA==", "-_-_AA==", "-_-_AA"])
def test_base64_is_read_in_both_alphabets(data: str) -> None:
    (image,) = parts({"inlineData": {"mimeType": "image/png", "data": data}})
    assert isinstance(image, Image) and image.source == Inline("image/png", "+/+/AA==")


def test_a_part_of_one_dialect_alone_stays_as_it_came() -> None:
    first, second = parts({"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": OWN}, {"toolCall": {}})
    assert isinstance(first, Opaque) and first.what == "executableCode" and OWN.encode() in bytes(first.raw)
    assert isinstance(second, Opaque) and second.what == "toolCall"


def test_what_a_part_has_beside_its_kind_is_an_extra() -> None:
    body = {"contents": [{"parts": [{"text": "a", "videoMetadata": {"fps": 1}, "partMetadata": {}}], "odd": 1}]}
    extras = DOORS.read_ask(json.dumps(body).encode()).extras
    assert [extra.at for extra in extras] == ["contents[0].parts[0].videoMetadata", "contents[0].parts[0].partMetadata", "contents[0].odd"]


def answered(case: str) -> tuple[list[ToolCall], list[ToolResult]]:
    found = [part for turn in ask(case).turns for part in turn.parts]
    return [part for part in found if isinstance(part, ToolCall)], [part for part in found if isinstance(part, ToolResult)]


def test_results_without_ids_find_their_calls_by_name_and_order() -> None:
    calls, results = answered("tools_parallel")
    assert [call.id for call in calls] == ["call_1_get_weather", "call_2_get_weather", "call_3_get_time"]
    assert [result.id for result in results] == ["call_3_get_time", "call_1_get_weather", "call_2_get_weather"]
    assert [result.structured for result in results] == [False, True, True]
    said = ["".join(part.text.split()) for result in results for part in result.parts if isinstance(part, Text)]
    assert said == ["12:30", '{"temperature":18}', '{"temperature":24}']


def contents(*given: object) -> tuple[Turn, ...]:
    return DOORS.read_ask(json.dumps({"contents": [{"role": "user", "parts": [each]} for each in given]}).encode()).turns


def test_ids_of_clients_are_kept_and_go_before_names() -> None:
    first = {"functionCall": {"id": "b", "name": "f"}}
    second = {"functionCall": {"id": "a", "name": "f"}}
    turns = contents(
        first, second, {"functionResponse": {"id": "a", "name": "f", "response": {}}}, {"functionResponse": {"name": "f", "response": {}}}
    )
    assert [part.id for turn in turns for part in turn.parts if isinstance(part, ToolCall | ToolResult)] == ["b", "a", "a", "b"]


def test_a_result_with_an_id_answers_a_call_that_had_none_and_one_without_any_call_stands_alone() -> None:
    turns = contents(
        {"functionCall": {"name": "f"}},
        {"functionResponse": {"id": "x", "name": "f", "response": {}}},
        {"functionResponse": {"id": "y", "name": "f", "response": {}}},
        {"functionResponse": {"name": "odd.name/with: signs, and far too long a name", "response": {}}},
    )
    ids = [part.id for turn in turns for part in turn.parts if isinstance(part, ToolCall | ToolResult)]
    assert ids == ["call_1_f", "call_1_f", "y", "call_2_odd_name_with__signs__an"]
    assert all(len(made) <= 40 for made in ids)


@pytest.mark.parametrize(
    ("response", "text", "failed", "structured"),
    [
        ({"output": "x"}, "x", False, False),
        ({"result": "x"}, "x", False, False),
        ({"error": "x"}, "x", True, False),
        ({"error": {"code": 1}}, '{"error": {"code": 1}}', True, True),
        ({"result": 1}, '{"result": 1}', False, True),
        ({"output": "x", "more": 1}, '{"output": "x", "more": 1}', False, True),
        ({}, "{}", False, True),
    ],
)
def test_a_response_is_a_text_or_an_object(response: object, text: str, failed: bool, structured: bool) -> None:
    (found,) = parts({"functionResponse": {"name": "f", "response": response}})
    assert isinstance(found, ToolResult) and isinstance(found.parts[0], Text)
    assert (found.parts[0].text, found.failed, found.structured, found.name) == (text, failed, structured, "f")


def test_media_of_a_result_are_its_parts() -> None:
    (result,) = answered("tool_result_image")[1]
    assert [type(part).__name__ for part in result.parts] == ["Text", "Image"]


def test_a_call_without_arguments_has_none() -> None:
    assert [call.arguments for call in answered("arguments_empty")[0]] == ["{}"]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"inlineData": {"data": "QQ=="}}, "inlineData.mimeType"),
        ({"inline_data": {"mime_type": "image/png"}}, "inline_data.data"),
        ({"fileData": {}}, "fileData.fileUri"),
        ({"file_data": {"file_uri": "ftp://x"}}, "file_data.fileUri"),
        ({"functionCall": {"args": {}}}, "functionCall.name"),
        ({"functionResponse": {"response": {}}}, "functionResponse.name"),
        ({"functionResponse": {"name": "f", "response": 1}}, "functionResponse.response"),
        ({"functionResponse": {"name": "f", "parts": [{"functionCall": {"name": "g"}}]}}, "functionResponse.parts[0]"),
        ({"fileData": {"fileUri": "https://youtu.be/a"}, "videoMetadata": {"endOffset": "soon"}}, "videoMetadata.endOffset"),
    ],
)
def test_a_fault_is_named_by_its_place(part: object, param: str) -> None:
    with pytest.raises(Refused) as refused:
        parts(part)
    assert refused.value.param == f"contents[0].parts[0].{param}"
