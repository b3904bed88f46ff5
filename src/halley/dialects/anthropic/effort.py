"""How much a model is to think, and how freely it may choose its words, as its generation takes it.

    until 4.5     thinking {enabled, budget_tokens}; temperature, top_p and top_k
    4.6           the same, and thinking {adaptive} with output_config.effort
    from 4.7      adaptive alone, thinking not shown unless asked; no temperature, top_p, top_k
    from 4.8      system messages midway, right after a turn of the user

From the pages about new models and adaptive thinking, read 2026-11. A name that is not Claude's is that of a compatible provider, which
speaks as the oldest generation did. Budgets for words and words for budgets are those of other gateways (new-api): moving changes little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from halley.chat.doors import Target
from halley.chat.model import Ask, Effort, Loss, Reasoning

_ADAPTIVE: Final = (4, 6)
_BUDGETLESS: Final = (4, 7)
_MIDWAY: Final = (4, 8)
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d)(?:[-.](\d{1,2}))?(?!\d)")
_BUDGETS: Final[dict[Effort, int]] = {"minimal": 1024, "low": 1280, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
_LEAST_BUDGET: Final = 1024
_HOTTEST: Final = 1.0
_LEAST_TOP_P: Final = 0.95  # while it thinks

Generation = tuple[int, int]


def generation(model: str) -> Generation | None:
    """Of a model's name at its provider: `claude-opus-4-6-20260205` is (4, 6)."""
    found = _VERSION.search(model)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def takes_system_midway(model: str) -> bool:
    """Of a name that tells nothing: yes; the provider's refusal says more than a guess."""
    version = generation(model)
    return version is None or version >= _MIDWAY


class Thought(NamedTuple):
    """`thinking` and `output_config.effort`, absent when None, and the output cap that goes with them."""

    thinking: dict[str, object] | None
    effort: str | None
    cap: int

    @property
    def on(self) -> bool:
        return self.thinking is not None and self.thinking["type"] != "disabled"

    @property
    def budgeted(self) -> bool:
        return self.thinking is not None and self.thinking["type"] == "enabled"


def think(reasoning: Reasoning | None, target: Target, cap: int, losses: list[Loss]) -> Thought:
    if reasoning is None:
        return Thought(None, None, cap)
    version = generation(target.model)
    adaptive = version is not None and version >= _ADAPTIVE
    effort, budget = reasoning.effort, reasoning.budget
    if effort == "none" or (budget == 0 and not reasoning.adaptive):
        return Thought({"type": "disabled"}, _word(effort, losses) if adaptive else None, cap)
    if budget is not None and budget > 0 and not reasoning.adaptive:
        if version is None or version < _BUDGETLESS:
            word = _word(effort, losses) if adaptive else _unsaid(effort, losses)
            return _budgeted(budget, reasoning, word, target, cap, losses)
        effort = effort or _effort_for(budget)
        losses.append(Loss("reasoning", f'this model takes no budget; {budget} tokens are said as effort "{effort}"'))
    elif not adaptive:
        made = _BUDGETS[effort or "medium"]
        if reasoning.adaptive or budget is not None:
            losses.append(Loss("reasoning", f"this model does not choose by itself how much it thinks; its budget is {made} tokens"))
        return _budgeted(made, reasoning, None, target, cap, losses)
    return Thought({"type": "adaptive", **_display(reasoning, version, losses)}, _word(effort, losses), cap)


def goes_on(messages: Sequence[tuple[str, list[dict[str, object] | msgspec.Raw]]]) -> bool:
    """Whether the caller has begun the answer, which is refused where the model thinks (the same page)."""
    return bool(messages) and messages[-1][0] == "assistant"


def began_with_a_thought(messages: Sequence[tuple[str, list[dict[str, object] | msgspec.Raw]]]) -> bool:
    """Whether the turn that the model is to go on with, after results of its tools, began with one; true of a new turn. With a budget it
    must ("toggling thinking modes in conversations" of the page about extended thinking, read 2026-11), and a client may have kept none:
    Gemini CLI repeats no thought, nor does most of what speaks Chat."""
    turn: list[dict[str, object] | msgspec.Raw] = []
    for role, content in reversed(messages):
        if role == "assistant":
            turn = content
        elif role == "user" and not any(isinstance(block, dict) and block["type"] == "tool_result" for block in content):
            break
    return not turn or (isinstance(turn[0], dict) and turn[0]["type"] in ("thinking", "redacted_thinking"))


