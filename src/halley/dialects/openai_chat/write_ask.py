"""An ask as a chat completions request, for a provider that speaks this dialect. What it has no word for is reported.

Settings of another dialect are losses; a tool that only another dialect knows is refused, because an answer without it would be another.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from halley.chat.doors import Target, Written
from halley.chat.jsonword import worded
from halley.chat.model import Ask, Choice, Effort, Extra, Format, FreeTool, Function, Hosted, Loss, Reasoning, Tool, WebSearch
from halley.chat.naming import flat, named
from halley.chat.reading import unsaid
from halley.chat.strict import loosened
from halley.dialects.openai_chat.media import NAME
from halley.dialects.openai_chat.write_messages import Writer

# Thinking tokens to words, where a provider takes words alone: what most clients mean by their budgets.
_STEPS: tuple[tuple[int, Effort], ...] = ((0, "none"), (2047, "low"), (8191, "medium"))
_MOST: Effort = "high"
_MOST_STOPS = 4
# Fields that are spelled the same on both sides and need no thought.
_SAME = (
    "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "verbosity", "logit_bias", "metadata", "service_tier",
    "store",
)  # fmt: skip


def write_ask(ask: Ask, target: Target) -> Written:
    """Raises Refused."""
    losses: list[Loss] = []
    ask = loosened(worded(ask, losses), losses)
    writer = Writer(target, losses)
    body: dict[str, object] = {"model": target.model, "messages": writer.messages(ask.turns)}
    for field in _SAME:
        value: object = getattr(ask, field)
        if value is not None:
            body[field] = value
    if ask.n == 1:
        body["n"] = 1
    if ask.max_output is not None:
        body[target.cap_field or "max_tokens"] = ask.max_output
    if ask.stop:
        body["stop"] = list(ask.stop[:_MOST_STOPS])
        if cut := ask.stop[_MOST_STOPS:]:
            words = ", ".join(msgspec.json.encode(word[:64]).decode() for word in cut)
            losses.append(Loss("stop", f"at most {_MOST_STOPS} are taken in this dialect; not given: {words}"))
    if ask.logprobs is not None:
        body["logprobs"] = True
        if ask.logprobs:
            body["top_logprobs"] = ask.logprobs
    if ask.modalities:
        body["modalities"] = list(ask.modalities)
    if ask.voice is not None:
        body["audio"] = {"voice": ask.voice.name, "format": ask.voice.format or "wav"}
    if ask.cache_key is not None:
        body["prompt_cache_key"] = ask.cache_key
    if ask.format is not None:
        body["response_format"] = _format(ask.format)
    if ask.reasoning is not None and (effort := _effort(ask.reasoning, losses)) is not None:
        body["reasoning_effort"] = effort
    _tools(ask, body, losses)
    if ask.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    body |= {extra.at: extra.raw for extra in ask.extras if NAME in (extra.dialect, extra.also) and _is_field(extra)}
    if ask.end_user is not None:
        body["safety_identifier" if "user" in body else "user"] = ask.end_user
    losses += _unsaid(ask)
    return Written(msgspec.json.encode(body), tuple(losses))


def _format(shape: Format) -> dict[str, object]:
    if shape.kind == "json":
        return {"type": "json_object"}
    inner: dict[str, object] = {"name": shape.name or "answer", "schema": shape.schema or {}}
    if shape.description is not None:
        inner["description"] = shape.description
    if shape.strict is not None:
        inner["strict"] = shape.strict
    return {"type": "json_schema", "json_schema": inner}


def _effort(reasoning: Reasoning, losses: list[Loss]) -> Effort | None:
    if reasoning.show not in (None, "auto"):
        losses.append(Loss("reasoning.show", "this provider decides by itself what it shows of its reasoning"))
    if reasoning.effort is not None:
        return reasoning.effort
    budget = reasoning.budget
    if budget is None or budget < 0:
        return None  # adaptive, which is what no word means
    effort: Effort = _MOST
    for most, word in reversed(_STEPS):
        effort = word if budget <= most else effort
    losses.append(Loss("reasoning.budget", f'this provider takes words for it; {budget} tokens were sent as "{effort}"'))
    return effort


def _tools(ask: Ask, body: dict[str, object], losses: list[Loss]) -> None:
    tools = [written for tool in ask.tools if (written := _tool(tool, body, losses)) is not None]
    if tools:
        body["tools"] = tools
    choice = ask.choice
    if choice is None or not (tools or choice.mode == "none"):
        return
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel
    if choice.mode is not None or choice.names:
        body["tool_choice"] = _choice(choice, ask)


def _tool(tool: Tool, body: dict[str, object], losses: list[Loss]) -> dict[str, object] | None:
    match tool:
        case Function():
            if tool.cache is not None:
                losses.append(Loss(f"{tool.at}.cache_control", "caching is automatic here"))
            function: dict[str, object] = {"name": flat(tool.name, tool.namespace)}
            optional = {"description": tool.description, "parameters": tool.schema, "strict": tool.strict}
            return {"type": "function", "function": function | {name: value for name, value in optional.items() if value is not None}}
        case FreeTool():
            custom: dict[str, object] = {"name": flat(tool.name, tool.namespace)}
            optional = {"description": tool.description, "format": tool.grammar}
            return {"type": "custom", "custom": custom | {name: value for name, value in optional.items() if value is not None}}
        case WebSearch():
            body["web_search_options"] = _search(tool)
            losses += [
                Loss(tool.at, f"web search cannot be narrowed by {what} here")
                for what, given in (("a count", tool.most_uses), ("allowed domains", tool.allowed), ("blocked domains", tool.blocked))
                if given
            ]
            return None
        case Hosted(dialect=dialect, raw=raw, what=what):
            if dialect != NAME:
                raise unsaid(tool.at, f"{what} cannot be offered to this provider")
            return msgspec.json.decode(raw, type=dict[str, object])


def _search(tool: WebSearch) -> dict[str, object]:
    options: dict[str, object] = {}
    if tool.size is not None:
        options["search_context_size"] = tool.size
    if tool.location is not None:
        options["user_location"] = {"type": "approximate", "approximate": tool.location.words()}
    return options


def _choice(choice: Choice, ask: Ask) -> str | dict[str, object]:
    mode = {"any": "required", "none": "none"}.get(choice.mode or "auto", "auto")
    if not choice.names:
        return mode
    tools = named(ask.tools)
    chosen = [_named(name, isinstance(tools.get(name), FreeTool)) for name in choice.names]
    if choice.mode == "any" and len(chosen) == 1:
        return chosen[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": chosen}}


def _named(name: str, free: bool) -> dict[str, object]:
    kind = "custom" if free else "function"
    return {"type": kind, kind: {"name": name}}


def _is_field(extra: Extra) -> bool:
    """Of the request itself, not of something within it."""
    return "." not in extra.at


def _unsaid(ask: Ask) -> Iterator[Loss]:
    if ask.n is not None and ask.n > 1:
        yield Loss("n", f"one answer is carried over from another dialect, not {ask.n}")
    if ask.top_k is not None:
        yield Loss("top_k", "this dialect has no such field")
    if ask.cache is not None:
        yield Loss("cache", "caching is automatic here")
    for extra in ask.extras:
        if NAME not in (extra.dialect, extra.also) or not _is_field(extra):
            yield Loss(extra.at, "only providers of the caller's own dialect know it")
