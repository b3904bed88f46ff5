"""How much a model thinks and how freely it samples, by what its generation takes."""

from __future__ import annotations

import msgspec
import pytest

from halley.chat.doors import Target
from halley.chat.model import Ask, Loss, Reasoning
from halley.dialects.anthropic.effort import Generation, began_with_a_thought, generation, sample, takes_system_midway, think

Message = tuple[str, list[dict[str, object] | msgspec.Raw]]
OLD, BOTH, NEW, OTHER = "claude-sonnet-4-5-20250929", "claude-opus-4-6", "claude-opus-4-8", "glm-5"


@pytest.mark.parametrize(
    "model, version",
    [
        ("claude-3-5-sonnet-20241022", (3, 5)),
        ("claude-3-opus-20240229", (3, 0)),
        ("claude-opus-4-20250514", (4, 0)),
        (OLD, (4, 5)),
        ("anthropic/claude-opus-4.6", (4, 6)),
        ("anthropic.claude-opus-4-7-v1:0", (4, 7)),
        ("claude-opus-5", (5, 0)),
        ("gpt-5", None),
    ],
)
def test_a_name_tells_the_generation(model: str, version: Generation | None) -> None:
    assert generation(model) == version


def test_system_messages_midway_are_of_the_newest() -> None:
    assert [takes_system_midway(model) for model in (OLD, BOTH, NEW, OTHER)] == [False, False, True, True]


@pytest.mark.parametrize(
    "model, reasoning, thinking, effort, lost",
    [
        (OLD, Reasoning("none"), {"type": "disabled"}, None, 0),
        (NEW, Reasoning(budget=0), {"type": "disabled"}, None, 0),
        (NEW, Reasoning("low", budget=0), {"type": "disabled"}, "low", 0),
        (OLD, Reasoning("low"), {"type": "enabled", "budget_tokens": 1280}, None, 0),
        (OLD, Reasoning("high"), {"type": "enabled", "budget_tokens": 4096}, None, 0),
        (OTHER, Reasoning("medium"), {"type": "enabled", "budget_tokens": 2048}, None, 0),
        (OLD, Reasoning(adaptive=True), {"type": "enabled", "budget_tokens": 2048}, None, 1),
        (OLD, Reasoning(budget=-1), {"type": "enabled", "budget_tokens": 2048}, None, 1),
        (OLD, Reasoning("high", budget=3000), {"type": "enabled", "budget_tokens": 3000}, None, 1),
        (BOTH, Reasoning("high", budget=3000), {"type": "enabled", "budget_tokens": 3000}, "high", 0),
        (BOTH, Reasoning(budget=100), {"type": "enabled", "budget_tokens": 1024}, None, 1),
        (NEW, Reasoning("xhigh"), {"type": "adaptive"}, "xhigh", 0),
        (NEW, Reasoning("minimal"), {"type": "adaptive"}, "low", 1),
        (NEW, Reasoning(budget=-1), {"type": "adaptive"}, None, 0),
        (NEW, Reasoning(adaptive=True, show="none"), {"type": "adaptive", "display": "omitted"}, None, 0),
        (NEW, Reasoning(adaptive=True, show="auto"), {"type": "adaptive", "display": "summarized"}, None, 0),
        (NEW, Reasoning(adaptive=True, show="detailed"), {"type": "adaptive", "display": "summarized"}, None, 1),
        (OLD, Reasoning("low", show="auto"), {"type": "enabled", "budget_tokens": 1280}, None, 0),
        (NEW, Reasoning(budget=1500), {"type": "adaptive"}, "low", 1),
        (NEW, Reasoning(budget=4000), {"type": "adaptive"}, "medium", 1),
        (NEW, Reasoning(budget=9000), {"type": "adaptive"}, "high", 1),
    ],
)
def test_reasoning_is_said_as_the_model_takes_it(model: str, reasoning: Reasoning, thinking: object, effort: str | None, lost: int) -> None:
    losses: list[Loss] = []
    thought = think(reasoning, Target(model, "anthropic:p"), 32_000, losses)
    assert (thought.thinking, thought.effort, thought.cap) == (thinking, effort, 32_000)
    assert len(losses) == lost


