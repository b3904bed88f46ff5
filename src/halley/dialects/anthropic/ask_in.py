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
    Opaque,
    Part,
    Reasoning,
    Role,
    Text,
    Tool,
    Turn,
    WebSearch,
)
from halley.dialects.anthropic.blocks_in import CacheControl, read_cache, read_content, unpack_seals
from halley.dialects.anthropic.reading import fields_of, given, invalid, join, keep_others, missing, read_as
from halley.dialects.anthropic.sealing import NAME
from halley.errors import Condition, Refused
from halley.wire import jsonbody


class _Message(msgspec.Struct):
    role: str
    content: str | list[msgspec.Raw]


class _Choice(msgspec.Struct):
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


class _Location(msgspec.Struct):
    type: str | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class _WebSearch(msgspec.Struct):
    type: str
    name: str | None = None
    max_uses: int | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: _Location | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[msgspec.Raw]
    max_tokens: int | None = None
    system: str | list[msgspec.Raw] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    metadata: msgspec.Raw = msgspec.Raw()
    tools: list[msgspec.Raw] | None = None
    tool_choice: msgspec.Raw = msgspec.Raw()
    thinking: msgspec.Raw = msgspec.Raw()
    output_config: msgspec.Raw = msgspec.Raw()
    cache_control: CacheControl | None = None
    service_tier: str | None = None


class _ToolKind(msgspec.Struct):
    type: str | None = None


