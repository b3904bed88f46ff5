"""What each dialect has of its own: order of events, seals, media, lists, carriers of a key, stored responses."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import Any

import pytest

from tests.simulator.tongues import TONGUES, answered, converse, raw, spoken, user
from tests.simulator.wire import Reply, ask, dial, events, simulator, until

PIXEL = bytes(range(200)) * 3
EACH_WAY = [(tongue, stream) for tongue in TONGUES for stream in (False, True)]


def kinds(reply: Reply) -> list[str]:
    """The names of a stream's events, repeated deltas as one."""
    found: list[str] = []
    for event in events(reply):
        if not (found and found[-1] == event.name):
            found.append(event.name)
    return found


async def test_responses_has_openais_order_of_events() -> None:
    async with simulator() as sim:
        reply = await raw(sim, "responses", "sim/think-3+preamble", [user("responses", "hi")], stream=True, tools=["weather"], thinks=True)
        assert [name.removeprefix("response.") for name in kinds(reply)] == [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
        odd = await raw(sim, "responses", "sim/tokens-3+unknown-events", [user("responses", "hi")], stream=True)
        numbers = [event.said["sequence_number"] for event in events(odd)]
        assert numbers == list(range(len(numbers))) and "response.future_thing.delta" in kinds(odd)


async def test_messages_has_anthropics_order_of_events() -> None:
    async with simulator() as sim:
        turns = [user("messages", "hi")]
        reply = await raw(sim, "messages", "sim/think-3+redacted+preamble", turns, stream=True, tools=["weather"], thinks=True)
        block = ["content_block_start", "content_block_delta", "content_block_stop"]
        empty = ["content_block_start", "content_block_stop"]
        assert kinds(reply) == ["message_start", *block, *empty, *block, *block, "message_delta", "message_stop"]
        opened = [event.said["content_block"]["type"] for event in events(reply) if event.name == "content_block_start"]
        assert opened == ["thinking", "redacted_thinking", "text", "tool_use"]
        pinged = await raw(sim, "messages", "sim/tokens-2+pings", turns, stream=True)
        assert [event.said for event in events(pinged) if event.name == "ping"] == [{"type": "ping"}] * 2


async def test_gemini_streams_events_or_one_json_array() -> None:
    async with simulator() as sim:
        path = "/v1/models/models/sim%2Ftokens-3%2Bthink-2:streamGenerateContent"
        body = {"contents": [user("gemini", "hi")], "generation_config": {"thinking_config": {"include_thoughts": True}}}
        array = await ask(sim, path, body, x_goog_api_key="k")
        assert array.fields["content-type"] == "application/json"
        chunks = json.loads(array.body)
        assert [chunk["candidates"][0].get("finishReason") for chunk in chunks] == [None] * 5 + ["STOP"]
        assert [chunk["usageMetadata"]["totalTokenCount"] for chunk in chunks] == [2, 3, 4, 5, 6, 6]
        sse = await ask(sim, f"{path}?alt=sse&key=k", body, host="sim")
        assert [event.said for event in events(sse)] == chunks
        failed = await ask(sim, path.replace("think-2", "error-frame-after-2"), body, x_goog_api_key="k")
        assert json.loads(failed.body)[-1]["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize(("tongue", "stream"), EACH_WAY)
async def test_thinking_comes_back_whole_or_is_refused(tongue: str, stream: bool) -> None:
    if tongue == "chat":
        return
    async with simulator() as sim:
        turns = [user(tongue, "hi")]
        model = "sim/think-3+redacted+strict"
        said = await converse(sim, tongue, model, turns, stream=stream, tools=["weather"], thinks=True)
        back = spoken(tongue, said)
        turns += [*back, *answered(tongue, said, "it is")]
        assert (await raw(sim, tongue, model, turns, stream=stream, tools=["weather"], thinks=True)).status == 200
        changed = json.loads(json.dumps(turns))
        spoilt = (
            changed[1]
            if tongue == "responses"
            else changed[1]["parts" if tongue == "gemini" else "content"][-1 if tongue == "gemini" else 0]
        )
        name = {"responses": "encrypted_content", "messages": "signature", "gemini": "thoughtSignature"}[tongue]
        spoilt[name] = "AAAA" + spoilt[name][4:]
        refused = await raw(sim, tongue, model, changed, stream=stream, tools=["weather"], thinks=True)
        assert refused.status == 400 and name.encode() in refused.body


async def test_googles_libraries_may_give_a_signature_back_in_the_other_alphabet() -> None:
    async with simulator() as sim:
        turns = [user("gemini", "hi")]
        said = await converse(sim, "gemini", "sim/think-3+calls-1", turns, stream=False, tools=["weather"])
        part = said.parts[-1]
        part["thoughtSignature"] = base64.urlsafe_b64encode(base64.b64decode(part["thoughtSignature"])).decode()
        turns += [*spoken("gemini", said), *answered("gemini", said, "it is")]
        assert (await raw(sim, "gemini", "sim/think-3", turns, stream=False, tools=["weather"])).status == 200


def _media(tongue: str, data: str, wave: str, page: str) -> dict[str, Any]:
    match tongue:
        case "chat":
            content = [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
                {"type": "input_audio", "input_audio": {"data": wave, "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{page}"}},
            ]
        case "responses":
            content = [
                {"type": "input_image", "image_url": f"data:image/png;base64,{data}"},
                {"type": "input_audio", "input_audio": {"data": wave, "format": "wav"}},
                {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{page}"},
            ]
        case "messages":
            content = [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": page}},
            ]
        case _:
            kinds_and_data = (("image/png", data), ("audio/wav", wave), ("application/pdf", page))
            return {"role": "user", "parts": [{"inlineData": {"mimeType": mime, "data": text}} for mime, text in kinds_and_data]}
    return {"role": "user", "content": content}


@pytest.mark.parametrize("tongue", TONGUES)
async def test_each_medium_is_described_by_what_arrived(tongue: str) -> None:
    raws = {"image image/png": PIXEL, "audio audio/wav": PIXEL[:99], "document application/pdf": PIXEL[:44]}
    encoded = [base64.b64encode(raw).decode() for raw in raws.values()]
    async with simulator() as sim:
        said = await converse(sim, tongue, "sim/echo", [_media(tongue, *encoded)], stream=False)
        for kind, raw_bytes in raws.items():
            shown = f"[{kind} {len(raw_bytes)} bytes sha256:{hashlib.sha256(raw_bytes).hexdigest()[:16]}]"
            assert (shown in said.text) == (not kind.startswith("audio") or tongue != "messages")
        assert said.usage is not None and said.usage[0] == 85 + 258 + (32 if tongue != "messages" else 0)


@pytest.mark.parametrize(("tongue", "stream"), EACH_WAY)
async def test_a_stop_sequence_ends_the_text_before_it(tongue: str, stream: bool) -> None:
    field: dict[str, Any] = {
        "chat": {"stop": ["three", "two"]},
        "messages": {"stop_sequences": ["three", "two"]},
        "gemini": {"generationConfig": {"stopSequences": ["three", "two"]}},
    }.get(tongue, {})
    if not field:
        return
    async with simulator() as sim:
        reply = await raw(sim, tongue, "sim/echo", [user(tongue, "one two three")], stream=stream, more=field)
        way = TONGUES[tongue]
        said = way.stream(reply) if stream else way.whole(json.loads(reply.body))
        assert said.text == "You said: one "
        if tongue == "messages":
            assert said.finish == "stop_sequence" and b'"stop_sequence":"two"' in reply.body


@pytest.mark.parametrize(("tongue", "stream"), EACH_WAY)
async def test_json_is_the_smallest_instance_of_its_schema(tongue: str, stream: bool) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 4}, "k": {"type": "string", "enum": ["a", "b"]}}}
    wanted = {
        "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}},
        "responses": {"text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}},
        "messages": {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        "gemini": {"generationConfig": {"responseMimeType": "application/json", "responseSchema": schema}},
    }[tongue]
    async with simulator() as sim:
        reply = await raw(sim, tongue, "sim/echo", [user(tongue, "hi")], stream=stream, more=wanted)
        way = TONGUES[tongue]
        said = way.stream(reply) if stream else way.whole(json.loads(reply.body))
        assert json.loads(said.text) == {"n": 4, "k": "a"}


@pytest.mark.parametrize(("tongue", "stream"), EACH_WAY)
async def test_a_citation_has_its_url_and_title(tongue: str, stream: bool) -> None:
    async with simulator() as sim:
        reply = await raw(sim, tongue, "sim/echo+cite", [user(tongue, "hi")], stream=stream)
        assert b'"https://example.com/source"' in reply.body and b'"A source"' in reply.body
        if tongue == "responses" and stream:
            assert "response.output_text.annotation.added" in kinds(reply)


@pytest.mark.parametrize("tongue", TONGUES)
async def test_a_caller_that_leaves_is_on_the_bill_as_cancelled(tongue: str) -> None:
    async with simulator() as sim:
        way = TONGUES[tongue]
        model = "sim/tokens-9+stall-after-3"
        body = json.dumps(way.body(model, [user(tongue, "hi")], stream=True, tools=[], thinks=False)).encode()
        _, writer = await dial(sim)
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in ({"authorization": "Bearer k"} | way.fields).items())
        writer.write(f"POST {way.path(model, True)} HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await until(lambda: sim.open_streams == 1 and sim.bill.rows[-1].completion_tokens == 3)
        writer.close()
        await until(lambda: sim.open_streams == 0)
        (row,) = sim.bill.rows
        assert (row.surface, row.cancelled, row.outcome, row.completion_tokens) == (tongue, True, "hung-up", 3)


async def test_each_dialect_takes_its_own_carriers_of_a_key() -> None:
    bearer, wrong = {"authorization": "Bearer right"}, {"authorization": "Bearer wrong"}
    async with simulator(require_key="right") as sim:

        async def status(tongue: str, fields: dict[str, str], more: str = "") -> int:
            way = TONGUES[tongue]
            body = way.body("sim/echo", [user(tongue, "hi")], stream=False, tools=[], thinks=False)
            version = {"anthropic_version": "2023-06-01"} if tongue == "messages" else {}
            return (await ask(sim, way.path("sim/echo", False) + more, body, **fields, **version)).status

        for tongue in TONGUES:
            assert (await status(tongue, bearer), await status(tongue, wrong)) == (200, 401)
        assert await status("messages", {"x_api_key": "right"}) == 200
        assert await status("chat", {"x_api_key": "right"}) == 401
        assert await status("gemini", {"x_goog_api_key": "right"}) == 200
        assert await status("gemini", {"x_no_key": "1"}, "?key=right") == 200
        shapes = [
            (await ask(sim, "/v1/messages", {}, **wrong)).body,
            (await ask(sim, "/v1beta/models/sim/echo:generateContent", {}, **wrong)).body,
            (await ask(sim, "/v1/responses", {}, **wrong)).body,
        ]
        assert json.loads(shapes[0])["error"]["type"] == "authentication_error"
        assert json.loads(shapes[1])["error"]["status"] == "UNAUTHENTICATED"
        assert json.loads(shapes[2])["error"]["code"] == "invalid_api_key"


async def test_the_model_list_has_three_shapes() -> None:
    async with simulator() as sim:
        openai = json.loads((await ask(sim, "/v1/models", None, method="GET")).body)
        anthropic = json.loads((await ask(sim, "/v1/models", None, method="GET", x_api_key="k", anthropic_version="2023-06-01")).body)
        google = [
            json.loads((await ask(sim, path, None, method="GET", **fields)).body)
            for path, fields in (("/v1/models", {"x_goog_api_key": "k"}), ("/v1beta/models?key=k", {"x_no_key": "1"}))
        ]
        assert openai["object"] == "list" and openai["data"][0]["id"] == "sim/echo"
        assert (anthropic["first_id"], anthropic["data"][0]["type"]) == ("sim/echo", "model")
        assert google[0] == google[1] and google[0]["models"][0]["name"] == "models/sim/echo"
        one = await ask(sim, "/v1beta/models/sim/tokens-3", None, method="GET", x_goog_api_key="k")
        assert json.loads(one.body)["name"] == "models/sim/tokens-3"
        missing = await ask(sim, "/v1/models/none", None, method="GET")
        assert (missing.status, json.loads(missing.body)["error"]["code"]) == (404, "model_not_found")


async def test_a_stored_response_is_continued_read_and_deleted() -> None:
    async with simulator() as sim:
        first = json.loads((await ask(sim, "/v1/responses", {"model": "sim/echo", "input": "one"})).body)
        then = {"model": "sim/echo", "input": "two three", "previous_response_id": first["id"]}
        second = json.loads((await ask(sim, "/v1/responses", then)).body)
        assert second["previous_response_id"] == first["id"]
        assert second["usage"]["input_tokens"] == 1 + len(["You", "said:", "one"]) + 2
        path = f"/v1/responses/{first['id']}"
        assert json.loads((await ask(sim, path, None, method="GET")).body) == first
        inputs = json.loads((await ask(sim, f"/v1/responses/{second['id']}/input_items", None, method="GET")).body)
        assert inputs["data"] == [{"role": "user", "content": "two three"}]
        assert (await ask(sim, f"{path}/cancel", {})).status == 400
        assert json.loads((await ask(sim, path, None, method="DELETE")).body)["deleted"] is True
        assert [(await ask(sim, path, None, method="GET")).status, (await ask(sim, "/v1/responses", then)).status] == [404, 400]
        unstored = json.loads((await ask(sim, "/v1/responses", {"model": "sim/echo", "input": "x", "store": False})).body)
        assert (await ask(sim, f"/v1/responses/{unstored['id']}", None, method="GET")).status == 404


async def test_tokens_are_counted_for_nothing() -> None:
    async with simulator() as sim:
        counted = [
            (
                await ask(
                    sim,
                    "/v1/messages/count_tokens",
                    {"model": "sim/echo", "messages": [user("messages", "a b c")]},
                    **TONGUES["messages"].fields,
                )
            ),
            (await ask(sim, "/v1beta/models/sim/echo:countTokens", {"contents": [user("gemini", "a b c")]}, x_goog_api_key="k")),
            (await ask(sim, "/v1/responses/input_tokens", {"model": "sim/echo", "input": "a b c"})),
        ]
        bodies = [json.loads(reply.body) for reply in counted]
        assert [bodies[0]["input_tokens"], bodies[1]["totalTokens"], bodies[2]["input_tokens"]] == [3, 3, 3]
        assert [(row.prompt_tokens, row.outcome) for row in sim.bill.rows] == [(0, "complete")] * 3
        refused = {"model": "sim/echo", "messages": [user("messages", "a")], "max_tokens": 4}
        assert (await ask(sim, "/v1/messages/count_tokens", refused, **TONGUES["messages"].fields)).status == 400


async def test_embeddings_are_the_same_numbers_in_every_shape() -> None:
    async with simulator() as sim:
        asked = {"model": "sim/echo", "input": ["one two", "three"], "dimensions": 8}
        floats = json.loads((await ask(sim, "/v1/embeddings", asked)).body)
        packed = json.loads((await ask(sim, "/v1/embeddings", asked | {"encoding_format": "base64"})).body)
        vectors = [each["embedding"] for each in floats["data"]]
        assert vectors == [list(struct.unpack("<8f", base64.b64decode(each["embedding"]))) for each in packed["data"]]
        assert floats["usage"] == {"prompt_tokens": 3, "total_tokens": 3} and [row.prompt_tokens for row in sim.bill.rows] == [3, 3]
        tokens = json.loads((await ask(sim, "/v1/embeddings", {"model": "sim/echo", "input": [[1, 2], [3]]})).body)
        assert tokens["usage"]["prompt_tokens"] == 3 and len(tokens["data"][1]["embedding"]) == 64
        content = {"parts": [{"text": "one two"}]}
        one = await ask(sim, "/v1beta/models/sim/echo:embedContent", {"content": content, "outputDimensionality": 8}, x_goog_api_key="k")
        assert json.loads(one.body)["embedding"]["values"] == vectors[0]
        batch = {"requests": [{"model": "models/sim/echo", "content": content, "outputDimensionality": 8}] * 2}
        many = await ask(sim, "/v1/models/sim/echo:batchEmbedContents", batch, x_goog_api_key="k")
        assert [each["values"] for each in json.loads(many.body)["embeddings"]] == [vectors[0]] * 2
        batch["requests"][0]["model"] = "models/other"
        assert (await ask(sim, "/v1/models/sim/echo:batchEmbedContents", batch, x_goog_api_key="k")).status == 400
        for bad in ([], [""], 7, [["a"]]):
            assert (await ask(sim, "/v1/embeddings", {"model": "sim/echo", "input": bad})).status == 400
        assert (await ask(sim, "/v1/embeddings", {"model": "sim/status-429", "input": "x"})).status == 429


async def test_moderations_rerank_and_completions_answer_in_their_shapes() -> None:
    async with simulator() as sim:
        judged = json.loads((await ask(sim, "/v1/moderations", {"model": "sim/echo", "input": ["fine", "some violence"]})).body)
        assert [result["flagged"] for result in judged["results"]] == [False, True]
        assert judged["results"][1]["categories"]["violence"] and len(judged["results"][1]["category_scores"]) == 13
        parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
        seen = json.loads((await ask(sim, "/v1/moderations", {"model": "sim/echo", "input": parts})).body)
        assert seen["results"][0]["category_applied_input_types"]["violence"] == ["text", "image"]
        asked = {"model": "sim/echo", "query": "red car", "documents": ["blue sea", {"text": "a red car"}, "red"], "top_n": 2}
        ranked = json.loads((await ask(sim, "/v1/rerank", asked | {"return_documents": True})).body)
        assert [(each["index"], each["relevance_score"]) for each in ranked["results"]] == [(1, 1.0), (2, 0.5)]
        assert ranked["results"][0]["document"] == {"text": "a red car"}
        whole = json.loads((await ask(sim, "/v1/completions", {"model": "sim/tokens-3", "prompt": ["a b", "c"]})).body)
        assert (whole["object"], len(whole["choices"]), whole["usage"]["total_tokens"]) == ("text_completion", 2, 9)
        streamed = {"model": "sim/tokens-20", "prompt": "a b", "stream": True, "stream_options": {"include_usage": True}}
        found = events(await ask(sim, "/v1/completions", streamed))
        assert found[-1].said == "[DONE]" and found[-2].said["usage"]["completion_tokens"] == 16
        assert found[-3].said["choices"][0]["finish_reason"] == "length"


async def test_a_custom_tool_is_called_with_text() -> None:
    async with simulator() as sim:
        chat = {"tools": [{"type": "custom", "custom": {"name": "shell"}}]}
        said = json.loads((await raw(sim, "chat", "sim/echo", [user("chat", "go")], stream=False, more=chat)).body)
        assert said["choices"][0]["message"]["tool_calls"][0]["custom"] == {"name": "shell", "input": "amber bridge"}
        tools = {"tools": [{"type": "namespace", "name": "all", "tools": [{"type": "custom", "name": "shell"}]}]}
        reply = await raw(sim, "responses", "sim/echo", [user("responses", "go")], stream=True, more=tools)
        assert "response.custom_tool_call_input.delta" in kinds(reply)
        call = events(reply)[-1].said["response"]["output"][0]
        assert (call["type"], call["namespace"], call["name"], call["input"]) == ("custom_tool_call", "all", "shell", "amber bridge")
        back = [user("responses", "go"), call, {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "done"}]
        assert b"shell said" in (await raw(sim, "responses", "sim/echo", back, stream=False, more=tools)).body


async def test_broken_arguments_are_broken_in_the_dialects_own_way() -> None:
    async with simulator() as sim:
        for tongue in TONGUES:
            reply = await raw(sim, tongue, "sim/args-broken", [user(tongue, "go")], stream=True, tools=["weather"])
            assert reply.status == 200 and reply.clean
            assert (b"MALFORMED_FUNCTION_CALL" in reply.body) == (tongue == "gemini")


async def test_usage_stands_early_or_late_where_a_dialect_has_both() -> None:
    async with simulator() as sim:

        async def counts(tongue: str, script: str) -> list[Any]:
            found = events(await raw(sim, tongue, f"sim/tokens-3+{script}", [user(tongue, "hi")], stream=True))
            match tongue:
                case "messages":
                    return [found[0].said["message"]["usage"]["input_tokens"], found[-2].said["usage"].get("input_tokens")]
                case "gemini":
                    return ["usageMetadata" in found[0].said, "usageMetadata" in found[-1].said]
                case "responses":
                    return [found[0].said["response"]["usage"] is not None, found[-1].said["response"]["usage"] is not None]
                case _:
                    return ["usage" in found[0].said, "usage" in found[-2].said]

        assert await counts("messages", "usage-early") == [1, None] and await counts("messages", "usage-late") == [0, 1]
        for tongue in ("chat", "gemini", "responses"):
            assert await counts(tongue, "usage-early") == [True, False]
            assert await counts(tongue, "usage-late") == [False, True]


async def test_a_response_can_end_as_failed() -> None:
    async with simulator() as sim:
        reply = await raw(sim, "responses", "sim/tokens-3+fails", [user("responses", "hi")], stream=True)
        last = events(reply)[-1]
        assert (last.name, last.said["response"]["status"]) == ("response.failed", "failed")
        assert last.said["response"]["error"]["code"] == "server_error"
        whole = json.loads((await raw(sim, "responses", "sim/tokens-3+fails", [user("responses", "hi")], stream=False)).body)
        assert whole["status"] == "failed"


async def test_a_response_in_the_background_is_read_later_and_can_be_cancelled() -> None:
    async with simulator() as sim:
        queued = json.loads((await ask(sim, "/v1/responses", {"model": "sim/echo", "input": "hi", "background": True})).body)
        assert (queued["status"], queued["output"], queued["usage"]) == ("queued", [], None)
        path = f"/v1/responses/{queued['id']}"
        done = json.loads((await ask(sim, path, None, method="GET")).body)
        assert (done["status"], done["usage"]["output_tokens"]) == ("completed", 3)
        assert json.loads((await ask(sim, f"{path}/cancel", {})).body)["status"] == "cancelled"
        assert json.loads((await ask(sim, path, None, method="GET")).body)["status"] == "cancelled"


async def test_a_document_that_may_be_cited_is_cited_by_its_characters() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "The sky is blue."}
    content = [{"type": "document", "source": source, "citations": {"enabled": True}}, {"type": "text", "text": "why?"}]
    async with simulator() as sim:
        reply = await raw(sim, "messages", "sim/echo+cite", [{"role": "user", "content": content}], stream=False)
        (block,) = json.loads(reply.body)["content"]
        assert block["citations"][0]["type"] == "char_location" and "[document text/plain 16 bytes" in block["text"]
        assert reply.fields["request-id"] == "req_of_the_simulator"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_with_thinking_on_has_some_so_that_it_may_come_back(stream: bool) -> None:
    async with simulator() as sim:
        turns = [user("messages", "hi")]
        said = await converse(sim, "messages", "sim/echo", turns, stream=stream, tools=["weather"], thinks=True)
        assert len(said.thoughts.split()) == 4
        turns += [*spoken("messages", said), *answered("messages", said, "it is")]
        again = await converse(sim, "messages", "sim/echo", turns, stream=stream, tools=["weather"], thinks=True)
        assert not again.calls and not again.thoughts


@pytest.mark.parametrize(("tongue", "stream"), [way for way in EACH_WAY if way[0] != "messages"])
async def test_log_probabilities_are_shown_where_they_are_asked_for(tongue: str, stream: bool) -> None:
    wanted: dict[str, Any] = {
        "chat": {"logprobs": True, "top_logprobs": 2},
        "responses": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        "gemini": {"generationConfig": {"responseLogprobs": True, "logprobs": 2}},
    }[tongue]
    async with simulator() as sim:
        reply = await raw(sim, tongue, "sim/tokens-3", [user(tongue, "hi")], stream=stream, more=wanted)
        found = [event.said for event in events(reply) if isinstance(event.said, dict)] if stream else [json.loads(reply.body)]
        match tongue:
            case "chat":
                shown = [each for chunk in found for choice in chunk["choices"] for each in (choice["logprobs"] or {}).get("content", [])]
            case "responses":
                output = found[-1]["response"]["output"] if stream else found[0]["output"]
                shown = output[0]["content"][0]["logprobs"]
                deltas = [each for event in found if event.get("type") == "response.output_text.delta" for each in event["logprobs"]]
                assert not stream or deltas == shown
            case _:
                results = [chunk["candidates"][0].get("logprobsResult", {}) for chunk in found]
                shown = [each for result in results for each in result.get("topCandidates", [])]
                assert all(len(each["candidates"]) == 2 for each in shown)
        assert len(shown) == 3
        if tongue != "gemini":
            assert all(len(each["top_logprobs"]) == 2 and bytes(each["bytes"]).decode() == each["token"] for each in shown)
        none = await raw(sim, tongue, "sim/tokens-3", [user(tongue, "hi")], stream=stream)
        assert b"topCandidates" not in none.body and b'top_logprobs":[' not in none.body