def _budgeted(budget: int, reasoning: Reasoning, word: str | None, target: Target, cap: int, losses: list[Loss]) -> Thought:
    """The budget counts inside the cap and must be smaller."""
    if budget < _LEAST_BUDGET:
        losses.append(Loss("reasoning", f"a budget of {budget} tokens is too small; {_LEAST_BUDGET} are allowed"))
        budget = _LEAST_BUDGET
    if cap <= budget:
        room = budget + max(cap, 1)
        if target.most_output is not None and room > target.most_output:
            room = target.most_output
            lowered = min(budget, room // 2)
            if lowered < _LEAST_BUDGET:
                losses.append(Loss("reasoning", f"no budget fits into the {room} tokens that may be written; the model does not think"))
                return Thought({"type": "disabled"}, word, cap)
            if lowered < budget:
                losses.append(
                    Loss("reasoning", f"a budget of {budget} tokens does not fit into the {room} that may be written; it is {lowered}")
                )
                budget = lowered
        if room != cap:
            losses.append(Loss("max_output", f"{cap} tokens have no room for a thinking budget of {budget}; the cap is {room}"))
        cap = room
    thinking: dict[str, object] = {"type": "enabled", "budget_tokens": budget}
    return Thought(thinking | _display(reasoning, generation(target.model), losses), word, cap)


def _display(reasoning: Reasoning, version: Generation | None, losses: list[Loss]) -> dict[str, object]:
    """Models before 4.7 show a summary unless told otherwise, and older ones do not know the word."""
    show = reasoning.show
    if show is None:
        return {}
    if show == "none":
        return {"display": "omitted"}
    if show != "auto":
        losses.append(Loss("reasoning", f'thinking is shown summarized, in one length ("{show}" was wanted)'))
    return {"display": "summarized"} if version is not None and version >= _ADAPTIVE else {}


def _word(effort: Effort | None, losses: list[Loss]) -> str | None:
    if effort == "minimal":
        losses.append(Loss("reasoning", 'effort "minimal" is not known; "low" is the least'))
        return "low"
    return None if effort == "none" else effort


def _unsaid(effort: Effort | None, losses: list[Loss]) -> None:
    if effort is not None:
        losses.append(Loss("reasoning", f'this model takes a budget but no effort ("{effort}")'))


def _effort_for(budget: int) -> Effort:
    return "low" if budget < 2048 else "medium" if budget < 8192 else "high"


def sample(ask: Ask, model: str, thinks: bool, losses: list[Loss]) -> dict[str, object]:
    """`temperature`, `top_p` and `top_k`. Two of the first kind at once are refused from 4.1 on, so temperature goes before top_p."""
    given = {"temperature": ask.temperature, "top_p": ask.top_p, "top_k": ask.top_k}
    # One says the same as nothing.
    said: dict[str, float | int] = {name: value for name, value in given.items() if value is not None and (name, value) != ("top_p", 1)}
    version = generation(model)
    if version is not None and version >= _BUDGETLESS:
        return _without(said, lambda name, value: (name, value) == ("temperature", 1), "this model takes none", losses)
    temperature = said.get("temperature")
    if temperature is not None and temperature > _HOTTEST:
        losses.append(Loss("temperature", f"{temperature:g} is above what this provider takes; it is {_HOTTEST:g}"))
        said["temperature"] = _HOTTEST
    if thinks:
        return _without(said, _beside_thinking, "not taken while the model thinks", losses)
    if "temperature" in said and "top_p" in said:
        return _without(said, lambda name, _: name != "top_p", "not taken beside temperature", losses)
    return dict(said)


def _beside_thinking(name: str, value: float) -> bool:
    return (name == "temperature" and value == _HOTTEST) or (name == "top_p" and value >= _LEAST_TOP_P)


def _without(said: dict[str, float | int], kept: Callable[[str, float], bool], reason: str, losses: list[Loss]) -> dict[str, object]:
    losses += [Loss(name, reason) for name, value in said.items() if not kept(name, value)]
    return {name: value for name, value in said.items() if kept(name, value)}
