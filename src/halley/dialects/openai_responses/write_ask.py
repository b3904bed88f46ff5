"""An ask as a request of this dialect, for a provider that speaks it.

Nothing is kept at the provider on this way, so that it is asked not to store and to give its reasoning encrypted: the conversation comes
whole each time. Tuning that the dialect lacks is a loss; a budget of tokens becomes the nearest word, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from halley.chat.doors import Target, Written
from halley.chat.jsonword import worded
from halley.chat.model import Ask, Effort, Extra, Format, Loss, Reasoning, Text, Turn
from halley.chat.strict import loosened
from halley.dialects.openai_responses.fields import DIALECT
from halley.dialects.openai_responses.read_ask import ENCRYPTED, LOGPROBS
from halley.dialects.openai_responses.tools import write_choice, write_tools
from halley.dialects.openai_responses.write_items import lose_mark, write_turns

LEAST_OUTPUT = 16
_TIERS = frozenset({"auto", "default", "flex", "priority", "scale", "ultrafast"})
# Up to how many tokens of thinking a word stands for: what most clients mean by their budgets.
_BUDGETS: tuple[tuple[int, Effort], ...] = ((0, "none"), (2047, "low"), (8191, "medium"))
_UNKNOWN = ("stop", "seed", "presence_penalty", "frequency_penalty", "top_k", "logit_bias", "voice")
_DOTTED = 2  # pieces of an extra's place that can be given back: `reasoning.mode`

encode = msgspec.json.encode


def write_ask(ask: Ask, target: Target) -> Written:
    """Raises Refused at content or a tool that this dialect cannot say."""
    losses: list[Loss] = []
    ask = loosened(worded(ask, losses), losses)
    instructions, turns = _leading(ask.turns, losses)
    body: dict[str, object] = {"model": target.model}
    if instructions is not None:
        body["instructions"] = instructions
    body["input"] = write_turns(turns, target.origin, losses)
    _tools(ask, body, losses)
    _shape(ask, body)
    reasoning = write_reasoning(ask.reasoning, losses)
    if reasoning:
        body["reasoning"] = reasoning
    _plain(ask, body, losses)
    include = [ENCRYPTED] if ask.store is not True else []
    if ask.logprobs is not None:
        body["top_logprobs"] = ask.logprobs
        include.append(LOGPROBS)
    body["store"] = ask.store is True
    body["include"] = include
    if ask.stream:
        body["stream"] = True
    _unsaid(ask, losses)
    _extras(ask.extras, body, include, losses)
    return Written(encode(body), tuple(losses))


def _leading(turns: Sequence[Turn], losses: list[Loss]) -> tuple[str | None, Sequence[Turn]]:
    """A single system turn in front, if it is one text, is the instructions; every other stays where it stands."""
    match turns:
        case (Turn(role="system", name=None, parts=(Text(seal=None) as part,)), Turn(role=role), *_) if role != "system":
            lose_mark(part, losses)
            return part.text, turns[1:]
        case _:
            return None, turns


def _tools(ask: Ask, body: dict[str, object], losses: list[Loss]) -> None:
    if ask.tools:
        # A function of another dialect that does not say so is not strict; OpenAI would take it for strict.
        body["tools"] = write_tools(ask.tools, ask.extras, losses, strict=False)
    choice = ask.choice
    if choice is None:
        return
    if choice.mode is not None or choice.names:
        body["tool_choice"] = write_choice(choice, ask.tools)
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel


def _shape(ask: Ask, body: dict[str, object]) -> None:
    text: dict[str, object] = {}
    if ask.format is not None:
        text["format"] = write_format(ask.format)
    if ask.verbosity is not None:
        text["verbosity"] = ask.verbosity
    if text:
        body["text"] = text


def write_format(format: Format | None) -> dict[str, object]:
    """The `text.format`, whose schema needs a name."""
    if format is None:
        return {"type": "text"}
    if format.kind == "json" or format.schema is None:
        return {"type": "json_object"}
    made: dict[str, object] = {"type": "json_schema", "name": format.name or "answer", "schema": format.schema}
    if format.description is not None:
        made["description"] = format.description
    made["strict"] = bool(format.strict)
    return made


def write_reasoning(reasoning: Reasoning | None, losses: list[Loss]) -> dict[str, object]:
    if reasoning is None:
        return {}
    made: dict[str, object] = {}
    effort = reasoning.effort
    if effort is None and reasoning.budget is not None and reasoning.budget >= 0:
        budget = reasoning.budget
        effort = next((word for most, word in _BUDGETS if budget <= most), "high")
        if budget:
            losses.append(Loss("reasoning.budget", f"a budget of {budget} tokens becomes the effort {effort} in the Responses dialect"))
    if effort is not None:
        made["effort"] = effort
    if reasoning.show == "full":
        losses.append(Loss("reasoning.show", "a summary of the reasoning is shown in the Responses dialect, never all of it"))
        made["summary"] = "auto"
    elif reasoning.show not in (None, "none"):
        made["summary"] = reasoning.show
    return made


def _plain(ask: Ask, body: dict[str, object], losses: list[Loss]) -> None:
    """Fields that mean the same under the same or another name."""
    cap = ask.max_output
    if cap is not None and cap < LEAST_OUTPUT:
        losses.append(Loss("max_output", f"the least cap of the Responses dialect is {LEAST_OUTPUT} tokens, which is asked for"))
        cap = LEAST_OUTPUT
    tier = ask.service_tier
    if tier is not None and tier not in _TIERS:
        losses.append(Loss("service_tier", f"the Responses dialect has no service tier {tier[:64]}"))
        tier = None
    named = {
        "max_output_tokens": cap,
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "metadata": ask.metadata,
        "service_tier": tier,
        "prompt_cache_key": ask.cache_key,
        "user": ask.end_user,
    }
    if any(extra.at == "user" and DIALECT in (extra.dialect, extra.also) for extra in ask.extras):
        named["safety_identifier"] = named.pop("user")  # both were given, and each goes to its place
    body.update({key: value for key, value in named.items() if value is not None})


def _unsaid(ask: Ask, losses: list[Loss]) -> None:
    for field in _UNKNOWN:
        if getattr(ask, field) not in (None, ()):
            losses.append(Loss(field, "the Responses dialect has no such field"))
    if ask.n is not None and ask.n > 1:
        losses.append(Loss("n", "the Responses dialect gives one answer"))
    if any(each != "text" for each in ask.modalities):
        losses.append(Loss("modalities", "the Responses dialect answers in text"))
    if ask.cache is not None and ask.cache.ttl == "1h":
        losses.append(Loss("cache", "a prompt is not marked to be cached for an hour in the Responses dialect"))


def _extras(extras: Sequence[Extra], body: dict[str, object], include: list[str], losses: list[Loss]) -> None:
    for extra in extras:
        path = extra.at.split(".")
        if DIALECT not in (extra.dialect, extra.also):
            losses.append(Loss(extra.at, "the Responses dialect has no such field"))
        elif extra.at == "include":
            include += msgspec.json.decode(extra.raw, type=list[str])
        elif len(path) == 1:
            body[extra.at] = extra.raw
        elif len(path) == _DOTTED and "[" not in path[0]:
            inner = body.get(path[0], {})
            if isinstance(inner, dict):
                body[path[0]] = {**cast("dict[str, object]", inner), path[1]: extra.raw}
            else:
                losses.append(Loss(extra.at, "what it stands in is written in another way"))
        elif not extra.at.endswith("].description") and ".annotations[" not in extra.at:  # which stand where they belong already
            losses.append(Loss(extra.at, "a field of an item or a tool is not given back"))
