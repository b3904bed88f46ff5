"""Frames of calls that are put together as text are the JSON that objects would have become, whatever stands in them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halley.chat.doors import Asked
from halley.chat.model import Ask, FreeTool, Function, ToolCall
from halley.dialects.openai_responses.call_frames import Calls
from halley.wire import sse

TOOLS = (Function("weather"), FreeTool("patch"), Function("read", namespace="files"))
ASKED = Asked(Ask(model="m", turns=(), tools=TOOLS), "m", "ID", 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def plain(type: str, number: int, **fields: object) -> bytes:
    return sse.render(msgspec.json.encode({"type": type, "sequence_number": number, **fields}), type.encode())


def item(status: str, call_id: str, name: str, arguments: str) -> dict[str, object]:
    words = {"type": "function_call", "status": status, "call_id": call_id, "name": name}
    return {"id": "fc_ID_3", **words, "arguments": arguments}


@given(TEXTS.filter(bool), TEXTS, TEXTS, st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_frames_are_plain_json(call_id: str, name: str, arguments: str, number: int) -> None:
    call = Calls(ASKED).begun(ToolCall(call_id, name, ""), 3)
    begun = item("in_progress", call_id, name, "")
    assert call.added(number) == plain("response.output_item.added", number, output_index=3, item=begun)
    done = item("completed", call_id, name, arguments)
    frames, kept = call.ended(number, arguments)
    place = {"item_id": "fc_ID_3", "output_index": 3}
    assert frames == (
        plain("response.function_call_arguments.done", number, **place, arguments=arguments, name=name)
        + plain("response.output_item.done", number + 1, output_index=3, item=done)
    )
    assert bytes(kept) == msgspec.json.encode(done)
    delta = b"%b%d%b%b}\n\n" % (call.front, number, call.back, msgspec.json.encode(arguments))
    assert delta == plain("response.function_call_arguments.delta", number, **place, delta=arguments)


@pytest.mark.parametrize("free, wrapped", [(False, True), (True, False)])
def test_a_free_tool_is_called_in_its_own_language(free: bool, wrapped: bool) -> None:
    call = Calls(ASKED).begun(ToolCall("c", "patch", "", free=free), 0)
    assert call.tool.free and call.tool.wrapped is wrapped
    shown = msgspec.json.decode(call.ended(7, "*** Begin")[1])
    assert shown == {
        "id": "ctc_ID_0",
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": "c",
        "name": "patch",
        "input": "*** Begin",
    }


@pytest.mark.parametrize("name", ["files__read", "read"])
def test_a_name_goes_back_to_its_namespace(name: str) -> None:
    shown = msgspec.json.decode(Calls(ASKED).begun(ToolCall("c", name, ""), 0).ended(7, "{}")[1])
    assert (shown["name"], shown["namespace"]) == ("read", "files")


def test_calls_without_an_id_get_one_each() -> None:
    calls = Calls(ASKED)
    made = [msgspec.json.decode(calls.begun(ToolCall("", "weather", ""), 0).ended(0, "{}")[1])["call_id"] for _ in range(2)]
    assert made == ["call_ID_1", "call_ID_2"]
