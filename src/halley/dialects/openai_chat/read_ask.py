"""A chat completions request as an ask. What this dialect alone has stays raw as extras; no field is lost in silence."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from halley.chat.model import Ask, Cache, Effort, Extra, Format, Reasoning, Voice
from halley.chat.reading import decode, given, missing, others
from halley.dialects.openai_chat.media import NAME, RESPONSES, SHARED
from halley.dialects.openai_chat.read_messages import Message, read_messages
from halley.dialects.openai_chat.read_tools import Called, Chosen, Search, read_choice, read_tools
from halley.errors import Condition, Refused
from halley.wire import jsonbody


class _Schema(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


class _Reasoning(msgspec.Struct):
    """OpenRouter's spelling, which many hosts of this dialect take (their documentation, read 2026-11)."""

    effort: Effort | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class _Voice(msgspec.Struct):
    voice: str
    format: str | None = None


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Cache(msgspec.Struct):
    ttl: Literal["5m", "1h"] | None = None


class _Body(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    messages: list[Message]
    stream: bool | None = None
    stream_options: _Options | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: msgspec.Raw = msgspec.Raw()
    logprobs: bool | None = None
    top_logprobs: int | None = None
    seed: int | None = None
    response_format: _Format | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: str | Chosen | None = None
    functions: list[msgspec.Raw] | None = None
    function_call: str | Called | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    reasoning: _Reasoning | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: _Voice | None = None
    web_search_options: Search | None = None
    service_tier: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    cache_control: _Cache | None = None


_body = msgspec.json.Decoder(_Body)


def read_ask(body: bytes) -> Ask:
    """Raises Refused."""
    try:
        members = jsonbody.members(body)
    except jsonbody.Malformed as error:
        raise Refused(Condition.INVALID, str(error)) from None
    found = decode(_body, body)
    extras = [_shared(extra) for extra in others(NAME, members, _Body)]
    turns = tuple(read_messages(found.messages, extras))
    end_user = found.safety_identifier or found.user
    if found.user is not None and found.user != end_user:
        extras.append(_shared(Extra(NAME, "user", members["user"].copy())))
    caps = [cap for cap in (found.max_tokens, found.max_completion_tokens) if cap is not None]
    return Ask(
        model=found.model,
        turns=turns,
        tools=tuple(read_tools(found.tools or (), found.functions or (), found.web_search_options, extras)),
        choice=read_choice(found.tool_choice, found.function_call, found.parallel_tool_calls),
        format=_format(found.response_format),
        reasoning=_how_to_think(found),
        verbosity=found.verbosity,
        max_output=max(caps) if caps else None,
        temperature=found.temperature,
        top_p=found.top_p,
        top_k=found.top_k,
        stop=_stop(found.stop),
        seed=found.seed,
        presence_penalty=found.presence_penalty,
        frequency_penalty=found.frequency_penalty,
        n=found.n,
        logprobs=(found.top_logprobs or 0) if found.logprobs else None,
        logit_bias=given(found.logit_bias),
        modalities=tuple(found.modalities or ()),
        voice=None if found.audio is None else Voice(found.audio.voice, found.audio.format),
        end_user=end_user,
        metadata=found.metadata,
        service_tier=found.service_tier,
        cache_key=found.prompt_cache_key,
        cache=None if found.cache_control is None else Cache(found.cache_control.ttl),
        stream=bool(found.stream),
        wants_usage=not found.stream or bool(found.stream_options is not None and found.stream_options.include_usage),
        store=found.store,
        extras=tuple(extras),
    )


def _shared(extra: Extra) -> Extra:
    return replace(extra, also=RESPONSES) if extra.at in SHARED else extra


def _stop(stop: str | list[str] | None) -> tuple[str, ...]:
    return () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)


def _format(shape: _Format | None) -> Format | None:
    if shape is None or shape.type == "text":
        return None
    if shape.type == "json_object":
        return Format("json")
    if shape.json_schema is None:
        raise missing("response_format.json_schema", "a format of type json_schema has one")
    inner = shape.json_schema
    return Format("schema", given(inner.schema), inner.name, inner.description, inner.strict)


def _how_to_think(found: _Body) -> Reasoning | None:
    more = found.reasoning
    if more is None:
        return None if found.reasoning_effort is None else Reasoning(found.reasoning_effort)
    effort: Effort | None = found.reasoning_effort or more.effort
    if more.enabled is False:
        effort = "none"
    return Reasoning(effort, more.max_tokens, show="none" if more.exclude else None)
