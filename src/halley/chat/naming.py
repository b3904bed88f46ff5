"""Names of tools that fit every dialect, and the way back by the tools that were offered: `namespace__name` where a dialect has no
namespaces, and another name for one that a dialect would refuse (`mcp.read`, or more than 64 characters).

Never parses a name: what a model calls is looked up among the tools of the ask, so that a tool named `a__b` stays itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from msgspec.structs import replace

from halley.chat.model import Ask, FreeTool, Function, Part, Tool, ToolCall, ToolResult

LONGEST = 64  # of a tool's name in every dialect
_DIGEST = 8
# OpenAI and Anthropic take no dot and no colon, Gemini no digit in front; Anthropic takes 128 characters and Gemini dots.
_FITS = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}").fullmatch
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")


def fit(name: str) -> str:
    """A name that fits stays itself; any other ends in a digest of the whole."""
    if _FITS(name) is not None:
        return name
    made = _UNFIT.sub("_", name)
    if _FITS(made[:1]) is None:
        made = f"_{made}"
    return f"{made[: LONGEST - _DIGEST - 1]}_{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGEST]}"


def flat(name: str, namespace: str | None) -> str:
    """One name for both, which fits; a name without a namespace as it is."""
    return name if namespace is None else fit(f"{namespace}__{name}")


def named(tools: Iterable[Tool]) -> dict[str, Function | FreeTool]:
    """The tools that a model calls, by their flat names."""
    return {flat(tool.name, tool.namespace): tool for tool in tools if isinstance(tool, Function | FreeTool)}


def fitted(ask: Ask) -> Ask:
    """With names of tools that every dialect takes. Namespaces stay, for who has them."""
    names = {tool.name for tool in ask.tools if isinstance(tool, Function | FreeTool)}
    names |= {part.name for turn in ask.turns for part in turn.parts if isinstance(part, ToolCall)}
    if all(_FITS(name) is not None for name in names):
        return ask
    tools = tuple(replace(tool, name=fit(tool.name)) if isinstance(tool, Function | FreeTool) else tool for tool in ask.tools)
    turns = tuple(replace(turn, parts=tuple(map(_fitted, turn.parts))) for turn in ask.turns)
    choice = ask.choice and replace(ask.choice, names=tuple(map(fit, ask.choice.names)))
    return replace(ask, tools=tools, turns=turns, choice=choice)


def _fitted(part: Part) -> Part:
    match part:
        case ToolCall(name=name) | ToolResult(name=str(name)):
            return replace(part, name=fit(name))
        case _:
            return part
