"""Answers, faults and the bill of the simulator, seen from a raw socket."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from halley.simulator.assistant import packaged_docs
from halley.simulator.run import raise_file_limit
from halley.simulator.script import PARTS, BadScript, Script, read_file, read_name
from tests.simulator.wire import dial, exchange, post, read_reply, request, simulator, until

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "unit"],
        },
    },
}


async def test_a_stream_has_openais_order_and_the_same_bytes_each_time() -> None:
    async with simulator() as sim:
        first = await exchange(sim, request("sim/tokens-3", stream=True, usage=True))
        assert first == await exchange(sim, request("sim/tokens-3", stream=True, usage=True))
        assert first.clean and first.body.endswith(b"data: [DONE]\n\n")
        role, *content, finish, usage = first.events
        assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert [list(chunk["choices"][0]["delta"]) for chunk in content] == [["content"]] * 3
        assert finish["choices"][0]["finish_reason"] == "stop"
        assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 3)


async def test_asking_for_usage_adds_one_frame_and_changes_no_other() -> None:
    async with simulator() as sim:
        plain = await exchange(sim, request("sim/echo", stream=True))
        counted = await exchange(sim, request("sim/echo", stream=True, usage=True))
        frames = counted.body.split(b"\n\n")
        assert b"\n\n".join(frame for frame in frames if b'"usage"' not in frame) == plain.body
        assert len(frames) == len(plain.body.split(b"\n\n")) + 1


async def test_streamed_tool_arguments_join_to_what_the_document_says() -> None:
    async with simulator() as sim:
        whole = json.loads((await exchange(sim, request("sim/echo", tools=[TOOL]))).body)["choices"][0]
        assert whole["finish_reason"] == "tool_calls"
        arguments = whole["message"]["tool_calls"][0]["function"]["arguments"]
        assert json.loads(arguments) == {"city": "sample", "unit": "C"}
        stream = await exchange(sim, request("sim/echo", tools=[TOOL], stream=True))
        calls = [call for chunk in stream.events for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
        assert calls[0]["function"]["name"] == "weather"
        assert "".join(call["function"]["arguments"] for call in calls) == arguments


async def test_a_chosen_tool_is_called_and_a_malformed_choice_is_refused() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    async with simulator() as sim:
        chosen = await exchange(sim, request("sim/echo", tools=[TOOL, other], tool_choice=other))
        assert b'"name":"other"' in chosen.body
        for choice in (7, {"type": "function", "function": {}}):
            assert (await exchange(sim, request("sim/echo", tools=[TOOL], tool_choice=choice))).status == 400


async def test_a_schema_gets_an_instance_and_images_are_counted() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 4}, "tags": {"type": "array", "items": {"$ref": "#/$defs/t"}}},
    }
    schema |= {"$defs": {"t": {"enum": ["a"]}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    async with simulator() as sim:
        answer = json.loads((await exchange(sim, request("sim/echo", response_format=wanted))).body)
        assert json.loads(answer["choices"][0]["message"]["content"]) == {"n": 4, "tags": ["a"]}
        answer = json.loads((await exchange(sim, request("sim/echo", content=parts))).body)
        assert answer["usage"]["prompt_tokens"] == 86


@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("stream", [False, True])
async def test_both_caps_cut_every_choice_with_finish_length(cap: str, stream: bool) -> None:
    async with simulator() as sim:
        reply = await exchange(sim, request("sim/tokens-9", stream=stream, n=2, **{cap: 4}))
        chunks = reply.events if stream else [json.loads(reply.body)]
        finishes = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
        assert finishes == ["length", "length"]
        assert sim.bill.totals.completion_tokens == 8


async def test_the_reasoner_reasons_before_it_answers() -> None:
    async with simulator() as sim:
        events = (await exchange(sim, request("sim/reasoner", stream=True))).events
        keys = [key for chunk in events[1:-1] for key in chunk["choices"][0]["delta"]]
        assert keys == ["reasoning_content"] * 12 + ["content"] * 4


@pytest.mark.parametrize("stream", [False, True])
async def test_a_body_is_cut_at_the_byte(stream: bool) -> None:
    async with simulator() as sim:
        whole = await exchange(sim, request("sim/tokens-200+id-whole+cut-at-99999999", stream=stream))
        cut = await exchange(sim, request("sim/tokens-200+cut-at-512", stream=stream))
        assert whole.clean and not cut.clean and len(cut.body) == 512
        assert sim.bill.rows[-1].outcome == "cut"


@pytest.mark.parametrize(
    ("parts", "stream", "status", "kind", "inside"),
    [
        ("status-429+retry-after-7", False, 429, "application/json", b"rate_limit_exceeded"),
        ("status-500", True, 500, "application/json", b"server_error"),
        ("html-502", True, 502, "text/html", b"<html>"),
        ("echo-key+status-401", False, 401, "application/json", b"Bearer k"),
        ("sse-anyway", False, 200, "text/event-stream; charset=utf-8", b"[DONE]"),
        ("json-anyway", True, 200, "application/json", b"chat.completion"),
        ("empty-choices", False, 200, "application/json", b'"choices":[]'),
        ("empty-choices", True, 200, "text/event-stream; charset=utf-8", b'"choices":[]'),
        ("crlf", True, 200, "text/event-stream; charset=utf-8", b"}\r\n\r\ndata: [DONE]\r\n\r\n"),
        ("error-frame-after-3", True, 200, "text/event-stream; charset=utf-8", b'data: {"error"'),
    ],
)
async def test_a_named_fault_does_what_it_says(parts: str, stream: bool, status: int, kind: str, inside: bytes) -> None:
    async with simulator() as sim:
        reply = await exchange(sim, request(f"sim/{parts}", stream=stream))
        assert (reply.status, reply.fields["content-type"], reply.clean) == (status, kind, True)
        assert inside in reply.body
        assert reply.fields.get("retry-after") == ("7" if "retry" in parts else None)


@pytest.mark.parametrize("stream", [False, True])
async def test_bad_json_does_not_parse(stream: bool) -> None:
    async with simulator() as sim:
        reply = await exchange(sim, request("sim/bad-json", stream=stream))
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            _ = reply.events if stream else json.loads(reply.body)


async def test_usage_is_reported_as_scripted_and_billed_as_generated() -> None:
    async with simulator() as sim:
        assert b'"usage"' not in (await exchange(sim, request("sim/tokens-5+no-usage", stream=True, usage=True))).body
        wrong = json.loads((await exchange(sim, request("sim/tokens-5+wrong-usage"))).body)
        each = await exchange(sim, request("sim/tokens-5+usage-each-chunk", stream=True))
        assert wrong["usage"]["completion_tokens"] == 50
        assert [chunk["usage"]["completion_tokens"] for chunk in each.events] == [0, 1, 2, 3, 4, 5, 5]
        assert [row.completion_tokens for row in sim.bill.rows] == [5, 5, 5]


async def test_no_finish_leaves_the_finish_out() -> None:
    async with simulator() as sim:
        assert b'"stop"' not in (await exchange(sim, request("sim/no-finish", stream=True))).body


async def test_an_eof_body_has_no_length_and_an_early_close_is_not_announced() -> None:
    async with simulator() as sim:
        eof = await exchange(sim, request("sim/eof-body", stream=True))
        assert not {"content-length", "transfer-encoding"} & set(eof.fields) and eof.body.endswith(b"[DONE]\n\n")
        reader, writer = await dial(sim)
        writer.write(request("sim/early-close"))
        reply = await read_reply(reader)
        assert reply.clean and "connection" not in reply.fields and await reader.read() == b""
        writer.close()


async def test_a_wait_can_stand_inside_a_frame_and_before_the_frames_after_the_last_piece() -> None:
    async with simulator() as sim:
        reader, writer = await dial(sim)
        writer.write(request("sim/tokens-3+halves+slow-60000ms", stream=True))
        await reader.readuntil(b'"finish_reason":null}]}\n\n\r\n')
        half = await reader.readexactly(int(await reader.readline(), 16))
        assert half.startswith(b"data: {") and not half.endswith(b"\n")
        writer.transport.abort()
        reader, writer = await dial(sim)
        writer.write(request("sim/tokens-3+closing-60000ms", stream=True))
        await reader.readuntil(b'"finish_reason":null}]}\n\n\r\n')
        for _ in range(3):
            await reader.readuntil(b'"content":"')
        await until(lambda: sim.open_streams == 1 and sim.bill.rows[-1].completion_tokens == 3)
        writer.transport.abort()
        await until(lambda: sim.bill.totals.outcomes == {"hung-up": 2})
        quick = await exchange(sim, request("sim/tokens-3+halves+slow-1ms+closing-1ms", stream=True))
        assert quick.clean and [len(chunk["choices"]) for chunk in quick.events] == [1] * 5


async def test_one_byte_writes_carry_the_same_body() -> None:
    async with simulator({"m": Script(), "n": Script(write_bytes=1)}) as sim:
        whole = await exchange(sim, request("sim/echo+write-3", stream=True))
        assert whole.clean and whole.body.endswith(b"[DONE]\n\n")
        reader, writer = await dial(sim)
        writer.write(request("sim/one-byte-writes", stream=True))
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(12) == b"1\r\nd\r\n1\r\na\r\n"
        writer.close()


async def test_a_reset_comes_after_the_head() -> None:
    async with simulator() as sim:
        reader, writer = await dial(sim)
        writer.write(request("sim/reset-after-head", stream=True))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_the_bill_holds_what_was_generated_until_the_caller_left() -> None:
    async with simulator() as sim:
        for model in ("sim/tokens-9+stall-after-3", "sim/tokens-9+stall-after-3+bills-to-end"):
            _, writer = await dial(sim)
            writer.write(request(model, stream=True))
            await until(lambda: sim.open_streams == 1 and sim.bill.rows[-1].completion_tokens == 3)
            writer.close()
            await until(lambda: sim.open_streams == 0)
        stopped, billed = sim.bill.rows
        assert (stopped.outcome, stopped.request_id, stopped.prompt_tokens, stopped.completion_tokens) == ("hung-up", "req_test", 2, 3)
        assert (billed.outcome, billed.completion_tokens) == ("hung-up", 9)


async def test_a_sequence_fails_first_and_then_answers() -> None:
    async with simulator({"m": Script(sequence=(Script(status=503), Script(html=True, status=502)))}) as sim:
        assert [(await exchange(sim, request("m"))).status for _ in range(4)] == [503, 502, 200, 200]
        assert [(await exchange(sim, request("sim/fail-2-with-529"))).status for _ in range(3)] == [529, 529, 200]


async def test_the_control_port_scripts_counts_and_resets() -> None:
    async with simulator() as sim:
        assert (await exchange(sim, request("mine"))).status == 404
        assert (await exchange(sim, post("/sim/script/mine", b'{"status": 418}', method="PUT"))).status == 200
        assert (await exchange(sim, post("/sim/script/mine", b'{"statis": 418}', method="PUT"))).status == 400
        assert (await exchange(sim, request("mine"))).status == 418
        state = json.loads((await exchange(sim, post("/sim/state", b"", method="GET"))).body)
        assert (state["requests"], state["connections_dialled"], state["open_streams"]) == (2, 2, 0)
        await exchange(sim, post("/sim/reset", b""))
        bill = json.loads((await exchange(sim, post("/sim/bill", b"", method="GET"))).body)
        assert bill["attempts"] == [] and bill["totals"]["attempts"] == 0


async def test_pipelined_requests_are_answered_in_order_on_one_connection() -> None:
    async with simulator() as sim:
        reader, writer = await dial(sim)
        writer.write(b"".join(request(f"sim/tokens-{n}") for n in range(1, 100)))
        counts = [json.loads((await read_reply(reader)).body)["usage"]["completion_tokens"] for _ in range(1, 100)]
        assert counts == list(range(1, 100)) and sim.dialled == 1
        writer.close()


async def test_a_required_key_refuses_every_other() -> None:
    async with simulator(require_key="right") as sim:
        statuses = [(await exchange(sim, request("sim/echo", key=key))).status for key in ("right", "wrong", None)]
        assert statuses == [200, 401, 401] and len(sim.bill.rows) == 1


async def test_a_thousand_slow_streams_run_on_one_process_and_end_when_their_callers_leave() -> None:
    raise_file_limit()
    async with simulator() as sim:
        peers = [await dial(sim) for _ in range(1000)]
        for _, writer in peers:
            writer.write(request("sim/tokens-1000+slow-100ms", stream=True))
        await asyncio.gather(*(reader.readuntil(b'"content":"') for reader, _ in peers))
        await until(lambda: sim.open_streams == 1000)
        for _, writer in peers:
            writer.transport.abort()
        await until(lambda: sim.open_streams == 0)
        assert sim.bill.totals.outcomes == {"hung-up": 1000}
        assert all(row.completion_tokens < 1000 for row in sim.bill.rows)


def test_a_name_with_an_unknown_part_is_no_model() -> None:
    assert read_name("sim/echo+nonsense") is None and read_name("gpt-x") is None and read_name("sim/") is None


def test_a_script_file_is_read_and_a_mistake_is_named(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text('[models."m"]\ntokens = 5\nsequence = [{ status = 503 }]\n')
    assert read_file(file) == {"m": Script(tokens=5, sequence=(Script(status=503),))}
    file.write_text('[models."m"]\ntoken = 5\n')
    with pytest.raises(BadScript, match="token"):
        read_file(file)


def test_every_part_of_a_name_is_documented() -> None:
    page = (packaged_docs() / "simulator.md").read_text(encoding="utf-8")
    for pattern, _ in PARTS:
        part = re.split(r"[(\\\[]", pattern)[0]
        assert f"`{part}" in page, f"docs/simulator.md does not say what {pattern} does"
    for field in Script.__struct_fields__:
        assert f"`{field}`" in page, f"docs/simulator.md does not name the field {field}"
