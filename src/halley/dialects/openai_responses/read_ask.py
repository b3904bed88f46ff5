"""A request of this dialect as an ask. Fields that it alone has stay raw as extras; no field is lost in silence.

`previous_response_id` is among the extras: whoever keeps the state puts the earlier items in front before another dialect sees the ask.
`include` is taken apart: encrypted reasoning is always given, log probabilities are a field of the ask, the rest is an extra.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from halley.chat.model import Ask, Effort, Extra, Format, Reasoning, Text, Turn
from halley.chat.reading import decode, others
from halley.dialects.openai_responses.fields import CHAT, DIALECT, SHARED
from halley.dialects.openai_responses.read_items import read_items
from halley.dialects.openai_responses.tools import read_choice, read_tools
from halley.errors import Condition, Refused
from halley.wire import jsonbody

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
_ALWAYS_GIVEN = frozenset({LOGPROBS, ENCRYPTED})


class _Reasoning(msgspec.Struct):
    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed", "none"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    schema: msgspec.Raw = msgspec.Raw()
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class _TextShape(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Body(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    input: str | list[msgspec.Raw] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    stream: bool | None = None
    store: bool | None = None
    reasoning: _Reasoning | None = None
    text: _TextShape | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: msgspec.Raw = msgspec.Raw()
    parallel_tool_calls: bool | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None


_body = msgspec.json.Decoder(_Body)
# What is meant where the field is absent asks for nothing.
_NOTHING_ASKED = {"truncation": b'"disabled"', "background": b"false"}


def read_ask(body: bytes) -> Ask:
    """Raises Refused."""
    try:
        members = jsonbody.members(body)
    except jsonbody.Malformed as error:
        raise Refused(Condition.INVALID, str(error)) from None
    found = decode(_body, body)
    extras = list(_unknown(members))
    wanted = found.include or []
    rest = [each for each in wanted if each not in _ALWAYS_GIVEN]
    if rest:
        extras.append(Extra(DIALECT, "include", msgspec.Raw(msgspec.json.encode(rest))))
    end_user = found.safety_identifier or found.user
    if found.user is not None and found.user != end_user:
        extras.append(Extra(DIALECT, "user", members["user"].copy(), also=CHAT))
    turns = _turns(found, extras)
    tools = read_tools(found.tools or (), "tools", extras)
    choice = read_choice(found.tool_choice or None, found.parallel_tool_calls, extras)
    return Ask(
        model=found.model,
        turns=tuple(turns),
        tools=tuple(tools),
        choice=choice,
        format=_format(found.text),
        reasoning=_how_to_think(found.reasoning),
        verbosity=None if found.text is None else found.text.verbosity,
        max_output=found.max_output_tokens,
        temperature=found.temperature,
        top_p=found.top_p,
        logprobs=found.top_logprobs if found.top_logprobs is not None else 0 if LOGPROBS in wanted else None,
        end_user=end_user,
        metadata=found.metadata,
        service_tier=found.service_tier,
        cache_key=found.prompt_cache_key,
        stream=bool(found.stream),
        wants_usage=True,
        store=found.store,
        extras=tuple(extras),
    )


def _turns(found: _Body, extras: list[Extra]) -> list[Turn]:
    turns: list[Turn] = []
    if found.instructions is not None:
        turns.append(Turn("system", (Text(found.instructions, at="instructions"),), at="instructions"))
    if isinstance(found.input, str):
        turns.append(Turn("user", (Text(found.input, at="input"),), at="input"))
    elif found.input is not None:
        turns += read_items(found.input, "input", extras)
    return turns


def _format(text: _TextShape | None) -> Format | None:
    if text is None or text.format is None or text.format.type == "text":
        return None
    shape = text.format
    if shape.type == "json_object":
        return Format("json")
    return Format("schema", shape.schema or None, shape.name, shape.description, shape.strict)


def _how_to_think(found: _Reasoning | None) -> Reasoning | None:
    if found is None:
        return None
    return Reasoning(found.effort, show=found.summary or found.generate_summary)


def _unknown(members: jsonbody.Members) -> Iterator[Extra]:
    for extra in others(DIALECT, members, _Body):
        if bytes(extra.raw) != _NOTHING_ASKED.get(extra.at):
            why, code = _ESSENTIAL.get(extra.at, (None, None))
            yield msgspec.structs.replace(extra, essential=why, code=code, also=CHAT if extra.at in SHARED else None)


# What the model would have to know, or the caller would wait for: no answer without it is one to this request.
_ESSENTIAL: dict[str, tuple[str, str | None]] = {
    "previous_response_id": ("earlier responses are kept by providers of this dialect only", "previous_response_not_found"),
    "conversation": ("conversations are kept by providers of this dialect only", None),
    "prompt": ("stored prompts are kept by providers of this dialect only", None),
    "background": ("only providers of this dialect work in the background", None),
}