def _known(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(kind.__struct_fields__)


_decode_body: Final = msgspec.json.Decoder(_Body).decode
_decode_message: Final = msgspec.json.Decoder(_Message).decode
_decode_choice: Final = msgspec.json.Decoder(_Choice).decode
_decode_thinking: Final = msgspec.json.Decoder(_Thinking).decode
_decode_output_config: Final = msgspec.json.Decoder(_OutputConfig).decode
_decode_metadata: Final = msgspec.json.Decoder(_Metadata).decode
_decode_tool_kind: Final = msgspec.json.Decoder(_ToolKind).decode
_decode_function: Final = msgspec.json.Decoder(_Function).decode
_decode_web_search: Final = msgspec.json.Decoder(_WebSearch).decode
_decode_midway: Final = msgspec.json.Decoder(_Message).decode

_BODY: Final = _known(_Body)
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
    found = read_as(_decode_body, body, "")
    if found.max_tokens is None and capped:
        raise Refused(Condition.INVALID, "max_tokens is missing.", param="max_tokens")
    extras: list[Extra] = []
    reasoning, shape = _reasoning(found.thinking, found.output_config, extras)
    ask = Ask(
        model=found.model,
        turns=(*_system(found.system, extras), *_turns(found.messages, extras)),
        tools=tuple(_tool(raw, f"tools[{index}]", extras) for index, raw in enumerate(found.tools or ())),
        choice=_choice(found.tool_choice, extras),
        format=shape,
        reasoning=reasoning,
        max_output=found.max_tokens,
        temperature=found.temperature,
        top_p=found.top_p,
        top_k=found.top_k,
        stop=tuple(found.stop_sequences or ()),
        end_user=_end_user(found.metadata, extras),
        service_tier=None if found.service_tier is None else _TIERS.get(found.service_tier, found.service_tier),
        cache=read_cache(found.cache_control, ""),
        stream=found.stream is True,
    )
    keep_others(fields, _BODY, "", extras)
    return msgspec.structs.replace(
        ask, extras=tuple(Extra(extra.dialect, extra.at, extra.raw.copy(), _ESSENTIAL.get(extra.at)) for extra in extras)
    )


# ---- turns ------------------------------------------------------------------------------------------------------------------------------


def _system(found: str | list[msgspec.Raw] | None, extras: list[Extra]) -> tuple[Turn, ...]:
    parts = read_content(found, "system", extras)
    return (Turn("system", parts, at="system"),) if parts else ()


def _turns(messages: list[msgspec.Raw], extras: list[Extra]) -> list[Turn]:
    turns: list[Turn] = []
    for index, raw in enumerate(messages):
        at = f"messages[{index}]"
        message = read_as(_decode_message, raw, at)
        role = _ROLES.get(message.role)
        if role is None:
            raise invalid(f"{at}.role", "known are user, assistant and system")
        keep_others(fields_of(raw, at), ("role", "content"), at, extras)
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
    """The block is in no type of an SDK yet: its text is taken from `text`, its blocks from `content`."""
    fields = fields_of(block.raw, block.at)
    if "text" in fields:
        return (Text(read_as(msgspec.json.Decoder(str).decode, fields["text"], join(block.at, "text")), at=block.at),)
    if "content" in fields:
        content = read_as(msgspec.json.Decoder(str | list[msgspec.Raw]).decode, fields["content"], join(block.at, "content"))
        return read_content(content, join(block.at, "content"), extras)
    raise missing(join(block.at, "content"), "a system message midway has content")


# ---- tools ------------------------------------------------------------------------------------------------------------------------------


def _tool(raw: msgspec.Raw, at: str, extras: list[Extra]) -> Tool:
    kind = read_as(_decode_tool_kind, raw, at).type or "custom"
    if kind == "custom":
        found = read_as(_decode_function, raw, at)
        keep_others(fields_of(raw, at), _known(_Function), at, extras)
        schema, cache = given(found.input_schema), read_cache(found.cache_control, at)
        return Function(found.name, found.description, schema, found.strict, cache=cache, at=at)
    if not kind.startswith("web_search_"):
        return Hosted(NAME, kind[:64], raw.copy(), at)
    search = read_as(_decode_web_search, raw, at)
    keep_others(fields_of(raw, at), _known(_WebSearch), at, extras)
    place = None
    if search.user_location is not None:
        words = msgspec.structs.asdict(search.user_location)
        place = {key: str(word) for key, word in words.items() if key != "type" and word is not None}
    allowed, blocked = tuple(search.allowed_domains or ()), tuple(search.blocked_domains or ())
    return WebSearch(most_uses=search.max_uses, allowed=allowed, blocked=blocked, location=place, at=at)


def _choice(raw: msgspec.Raw, extras: list[Extra]) -> Choice | None:
    if given(raw) is None:
        return None
    at = "tool_choice"
    found = read_as(_decode_choice, raw, at)
    mode = _MODES.get(found.type)
    if mode is None:
        raise invalid("tool_choice.type", "known are auto, any, tool and none")
    if found.type == "tool" and found.name is None:
        raise missing("tool_choice.name", "a choice of one tool names it")
    keep_others(fields_of(raw, at), _known(_Choice), at, extras)
    names = (found.name,) if found.type == "tool" and found.name is not None else ()
    parallel = None if found.disable_parallel_tool_use is None else not found.disable_parallel_tool_use
    return Choice(mode, names, parallel, at)


# ---- the rest ---------------------------------------------------------------------------------------------------------------------------


def _reasoning(thinking: msgspec.Raw, config: msgspec.Raw, extras: list[Extra]) -> tuple[Reasoning | None, Format | None]:
    """Effort stands beside the shape of the output, not beside thinking."""
    effort, shape = _output(config, extras)
    if given(thinking) is None:
        return (None if effort is None else Reasoning(effort)), shape
    found = read_as(_decode_thinking, thinking, "thinking")
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
            extras.append(Extra(NAME, "thinking", thinking))
            return (None if effort is None else Reasoning(effort)), shape
    keep_others(fields_of(thinking, "thinking"), _known(_Thinking), "thinking", extras)
    return reasoning, shape


def _output(raw: msgspec.Raw, extras: list[Extra]) -> tuple[Effort | None, Format | None]:
    if given(raw) is None:
        return None, None
    at = "output_config"
    found = read_as(_decode_output_config, raw, at)
    effort = None
    if found.effort is not None:
        effort = _EFFORTS.get(found.effort)
        if effort is None:
            raise invalid("output_config.effort", f"known are {', '.join(_EFFORTS)}")
    keep_others(fields_of(raw, at), _known(_OutputConfig), at, extras)
    if found.format is None:
        return effort, None
    if found.format.type != "json_schema":
        raise invalid("output_config.format.type", "known is json_schema")
    return effort, Format("schema", found.format.schema.copy())


def _end_user(raw: msgspec.Raw, extras: list[Extra]) -> str | None:
    if given(raw) is None:
        return None
    keep_others(fields_of(raw, "metadata"), _known(_Metadata), "metadata", extras)
    return read_as(_decode_metadata, raw, "metadata").user_id
