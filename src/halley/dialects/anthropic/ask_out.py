"""An ask to a request in Anthropic's words, with the losses of what they do not have.

Rules of the provider that shape it (Messages API reference, read 2026-11): a cap is required; a conversation begins with the user; turns of
one role are one message; results of tools come first in their message; no text is empty, and the last one of the assistant does not end in
white space; schemas of answers are closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import msgspec

from halley.chat.doors import Target, Written
from halley.chat.model import (
    Ask,
    Choice,
    FreeTool,
    Function,
    Hosted,
    Loss,
    Tool,
    Turn,
    WebSearch,
)
from halley.chat.naming import flat
from halley.dialects.anthropic.blocks_out import FREE_INPUT, Block, Blocks, cache_control, cannot
from halley.dialects.anthropic.effort import began_with_a_thought, goes_on, sample, takes_system_midway, think
from halley.dialects.anthropic.schema import held, held_tool
from halley.dialects.anthropic.sealing import NAME
from halley.errors import Condition, Refused
from halley.wire import jsonbody

# For a provider that knows no limit of its model: what every model since Claude 3 can write.
_CAP: Final = 4096
_WEB_SEARCH: Final = "web_search_20250305"  # the oldest that is served: every later model takes it
# Searches for a size in OpenAI's words, as other gateways have it.
_SEARCHES: Final = {"low": 1, "medium": 5, "high": 10}
_SPOKEN_FIRST: Final = "…"
_JSON: Final = "Answer with one JSON object and nothing else: no explanation, no code fence."
_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard": "standard_only", "standard_only": "standard_only"}
_SYSTEM: Final = ("system", "developer")
# Tuning that nothing here corresponds to.
_UNSAID: Final = (
    "verbosity", "seed", "presence_penalty", "frequency_penalty", "logprobs", "logit_bias", "voice", "metadata", "cache_key",
)  # fmt: skip

Message = tuple[str, list[Block]]


def write_ask(ask: Ask, target: Target) -> Written:
    """Raises Refused at content or a tool that cannot be said."""
    losses: list[Loss] = []
    system, messages = _turns(ask.turns, Blocks(target, losses), target.model)
    if ask.format is not None and ask.format.kind == "json":
        # No schema stands for any object: the provider refuses one that is open.
        losses.append(Loss("format", "any JSON object is asked for in words; the provider holds the model to closed schemas alone"))
        system.append({"type": "text", "text": _JSON})
    cap = ask.max_output if ask.max_output is not None else target.most_output or _CAP
    choice, tools = _choice(ask.choice, ask.tools, losses)
    changes: list[Loss] = []
    # A cap of the caller's is what may be spent, with all thoughts: so much is held for it, and it is never raised.
    most = ask.max_output if ask.max_output is not None else target.most_output
    thought = think(ask.reasoning, target._replace(most_output=most), cap, changes)
    if thought.on and choice is not None and choice["type"] in ("any", "tool"):
        changes = [Loss("reasoning", "the model does not think where a tool must be called")]
        thought = thought._replace(thinking={"type": "disabled"}, cap=cap)
    elif thought.on and goes_on(messages):
        changes = [Loss("reasoning", "the model does not think where its answer has been begun for it")]
        thought = thought._replace(thinking={"type": "disabled"}, cap=cap)
    elif thought.budgeted and not began_with_a_thought(messages):
        changes = [Loss("reasoning", "the model does not think in the middle of a turn of whose thoughts nothing came back")]
        thought = thought._replace(thinking={"type": "disabled"}, cap=cap)
    losses += changes
    body: dict[str, object] = {"model": target.model, "max_tokens": thought.cap}
    if system:
        body["system"] = system
    body["messages"] = [{"role": role, "content": content} for role, content in messages]
    if tools:
        body["tools"] = tools
    if choice is not None:
        body["tool_choice"] = choice
    if thought.thinking is not None:
        body["thinking"] = thought.thinking
    output: dict[str, object] = {"effort": thought.effort} if thought.effort is not None else {}
    if ask.format is not None and ask.format.schema is not None:
        output["format"] = {"type": "json_schema", "schema": held(ask.format, ask.format.schema, losses)}
    if output:
        body["output_config"] = output
    body |= sample(ask, target.model, thought.on, losses)
    body |= _rest(ask, losses)
    if ask.stream:
        body["stream"] = True
    return Written(msgspec.json.encode(body), tuple(losses))


def write_count(tokens: int) -> bytes:
    """The answer of `/v1/messages/count_tokens`."""
    return b'{"input_tokens":%d}' % tokens


# ---- turns ------------------------------------------------------------------------------------------------------------------------------


class _Conversation:
    """Messages as they come about. System messages that may not stand yet wait for the user."""

    def __init__(self, blocks: Blocks, midway: bool) -> None:
        self.system: list[Block] = []
        self.messages: list[Message] = []
        self._blocks = blocks
        self._midway = midway
        self._waiting: list[Block] = []
        self._waits_at = ""

    def add(self, turn: Turn) -> None:
        if turn.name is not None:
            self._blocks.lose(f"{turn.at}.name", "speakers have no names")
        if turn.role in _SYSTEM:
            self._instruct(turn, _said(self._blocks.text(part) for part in turn.parts))
        elif turn.role == "user":
            self._put("user", _said(self._blocks.user(part) for part in turn.parts))
            self._release("it stands after the user's message that follows it, where a system message may")
        else:
            if self._waiting:
                self.give_up()
            self._put("assistant", _said(self._blocks.assistant(part) for part in turn.parts))

    def give_up(self) -> None:
        """No user speaks where the system wants to: it speaks as the user."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._blocks.lose(self._waits_at, "a system message stands right after the user's; it is said as the user")
            self._put("user", waiting)

    def _instruct(self, turn: Turn, blocks: list[Block]) -> None:
        """Leading ones are the system prompt. Later ones are messages of their own: role `system` is taken by models from 4.8 on (2026-05),
        earlier behind the beta mid-conversation-system-2026-04-07; never first, and right after a turn of the user."""
        if not self.messages:
            self.system += blocks
        elif not self._midway:
            self._blocks.lose(turn.at, "this model takes no system message midway; it is said as the user")
            self._put("user", blocks)
        elif self.messages[-1][0] != "assistant":
            self._put("system", blocks)
        else:
            self._waiting += blocks
            self._waits_at = self._waits_at or turn.at

    def _release(self, reason: str) -> None:
        if self._waiting and self.messages[-1][0] == "user":
            self._blocks.lose(self._waits_at, reason)
            self._put("system", self._waiting)
            self._waiting = []

    def _put(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if self.messages and self.messages[-1][0] == role:
            self.messages[-1][1].extend(blocks)
        else:
            self.messages.append((role, blocks))


def _said(blocks: Iterable[Block | None]) -> list[Block]:
    return [block for block in blocks if block is not None]


def _turns(turns: tuple[Turn, ...], blocks: Blocks, model: str) -> tuple[list[Block], list[Message]]:
    conversation = _Conversation(blocks, takes_system_midway(model))
    for turn in turns:
        conversation.add(turn)
    conversation.give_up()
    messages = [(role, _results_first(content) if role == "user" else content) for role, content in conversation.messages]
    if not messages or messages[0][0] != "user":
        first = next((turn.at for turn in turns if turn.role not in _SYSTEM), "messages")
        blocks.lose(first, f'a conversation begins with the user; a message "{_SPOKEN_FIRST}" stands first')
        messages.insert(0, ("user", [{"type": "text", "text": _SPOKEN_FIRST}]))
    if messages[-1][0] == "assistant":
        _trim(messages[-1][1], turns[-1].at, blocks)
        if not messages[-1][1]:
            messages.pop()
    return conversation.system, messages


def _is_result(block: Block) -> bool:
    return isinstance(block, dict) and block["type"] == "tool_result"


def _results_first(content: list[Block]) -> list[Block]:
    return sorted(content, key=lambda block: not _is_result(block))


def _trim(content: list[Block], at: str, blocks: Blocks) -> None:
    """The beginning of an answer, which may not end in white space."""
    last = content[-1]
    if isinstance(last, dict) and last["type"] == "text":
        text = cast("str", last["text"])
        trimmed = text.rstrip()
        if trimmed != text:
            blocks.lose(at, "the beginning of an answer may not end in white space, which is left out")
            content.pop()
            if trimmed:
                content.append(last | {"text": trimmed})


# ---- tools ------------------------------------------------------------------------------------------------------------------------------


def _choice(choice: Choice | None, tools: tuple[Tool, ...], losses: list[Loss]) -> tuple[dict[str, object] | None, list[object]]:
    """`tool_choice`, and the tools that may be called."""
    _check_names(tools)
    allowed = tools
    if (choice is not None and len(choice.names) > 1) or (choice is not None and choice.names and choice.mode != "any"):
        # A subset is said by leaving the others out.
        allowed = tuple(tool for tool in tools if _name(tool) in choice.names)
        run_elsewhere = [tool for tool in tools if tool not in allowed and not isinstance(tool, Function | FreeTool)]
        losses += [Loss(tool.at, "the tools that may be called are named, and it is not one of them") for tool in run_elsewhere]
    written = [_tool(tool, losses) for tool in allowed]
    if choice is None or (choice.mode is None and choice.parallel is None and not choice.names):
        return None, written
    if not written:
        if choice.mode == "any":
            losses.append(Loss(choice.at or "choice", "there is no tool that could be called"))
        return None, written
    said: dict[str, object] = {"type": choice.mode or "auto"}
    if choice.mode == "any" and len(choice.names) == 1:
        said = {"type": "tool", "name": choice.names[0]}
    if choice.parallel is not None and choice.mode != "none":
        said["disable_parallel_tool_use"] = not choice.parallel
    return said, written


def _name(tool: Tool) -> str:
    match tool:
        case Function() | FreeTool():
            return flat(tool.name, tool.namespace)
        case WebSearch():
            return "web_search"
        case Hosted(what=what):
            return what


def _check_names(tools: tuple[Tool, ...]) -> None:
    seen: set[str] = set()
    for tool in tools:
        name = _name(tool)
        if isinstance(tool, Function | FreeTool) and name in seen:
            raise Refused(Condition.INVALID, f"{tool.at}: two tools have one name, which this provider refuses.", param=tool.at or None)
        seen.add(name)


def _tool(tool: Tool, losses: list[Loss]) -> object:
    match tool:
        case Function():
            return _function(tool, losses)
        case WebSearch():
            return _web_search(tool, losses)
        case Hosted(dialect=dialect, raw=raw) if dialect == NAME:
            return raw
        case Hosted(what=what):
            raise cannot(tool.at, f'tool "{what}"')
        case FreeTool():
            return _free(tool, losses)


def _free(tool: FreeTool, losses: list[Loss]) -> dict[str, object]:
    """A tool in a language of its own is one of a single text, which whoever offered it takes out of the JSON again."""
    losses.append(Loss(tool.at, "its input is one text in a JSON object, and no grammar holds the model to its language"))
    said: dict[str, object] = {"name": _name(tool)}
    grammar = "" if tool.grammar is None else f"The input follows this grammar: {bytes(tool.grammar).decode()}"
    description = "\n\n".join(words for words in (tool.description, grammar) if words)
    if description:
        said["description"] = description
    return said | {"input_schema": {"type": "object", "properties": {FREE_INPUT: {"type": "string"}}, "required": [FREE_INPUT]}}


def _function(tool: Function, losses: list[Loss]) -> dict[str, object]:
    said: dict[str, object] = {"name": _name(tool)}
    if tool.description is not None:
        said["description"] = tool.description
    schema = _parameters(tool)
    said["input_schema"] = held_tool(tool.at, schema, losses) if tool.strict else schema
    if tool.strict is not None:
        said["strict"] = tool.strict
    if tool.cache is not None:
        said["cache_control"] = cache_control(tool.cache)
    return said


def _parameters(tool: Function) -> msgspec.Raw:
    """A schema must say that it is of an object, which one without parameters leaves out."""
    if tool.schema is None or bytes(tool.schema).strip() == b"null":
        return msgspec.Raw(b'{"type":"object"}')
    raw = bytes(tool.schema)
    try:
        members = jsonbody.members(raw)
    except jsonbody.Malformed:
        raise cannot(tool.at, "tool whose parameters are no JSON Schema") from None
    return tool.schema if "type" in members else msgspec.Raw(jsonbody.set_members(raw, members, {"type": b'"object"'}))


def _web_search(tool: WebSearch, losses: list[Loss]) -> dict[str, object]:
    said: dict[str, object] = {"type": _WEB_SEARCH, "name": "web_search"}
    if tool.most_uses is not None:
        said["max_uses"] = tool.most_uses
    elif tool.size is not None:
        said["max_uses"] = _SEARCHES[tool.size]
        losses.append(Loss(tool.at, f'how much of the web is read ("{tool.size}") is said as at most {_SEARCHES[tool.size]} searches'))
    if tool.allowed:
        said["allowed_domains"] = tool.allowed
    if tool.blocked and tool.allowed:
        losses.append(Loss(tool.at, "blocked domains are not taken beside allowed ones"))
    elif tool.blocked:
        said["blocked_domains"] = tool.blocked
    if tool.location is not None:
        said["user_location"] = {"type": "approximate", **tool.location.words()}
    return said


# ---- the rest ---------------------------------------------------------------------------------------------------------------------------


def _rest(ask: Ask, losses: list[Loss]) -> dict[str, object]:
    said: dict[str, object] = {}
    stops = [stop for stop in ask.stop if stop.strip()]
    if len(stops) < len(ask.stop):
        losses.append(Loss("stop", "a stop sequence of nothing but white space is not taken"))
    if stops:
        said["stop_sequences"] = stops
    if ask.end_user is not None:
        said["metadata"] = {"user_id": ask.end_user}
    if ask.service_tier is not None:
        tier = _TIERS.get(ask.service_tier)
        if tier is None:
            losses.append(Loss("service_tier", f'"{ask.service_tier}" is not known'))
        else:
            said["service_tier"] = tier
    if ask.cache is not None:
        said["cache_control"] = cache_control(ask.cache)
    for extra in ask.extras:
        if extra.dialect == NAME and not any(mark in extra.at for mark in ".["):
            said[extra.at] = extra.raw
        elif extra.dialect != NAME or ".citations[" not in extra.at:  # a citation is given back whole
            losses.append(Loss(extra.at, "nothing corresponds to it"))
    losses += [Loss(name, "nothing corresponds to it") for name in _UNSAID if getattr(ask, name) is not None]
    if ask.n is not None and ask.n > 1:
        losses.append(Loss("n", f"one answer is given, not {ask.n}"))
    if ask.store:
        losses.append(Loss("store", "answers are not kept at the provider"))
    losses += [Loss("modalities", f'answers are text, not "{kind}"') for kind in ask.modalities if kind != "text"]
    return said
