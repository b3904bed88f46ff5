"""A request in Anthropic's words to an ask. Fields of `POST /v1/messages` as the SDK's types of 2026-10 have them.

What has no place in the vocabulary is kept as an extra, so that whoever writes the ask for another dialect can report it. The first system
prompt and system messages midway are turns of one kind.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from halley.chat.model import (
    Ask,
    Choice,
    Effort,
    Extra,
    Format,
    Function,
    Hosted,
    Location,
    Opaque,
    Part,
    Reasoning,
    Role,
    Text,
    Tool,
    Turn,
    WebSearch,
)
from halley.chat.reading import decode, given, invalid, join, missing, others, strays
from halley.dialects.anthropic.blocks_in import CacheControl, read_cache, read_content, unpack_seals
from halley.dialects.anthropic.sealing import NAME
from halley.errors import Condition, Refused
from halley.wire import jsonbody


class _Message(msgspec.Struct):
    role: str
    content: str | list[msgspec.Raw]


class _Chosen(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    input_schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    cache_control: CacheControl | None = None
    type: str | None = None


class _WebSearch(msgspec.Struct):
    type: str
    name: str | None = None
    max_uses: int | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: Location | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    system: str | list[msgspec.Raw] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    metadata: _Metadata | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: _Chosen | None = None
    thinking: msgspec.Raw = msgspec.Raw()
    output_config: _OutputConfig | None = None
    cache_control: CacheControl | None = None
    service_tier: str | None = None


class _ToolKind(msgspec.Struct):
    type: str | None = None


class _Midway(msgspec.Struct):
    """In no type of an SDK yet: its text stands in `text`, its blocks in `content`."""

    text: str | None = None
    content: str | list[msgspec.Raw] | None = None


_BODY: Final = msgspec.json.Decoder(_Body)
_THINKING: Final = msgspec.json.Decoder(_Thinking)
_TOOL_KIND: Final = msgspec.json.Decoder(_ToolKind)
_FUNCTION: Final = msgspec.json.Decoder(_Function)
_WEB_SEARCH: Final = msgspec.json.Decoder(_WebSearch)
_MIDWAY: Final = msgspec.json.Decoder(_Midway)

_ROLES: Final[dict[str, Role]] = {"user": "user", "assistant": "assistant", "system": "system"}
_MODES: Final[dict[str, Literal["auto", "any", "none"]]] = {"auto": "auto", "any": "any", "tool": "any", "none": "none"}
_EFFORTS: Final[dict[str, Effort]] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_SHOWN: Final[dict[str, Literal["none", "auto"]]] = {"omitted": "none", "summarized": "auto"}
# The two tiers that can be asked for, in OpenAI's words, which the vocabulary has.
_TIERS: Final = {"standard_only": "default"}
MIDWAY: Final = "mid_conv_system"
THREADS: Final = (
    "thread: conversations that are kept at the provider are not served here; send the whole conversation in messages, without thread."
)


def refuse_threads(found: msgspec.Raw | None) -> None:
    """A turn of a stored conversation, answered by one who does not have it, would be answered blind. On this code official SDKs send the
    whole conversation instead (tool runner of `anthropic` 2.11, Claude Code)."""
    if found is not None and given(found) is not None:
        raise Refused(Condition.INVALID, THREADS, param="thread", code="thread_unsupported_request")


# Tools and files that only a provider of this dialect reaches.
_ESSENTIAL = {
    "mcp_servers": "tools of MCP servers are called by providers of this dialect only",
    "container": "containers are kept by providers of this dialect only",
}


def read_ask(body: bytes) -> Ask:
    """Raises Refused, naming the field."""
    return _read(body, capped=True)


def read_count_ask(body: bytes) -> Ask:
    """The body of `/v1/messages/count_tokens`: the same without an output cap. Raises Refused."""
    return _read(body, capped=False)


def _read(body: bytes, *, capped: bool) -> Ask:
    try:
        jsonbody.gate(body)
        fields = jsonbody.members(body)
    except jsonbody.Malformed as error:
        raise Refused(Condition.INVALID, str(error)) from None
    refuse_threads(fields.get("thread"))
    found = decode(_BODY, body)
    if found.max_tokens is None and capped:
        raise Refused(Condition.INVALID, "max_tokens is missing.", param="max_tokens")
    extras = list(others(NAME, fields, _Body))
    reasoning, shape = _reasoning(found.thinking, found.output_config, extras)
    ask = Ask(
        model=found.model,
        turns=(*_system(found.system, extras), *_turns(found.messages, extras)),
        tools=tuple(_tool(raw, f"tools[{index}]", extras) for index, raw in enumerate(found.tools or ())),
        choice=_choice(found.tool_choice),
        format=shape,
        reasoning=reasoning,
        max_output=found.max_tokens,
        temperature=found.temperature,
        top_p=found.top_p,
        top_k=found.top_k,
        stop=tuple(found.stop_sequences or ()),
        end_user=None if found.metadata is None else found.metadata.user_id,
        service_tier=None if found.service_tier is None else _TIERS.get(found.service_tier, found.service_tier),
        cache=read_cache(found.cache_control, ""),
        stream=found.stream is True,
    )
    return msgspec.structs.replace(
        ask, extras=tuple(msgspec.structs.replace(extra, essential=_ESSENTIAL.get(extra.at)) for extra in extras)
    )


# ---- turns ------------------------------------------------------------------------------------------------------------------------------


def _system(found: str | list[msgspec.Raw] | None, extras: list[Extra]) -> tuple[Turn, ...]:
    parts = read_content(found, "system", extras)
    return (Turn("system", parts, at="system"),) if parts else ()


def _turns(messages: list[_Message], extras: list[Extra]) -> list[Turn]:
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        role = _ROLES.get(message.role)
        if role is None:
            raise invalid(f"{at}.role", "known are user, assistant and system")
        parts = read_content(message.content, f"{at}.content", extras)
        if role == "assistant":
            parts = unpack_seals(parts)
        turns += _split(role, parts, at, extras)
    return turns


def _split(role: Role, parts: tuple[Part, ...], at: str, extras: list[Extra]) -> list[Turn]:
    """A message as turns: more than one where it has the system speak in between."""
    turns: list[Turn] = []
    since = 0
    for index, part in enumerate(parts):
        if isinstance(part, Opaque) and part.what == MIDWAY:
            if index > since:
                turns.append(Turn(role, parts[since:index], at=at))
            turns.append(Turn("system", _midway(part, extras), at=part.at))
            since = index + 1
    if since < len(parts) or not turns:
        turns.append(Turn(role, parts[since:], at=at))
    return turns


def _midway(block: Opaque, extras: list[Extra]) -> tuple[Part, ...]:
    found = decode(_MIDWAY, block.raw, block.at)
    extras += strays(NAME, block.raw, _Midway, block.at)
    if found.text is not None:
        return (Text(found.text, at=block.at),)
    if found.content is None:
        raise missing(join(block.at, "content"), "a system message midway has content")
    return read_content(found.content, join(block.at, "content"), extras)


# ---- tools ------------------------------------------------------------------------------------------------------------------------------


def _tool(raw: msgspec.Raw, at: str, extras: list[Extra]) -> Tool:
    kind = decode(_TOOL_KIND, raw, at).type or "custom"
    if kind == "custom":
        found = decode(_FUNCTION, raw, at)
        extras += strays(NAME, raw, _Function, at)
        schema, cache = given(found.input_schema), read_cache(found.cache_control, at)
        return Function(found.name, found.description, schema, found.strict, cache=cache, at=at)
    if not kind.startswith("web_search_"):
        return Hosted(NAME, kind[:64], raw.copy(), at)
    search = decode(_WEB_SEARCH, raw, at)
    extras += strays(NAME, raw, _WebSearch, at)
    allowed, blocked = tuple(search.allowed_domains or ()), tuple(search.blocked_domains or ())
    return WebSearch(most_uses=search.max_uses, allowed=allowed, blocked=blocked, location=search.user_location, at=at)


def _choice(found: _Chosen | None) -> Choice | None:
    if found is None:
        return None
    mode = _MODES.get(found.type)
    if mode is None:
        raise invalid("tool_choice.type", "known are auto, any, tool and none")
    if found.type == "tool" and found.name is None:
        raise missing("tool_choice.name", "a choice of one tool names it")
    names = (found.name,) if found.type == "tool" and found.name is not None else ()
    parallel = None if found.disable_parallel_tool_use is None else not found.disable_parallel_tool_use
    return Choice(mode, names, parallel, "tool_choice")


# ---- the rest ---------------------------------------------------------------------------------------------------------------------------


def _reasoning(thinking: msgspec.Raw, config: _OutputConfig | None, extras: list[Extra]) -> tuple[Reasoning | None, Format | None]:
    """Effort stands beside the shape of the output, not beside thinking."""
    effort, shape = _output(config)
    if given(thinking) is None:
        return (None if effort is None else Reasoning(effort)), shape
    found = decode(_THINKING, thinking, "thinking")
    show = None
    if found.display is not None:
        show = _SHOWN.get(found.display)
        if show is None:
            raise invalid("thinking.display", "known are summarized and omitted")
    match found.type:
        case "enabled" if found.budget_tokens is None:
            raise missing("thinking.budget_tokens", "enabled thinking has a budget")
        case "enabled":
            # Who buys thinking by the token is shown it: the default of this dialect, and of no other.
            reasoning = Reasoning(effort, found.budget_tokens, show=show or "auto")
        case "adaptive":
            reasoning = Reasoning(effort, adaptive=True, show=show)
        case "disabled":
            reasoning = Reasoning(effort, budget=0, show=show)
        case _:  # `between_tools` has no twin
            extras.append(Extra(NAME, "thinking", thinking.copy()))
            return (None if effort is None else Reasoning(effort)), shape
    extras += strays(NAME, thinking, _Thinking, "thinking")
    return reasoning, shape


def _output(found: _OutputConfig | None) -> tuple[Effort | None, Format | None]:
    if found is None:
        return None, None
    effort = None
    if found.effort is not None:
        effort = _EFFORTS.get(found.effort)
        if effort is None:
            raise invalid("output_config.effort", f"known are {', '.join(_EFFORTS)}")
    if found.format is None:
        return effort, None
    if found.format.type != "json_schema":
        raise invalid("output_config.format.type", "known is json_schema")
    return effort, Format("schema", found.format.schema.copy())