@pytest.mark.parametrize(
    "cap, most, budget, room, paths",
    [
        (1000, None, 2000, 3000, ["max_output"]),
        (1000, 64_000, 2000, 3000, ["max_output"]),
        (1000, 2500, 1250, 2500, ["reasoning", "max_output"]),
        (2001, None, 2000, 2001, []),
    ],
)
def test_a_cap_is_raised_above_a_budget_as_far_as_the_model_goes(
    cap: int, most: int | None, budget: int, room: int, paths: list[str]
) -> None:
    losses: list[Loss] = []
    thought = think(Reasoning(budget=2000), Target(OLD, "anthropic:p", most_output=most), cap, losses)
    assert thought.thinking is not None
    assert (thought.thinking["budget_tokens"], thought.cap) == (budget, room)
    assert [loss.path for loss in losses] == paths


def test_where_no_budget_fits_the_model_does_not_think() -> None:
    losses: list[Loss] = []
    thought = think(Reasoning(budget=2000), Target(OLD, "anthropic:p", most_output=1500), 100, losses)
    assert (thought.thinking, thought.cap, thought.on) == ({"type": "disabled"}, 100, False)
    assert [loss.path for loss in losses] == ["reasoning"]


@pytest.mark.parametrize(
    "model, thinks, fields, said, lost",
    [
        (OLD, False, {"temperature": 0.3, "top_k": 5}, {"temperature": 0.3, "top_k": 5}, []),
        (OLD, False, {"temperature": 1.7}, {"temperature": 1.0}, ["temperature"]),
        (OLD, False, {"temperature": 0.3, "top_p": 0.5}, {"temperature": 0.3}, ["top_p"]),
        (OLD, False, {"temperature": 0.3, "top_p": 1.0}, {"temperature": 0.3}, []),
        (OLD, False, {"top_p": 0.5}, {"top_p": 0.5}, []),
        (OLD, True, {"temperature": 0.3, "top_p": 0.5, "top_k": 5}, {}, ["temperature", "top_p", "top_k"]),
        (OLD, True, {"temperature": 1.0, "top_p": 0.96}, {"temperature": 1.0, "top_p": 0.96}, []),
        (NEW, False, {"temperature": 0.3, "top_p": 0.5, "top_k": 5}, {}, ["temperature", "top_p", "top_k"]),
        (NEW, False, {"temperature": 1.0}, {"temperature": 1.0}, []),
        (OTHER, False, {"temperature": 0.3}, {"temperature": 0.3}, []),
    ],
)
def test_sampling_is_said_as_the_model_takes_it(model: str, thinks: bool, fields: dict[str, float], said: object, lost: list[str]) -> None:
    losses: list[Loss] = []
    ask = Ask(model="m", turns=(), temperature=fields.get("temperature"), top_p=fields.get("top_p"), top_k=fields.get("top_k"))  # type: ignore[arg-type]
    assert sample(ask, model, thinks, losses) == said
    assert [loss.path for loss in losses] == lost


def test_a_loss_of_temperature_has_both_figures() -> None:
    losses: list[Loss] = []
    sample(Ask(model="m", turns=(), temperature=1.7), OLD, False, losses)
    assert "1.7" in losses[0].reason and "1" in losses[0].reason


ASKED, RESULTS = ("user", [{"type": "text"}]), ("user", [{"type": "tool_result"}])
CALLED, THOUGHT = ("assistant", [{"type": "tool_use"}]), ("assistant", [{"type": "thinking"}, {"type": "tool_use"}])


@pytest.mark.parametrize(
    "messages, began",
    [
        ([ASKED], True),
        ([ASKED, THOUGHT, RESULTS], True),
        ([ASKED, THOUGHT, RESULTS, CALLED, RESULTS], True),  # between two calls it need not think
        ([ASKED, CALLED, RESULTS], False),
        ([ASKED, CALLED, RESULTS, THOUGHT, RESULTS], False),
        ([ASKED, CALLED, RESULTS, ASKED], True),
        ([ASKED, ("assistant", [msgspec.Raw(b"{}")]), ("system", [{"type": "text"}]), RESULTS], False),
    ],
)
def test_a_turn_that_goes_on_began_with_a_thought_or_not(messages: list[Message], began: bool) -> None:
    assert began_with_a_thought(messages) is began
