"""OpenAI's rule for answers of any JSON: the conversation must name it ("'messages' must contain the word 'json'"), or it is refused.

Other dialects have no such rule, so that their callers need not know it.
"""

from __future__ import annotations

from msgspec.structs import replace

from halley.chat.model import Ask, Loss, Text, ToolResult, Turn

_SENTENCE = "Answer with one JSON object."


def worded(ask: Ask, losses: list[Loss]) -> Ask:
    """The ask with a sentence behind its system prompt, where it wants any JSON and nothing in it says so."""
    if ask.format is None or ask.format.kind != "json" or any(_names_json(turn) for turn in ask.turns):
        return ask
    losses.append(Loss("format", "any JSON is asked for in a sentence too, which this provider demands"))
    place = next((place for place, turn in enumerate(ask.turns) if turn.role not in ("system", "developer")), len(ask.turns))
    return replace(ask, turns=(*ask.turns[:place], Turn("system", (Text(_SENTENCE),)), *ask.turns[place:]))


def _names_json(turn: Turn) -> bool:
    parts = [inner for part in turn.parts for inner in (part.parts if isinstance(part, ToolResult) else (part,))]
    return any("json" in part.text.lower() for part in parts if isinstance(part, Text))
