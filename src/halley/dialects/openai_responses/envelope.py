"""The response object as a client gets it, and its output items: every field that OpenAI marks required or a client was seen to need.

The settings of the ask are echoed, absent ones as what OpenAI would have taken for them. `clients.md` of the facts: AI SDK demands
`annotations`, `usage`, `created_at`, ids and `status`; the Open Responses suite `strict` on every function, null allowed (2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence

from halley.chat import untold
from halley.chat.doors import Asked
from halley.chat.model import Ask, Finish, Loss, Seal, Text
from halley.chat.usage import Usage
from halley.dialects.openai_responses import keeping
from halley.dialects.openai_responses.fields import DIALECT
from halley.dialects.openai_responses.tools import write_choice, write_tools
from halley.dialects.openai_responses.write_ask import write_format, write_reasoning
from halley.errors import Refused

_ECHOED = ("previous_response_id", "truncation", "max_tool_calls", "prompt", "conversation", "background")
_USAGE_SAID = frozenset({"cache_read", "cache_write_5m", "reasoning"})
# What failed has its explanation as the error's message, a refusal as its words.
ENDS = untold.Ends(frozenset({"stop", "length", "tool", "filter", "refusal", "bad_call"}), frozenset({"refusal", "bad_call"}))
_FILTERED = {"filter": "content_filter", "refusal": "content_filter", "length": "max_output_tokens", "context": "max_output_tokens"}


def reply_id(asked: Asked) -> str:
    return f"resp_{asked.id}"


class Envelope:
    """What stands around the output, the same at the beginning and at the end."""

    __slots__ = ("_echo", "_id", "_tier")

    def __init__(self, asked: Asked) -> None:
        self._id = reply_id(asked)
        self._echo = {"created_at": asked.created, **_echo(asked.ask), "model": asked.model}
        if asked.previous is not None:
            self._echo["previous_response_id"] = asked.previous
        self._tier = asked.ask.service_tier

    def reply(
        self,
        status: str,
        output: Sequence[object] = (),
        usage: dict[str, object] | None = None,
        error: dict[str, str] | None = None,
        incomplete: str | None = None,
        tier: str | None = None,
    ) -> dict[str, object]:
        return {
            "id": self._id,
            "object": "response",
            "status": status,
            "completed_at": None,  # a codec has no clock
            "error": error,
            "incomplete_details": None if incomplete is None else {"reason": incomplete},
            **self._echo,
            "output": output,
            "service_tier": tier or self._tier or "default",
            "usage": usage,
        }


def _echo(ask: Ask) -> dict[str, object]:
    lost: list[Loss] = []  # the ask is the client's own: what cannot be echoed is no loss to it
    first = ask.turns[0] if ask.turns else None
    instructions = None
    if first is not None and first.at == "instructions" and isinstance(first.parts[0], Text):
        instructions = first.parts[0].text
    try:
        tools = write_tools(ask.tools, ask.extras, lost, strict=None)
    except Refused:  # an ask that was not read in this dialect
        tools = []
    choice = ask.choice
    thinking = write_reasoning(ask.reasoning, lost)
    echo: dict[str, object] = {
        "background": False,
        "frequency_penalty": 0.0,  # a request of this dialect has neither penalty, and every response both
        "instructions": instructions,
        "max_output_tokens": ask.max_output,
        "max_tool_calls": None,
        "metadata": ask.metadata or {},
        "parallel_tool_calls": choice is None or choice.parallel is not False,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": ask.cache_key,
        "reasoning": {"effort": thinking.get("effort"), "summary": thinking.get("summary")},
        "safety_identifier": None,
        "store": ask.store is not False,
        "temperature": 1.0 if ask.temperature is None else ask.temperature,
        "text": {"format": write_format(ask.format), "verbosity": ask.verbosity or "medium"},
        "tool_choice": "auto" if choice is None else write_choice(choice, ask.tools),
        "tools": tools,
        "top_logprobs": ask.logprobs or 0,
        "top_p": 1.0 if ask.top_p is None else ask.top_p,
        "truncation": "disabled",
        "user": ask.end_user,
    }
    echo.update({extra.at: extra.raw for extra in ask.extras if extra.dialect == DIALECT and extra.at in (*_ECHOED, "tool_choice")})
    return echo


# ---- the end ----------------------------------------------------------------------------------------------------------------------------


def ending(finish: Finish, refused: bool) -> tuple[str, str | None]:
    """Status, and why the answer is incomplete. A refusal in words is a whole answer; one without is a filter's."""
    if finish.reason == "bad_call":
        return "failed", None
    why = None if finish.reason == "refusal" and refused else _FILTERED.get(finish.reason)
    return ("completed" if why is None else "incomplete"), why


def usage_said(usage: Usage | None, losses: list[Loss]) -> dict[str, object]:
    """AI SDK takes no answer without usage; where none was reported, zeros stand and the loss says so."""
    if usage is None:
        losses.append(Loss("usage", "the provider did not report what was used"))
        usage = Usage()
    losses += untold.of_usage(usage, _USAGE_SAID)
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


# ---- output items -----------------------------------------------------------------------------------------------------------------------


def message(id: str, content: Sequence[object], status: str) -> dict[str, object]:
    return {"id": id, "type": "message", "status": status, "role": "assistant", "content": content}


def reasoning(id: str, summary: Sequence[object], seal: Seal | None, clings: keeping.Clings) -> dict[str, object]:
    kept = None if seal is None else keeping.written(seal, clings)
    return {"id": id, "type": "reasoning", "summary": summary, "encrypted_content": kept}
