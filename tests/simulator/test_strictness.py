"""What each dialect refuses, with 400 in its own shape and the name of the field: what a sloppy translation would send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.simulator.tongues import SCHEMA, TONGUES, raw, user
from tests.simulator.wire import ask, simulator

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CALLED = [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [CALL]}]
LAX = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}

CHAT = {
    "messages": [
        {"messages": []},
        {"messages": CALLED},
    ],
    "messages[0].role": [{"messages": [{"role": "model", "content": "hi"}]}],
    "messages[0].content[0].type": [{"messages": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}],
    "messages[0].content[0].image_url.url": [
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}
        for url in ("data:image/png;base64,A", "data:image/png,AAAA", "cat.png")
    ],
    "messages[0].content[0].input_audio.format": [
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "ogg"}}]}]}
    ],
    "messages[2]": [{"messages": [*CALLED, {"role": "user", "content": "and?"}]}],
    "messages[2].tool_call_id": [{"messages": [*CALLED, {"role": "tool", "tool_call_id": "c2", "content": "warm"}]}],
    "messages[1].tool_call_id": [{"messages": [{"role": "user", "content": "hi"}, {"role": "tool", "tool_call_id": "c", "content": "x"}]}],
    "temperature": [{"temperature": 3}],
    "n": [{"n": 0}, {"n": 129}],
    "stop": [{"stop": ["a", "b", "c", "d", "e"]}],
    "top_logprobs": [{"top_logprobs": 2}],
    "tools[0].function": [{"tools": [{"type": "function", "name": "flat"}]}],
    "tools[0].function.name": [{"tools": [{"type": "function", "function": {"name": "a.b"}}]}],
    "response_format.json_schema.schema": [{"response_format": LAX}],
    "top_k": [{"model": "sim/strict", "top_k": 3}],
}

USER = {"role": "user", "content": "hi"}
USED = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
RESPONSES = {
    "input": [{"input": []}],
    "max_output_tokens": [{"max_output_tokens": 8}],
    "messages": [{"messages": []}],
    "max_tokens": [{"max_tokens": 9}],
    "input[0].content[0].type": [{"input": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}],
    "input[0].call_id": [{"input": [{"type": "function_call_output", "call_id": "c9", "output": "x"}]}],
    "input[1]": [{"input": [USER, USED]}],
    "input[1].id": [
        {"input": [USER, USED | {"id": "call_1"}]},
        {"input": [USER, {"type": "reasoning", "id": "rs_1", "summary": []}, USER]},
    ],
    "input[1].encrypted_content": [
        {"input": [USER, {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAother"}, USER]}
    ],
    "tools[0].function": [{"tools": [{"type": "function", "function": {"name": "nested"}}]}],
    "text.format.schema": [{"text": {"format": {"type": "json_schema", "schema": SCHEMA, "name": "x", "strict": True}}}],
    "text.format.json_schema": [{"text": {"format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}}],
    "previous_response_id": [{"previous_response_id": "resp_unknown"}],
}

TOOL_USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "warm"}
THINKING = {"type": "enabled", "budget_tokens": 1024}
MARK = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
MESSAGES = {
    "max_tokens": [{"max_tokens": None}],
    "messages": [{"messages": []}, {"messages": [USER, TOOL_USE]}, {"messages": [USER, {"role": "assistant", "content": "begun "}]}],
    "messages.0": [{"messages": [{"role": "system", "content": "be good"}, USER]}],
    "messages.0.role": [{"messages": [{"role": "tool", "content": "x"}]}],
    "messages.0.content": [{"messages": [{"role": "user", "content": ""}]}],
    "messages.0.content.0": [{"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}],
    "messages.0.content.0.type": [{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}],
    "messages.0.content.0.image_url": [{"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "image_url": {}}]}]}],
    "messages.0.content.0.source.media_type": [
        {
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": "AAAA"}}]}
            ]
        }
    ],
    "messages.1.content.0.signature": [
        {"messages": [USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "other"}]}, USER]}
    ],
    "messages.1.content.0.data": [
        {"messages": [USER, {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "other"}]}, USER]}
    ],
    "messages.1.content.0": [
        {"thinking": THINKING, "max_tokens": 2000, "messages": [USER, TOOL_USE, {"role": "user", "content": [RESULT]}]}
    ],
    "messages.1.content.0.id": [
        {"messages": [USER, {"role": "assistant", "content": [TOOL_USE["content"][0] | {"id": "a.b"}]}, USER]},
    ],
    "messages.2.content.1": [{"messages": [USER, TOOL_USE, {"role": "user", "content": [{"type": "text", "text": "so"}, RESULT]}]}],
    "messages.2.content.0.tool_use_id": [{"messages": [USER, TOOL_USE, {"role": "user", "content": [RESULT | {"tool_use_id": "t2"}]}]}],
    "messages.3": [{"messages": [USER, TOOL_USE, USER, {"role": "assistant", "content": "warm"}, USER]}],
    "thinking.budget_tokens": [{"thinking": {"type": "enabled", "budget_tokens": 4096}}, {"thinking": {"type": "enabled"}}],
    "tool_choice": [{"thinking": THINKING, "max_tokens": 2000, "tool_choice": {"type": "any"}}],
    "temperature": [{"temperature": 1.5}, {"temperature": 0.5, "thinking": THINKING, "max_tokens": 2000}],
    "stop": [{"stop": ["x"]}],
    "tools.0.input_schema": [{"tools": [{"name": "weather", "parameters": {}}]}],
    "tools.1.name": [{"tools": [{"name": "a", "input_schema": SCHEMA}, {"name": "a", "input_schema": SCHEMA}]}],
    None: [{"messages": [{"role": "user", "content": [MARK] * 5}]}],
    "thread": [{"thread": {"type": "create"}}],
}

HI = {"role": "user", "parts": [{"text": "hi"}]}
FUNCTION = {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {}, "id": "1"}}]}


def _answers(*names: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"functionResponse": {"name": name, "response": {"output": "x"}}} for name in names]}


GEMINI = {
    "contents": [{"contents": []}, {"contents": [HI, FUNCTION]}],
    "contents.0": [{"contents": [FUNCTION, _answers("weather")]}],
    "contents.0.role": [{"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}],
    "contents.0.parts.0": [{"contents": [{"role": "user", "parts": [{"text": "x", "inlineData": {"mimeType": "image/png", "data": ""}}]}]}],
    "contents.0.parts.0.inlineData.data": [
        {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "*"}}]}]}
    ],
    "contents.0.parts.0.fileData.fileUri": [
        {"contents": [{"role": "user", "parts": [{"fileData": {"mimeType": "image/png", "fileUri": "data:image/png;base64,AAAA"}}]}]}
    ],
    "contents.2": [
        {"contents": [HI, FUNCTION, HI]},
        {"contents": [HI, FUNCTION, _answers("weather", "weather")]},
    ],
    "contents.2.parts.0.functionResponse.name": [{"contents": [HI, FUNCTION, _answers("clock")]}],
    "contents.1.parts.0.thoughtSignature": [
        {"contents": [HI, {"role": "model", "parts": [FUNCTION["parts"][0] | {"thoughtSignature": "AAAA"}]}, _answers("weather")]},
    ],
    "messages": [{"messages": []}],
    "generationConfig.max_tokens": [{"generationConfig": {"max_tokens": 4}}],
    "generationConfig.stopSequences": [{"generationConfig": {"stopSequences": list("abcdef")}}],
    "generationConfig.thinkingConfig": [{"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}}],
    "generationConfig.responseSchema": [{"generationConfig": {"responseSchema": {"type": "OBJECT"}}}],
    "tools.0.functionDeclarations.0.parameters.additionalProperties": [
        {"tools": [{"functionDeclarations": [{"name": "a", "parameters": {"type": "object", "additionalProperties": False}}]}]}
    ],
    "tools.0.functionDeclarations.0.parameters.properties.x.type": [
        {"tools": [{"functionDeclarations": [{"name": "a", "parameters": {"properties": {"x": {"type": ["string", "null"]}}}}]}]}
    ],
    "toolConfig.functionCallingConfig.allowedFunctionNames": [
        {"toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["a"]}}}
    ],
}

CASES = [
    (tongue, field, change)
    for tongue, table in (("chat", CHAT), ("responses", RESPONSES), ("messages", MESSAGES), ("gemini", GEMINI))
    for field, changes in table.items()
    for change in changes
]


@pytest.mark.parametrize(("tongue", "field", "change"), CASES)
async def test_a_bad_body_is_refused_and_its_field_is_named(tongue: str, field: str | None, change: dict[str, Any]) -> None:
    async with simulator() as sim:
        reply = await raw(sim, tongue, "sim/echo", [user(tongue, "hi")], stream=False, more=change)
        assert reply.status == 400, reply.body
        error = json.loads(reply.body)["error"]
        match tongue:
            case "messages":
                assert json.loads(reply.body)["type"] == "error" and error["type"] == "invalid_request_error"
                assert field is None or error["message"].startswith(f"{field}: "), error
            case "gemini":
                assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
                assert error["details"][0]["fieldViolations"][0]["field"] == field, error
            case _:
                assert (error["type"], error["param"]) == ("invalid_request_error", field), error
        assert not sim.bill.rows


@pytest.mark.parametrize("tongue", TONGUES)
async def test_a_body_that_is_no_json_is_refused(tongue: str) -> None:
    async with simulator() as sim:
        way = TONGUES[tongue]
        deep = b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        for body in (b"{", b"[]", deep, b'{"tools":' + b'{"a":' * 700 + b"1" + b"}" * 701):
            assert (await ask(sim, way.path("sim/echo", False), body, **way.fields)).status == 400


async def test_a_missing_signature_is_refused_by_a_strict_gemini_only() -> None:
    contents = [HI, FUNCTION, _answers("weather")]
    async with simulator() as sim:
        assert (await raw(sim, "gemini", "sim/echo", contents, stream=False)).status == 200
        refused = await raw(sim, "gemini", "sim/strict", contents, stream=False)
        assert refused.status == 400 and b"contents.1.parts.0.thoughtSignature" in refused.body
        skipped = [HI, {"role": "model", "parts": [FUNCTION["parts"][0] | {"thoughtSignature": "skip_thought_signature_validator"}]}]
        assert (await raw(sim, "gemini", "sim/strict", [*skipped, _answers("weather")], stream=False)).status == 200
        assert (
            await raw(sim, "gemini", "sim/strict", [*contents, FUNCTION | {"parts": [{"text": "warm"}]}, HI], stream=False)
        ).status == 200


async def test_a_thread_is_refused_so_that_clients_send_the_whole_conversation() -> None:
    async with simulator() as sim:
        reply = await raw(sim, "messages", "sim/echo", [USER], stream=False, more={"thread": {"type": "create"}})
        assert json.loads(reply.body)["error"]["details"] == {"error_code": "thread_unsupported_request"}


async def test_sampling_fields_have_gone_from_the_newest_anthropic_version() -> None:
    async with simulator() as sim:
        body = TONGUES["messages"].body("sim/echo", [USER], stream=False, tools=[], thinks=False) | {"temperature": 1}
        for version, status in (("2023-06-01", 200), ("2026-10-21", 400), (None, 400)):
            fields = {"x_api_key": "k"} | ({"anthropic_version": version} if version else {})
            assert (await ask(sim, "/v1/messages", body, **fields)).status == status
