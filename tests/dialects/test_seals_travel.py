"""A thought comes back to its maker as what it was, through a client of any dialect: shown, not shown, or redacted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halley.chat.doors import Asked
from halley.chat.model import Ask
from halley.dialects import DOORS, anthropic
from halley.dialects.bridge import Bridge, carried
from halley.wire import sse
from tests.harness.goldens import read, target

ASKED = Ask(model="m", turns=(), wants_usage=True)
BLOCKS: dict[str, dict[str, str]] = {
    "shown": {"type": "thinking", "thinking": "Hm.", "signature": "c2hvd24="},
    "not shown": {"type": "thinking", "thinking": "", "signature": "b21pdHRlZA=="},
    "redacted": {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="},
}
CALL: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


def events(block: dict[str, str]) -> bytes:
    """The stream that says a block and a call."""
    said: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "1", "model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}}
    ]
    empty = {"type": "thinking", "thinking": "", "signature": ""} if "signature" in block else block
    said.append({"type": "content_block_start", "index": 0, "content_block": empty})
    if block.get("thinking"):
        said.append({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": block["thinking"]}})
    if "signature" in block:
        said.append({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": block["signature"]}})
    said += [
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": CALL},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return b"".join(b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in said)


def turn(client: str, body: bytes, stream: bool) -> list[dict[str, Any]]:
    """What a client gives back of an answer."""
    data = [json.loads(payload) for _, payload in sse.named(body) if payload != b"[DONE]"] if stream else [json.loads(body)]
    match client:
        case "openai_chat":
            if not stream:
                return [data[0]["choices"][0]["message"]]
            deltas = [chunk["choices"][0]["delta"] for chunk in data if chunk["choices"]]
            details = [detail for delta in deltas for detail in delta.get("reasoning_details", ())]
            calls = [call for delta in deltas for call in delta.get("tool_calls", ()) if "id" in call]
            return [{"role": "assistant", "content": None, "reasoning_details": details, "tool_calls": calls}]
        case "openai_responses":
            return (data[-1]["response"] if stream else data[0])["output"]
        case _:
            return [{"role": "model", "parts": [part for each in data for part in each["candidates"][0]["content"]["parts"]]}]


def continued(client: str, said: list[dict[str, Any]]) -> bytes:
    match client:
        case "openai_chat":
            result: Any = {"role": "tool", "tool_call_id": "toolu_1", "content": "x"}
            return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}, *said, result]}).encode()
        case "openai_responses":
            result = {"type": "function_call_output", "call_id": "toolu_1", "output": "x"}
            return json.dumps({"model": "m", "input": [{"role": "user", "content": "hi"}, *said, result]}).encode()
        case _:
            response = {"functionResponse": {"id": "toolu_1", "name": "f", "response": {"result": "x"}}}
            contents = [{"role": "user", "parts": [{"text": "hi"}]}, *said, {"role": "user", "parts": [response]}]
            return json.dumps({"contents": contents}).encode()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("client", [name for name in DOORS if name != "anthropic"])
def test_a_thought_comes_back_as_what_it_was(client: str, kind: str, stream: bool) -> None:
    mine, maker = DOORS[client], anthropic.DOORS
    bridge = Bridge(mine, maker, target(maker), Asked(ASKED, "m", "0" * 26, 1), carried(ASKED, mine, maker, target(maker)))
    if stream:
        flow = bridge.stream()
        said = flow.feed(events(BLOCKS[kind])) + flow.end()
    else:
        content = [BLOCKS[kind], CALL]
        whole = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": "tool_use"}
        said = bridge.whole(json.dumps(whole | {"usage": {"input_tokens": 1, "output_tokens": 1}}).encode())
    ask = read(mine, continued(client, turn(client, said, stream)))
    body = json.loads(carried(ask, mine, maker, target(maker)).body)
    first, *_ = body["messages"][1]["content"]
    assert first == BLOCKS[kind]


def foreign(*, thinking: str = '{"type":"enabled","budget_tokens":1024}', begun: str = "", last: str = '{"type":"tool_result"}') -> bytes:
    sealed = '{"type":"redacted_thinking","data":"halley.1.gemini:x.c2ln"}'
    said = f'[{begun}{sealed},{{"type":"tool_use","id":"t","name":"f","input":{{}}}}]'
    messages = f'[{{"role":"user","content":"hi"}},{{"role":"assistant","content":{said}}},{{"role":"user","content":[{last}]}}]'
    return f'{{"model":"m","max_tokens":2000,"thinking":{thinking},"messages":{messages}}}'.encode()


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (foreign(), False),
        (foreign(thinking='{"type":"adaptive"}'), True),
        (foreign(begun='{"type":"thinking","thinking":"a","signature":"c2ln"},'), True),
        (foreign(last='{"type":"text","text":"And now?"}'), True),
    ],
)
def test_a_model_goes_on_without_a_budget_where_its_turn_began_with_another_s_thought(body: bytes, kept: bool) -> None:
    sent = json.loads(anthropic.outbound(body, anthropic.peek(body), "m", None, "max_tokens"))
    assert "halley.1" not in json.dumps(sent)
    assert (sent["thinking"] == json.loads(body)["thinking"]) is kept
    assert kept or sent["thinking"] == {"type": "disabled"}
