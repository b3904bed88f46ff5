"""What answers of this dialect have that crosses into no other, and is no loss: the one table, by place, with the reason.

Streams and whole answers alike. Hosts beside OpenAI add what is known of them here (2026-11).
"""

from __future__ import annotations

from typing import Final

_KIND: Final = "what kind of thing it is, which the fields beside it say"
_WHOLE: Final = "that a thought has been said to its end, which what follows it says"
_ROLE: Final = "an answer is always the assistant's"
_ITS_PLACE: Final = "where it stands, which its order says"
_SUM: Final = "a sum of what is told"
_REST: Final = "what a sum leaves over, both of which are told"
_GUESSED: Final = "of an expected output, which no other dialect takes: the request was told so"
_COST: Final = "what the provider takes of the gateway's operator"
_TIME: Final = "how long the provider took"
_SAID_AGAIN: Final = "said again in the details"
_HELD_TILL: Final = "how long the provider keeps the sound, which it alone can find again"

LEFT_OUT: Final[dict[str, str]] = {
    "object": _KIND,
    "system_fingerprint": "which build of the provider it was: it means nothing elsewhere",
    "obfuscation": "padding that hides how long a piece is from who listens on the line",
    "provider": "which host a host of hosts chose; the field `x-halley-provider` says whom the gateway chose",
    "x_groq": "the provider's own id and times",
    "choices[].index": _ITS_PLACE,
    "choices[].native_finish_reason": "the host's own word for `finish_reason`",
    "choices[].message.role": _ROLE,
    "choices[].message.audio.expires_at": _HELD_TILL,
    "choices[].message.images[].type": _KIND,
    "choices[].message.images[].index": _ITS_PLACE,
    "choices[].message.tool_calls[].type": _KIND,
    "choices[].message.content[].type": _KIND,
    "choices[].message.content[].closed": _WHOLE,
    "choices[].message.content[].thinking[].type": _KIND,
    "choices[].delta.role": _ROLE,
    "choices[].delta.content[].type": _KIND,
    "choices[].delta.content[].closed": _WHOLE,
    "choices[].delta.content[].thinking[].type": _KIND,
    "choices[].delta.audio.expires_at": _HELD_TILL,
    "choices[].delta.images[].type": _KIND,
    "choices[].delta.images[].index": _ITS_PLACE,
    "choices[].delta.tool_calls[].type": _KIND,
    "usage.total_tokens": _SUM,
    "usage.prompt_tokens_details.text_tokens": _REST,
    "usage.completion_tokens_details.text_tokens": _REST,
    "usage.completion_tokens_details.accepted_prediction_tokens": _GUESSED,
    "usage.completion_tokens_details.rejected_prediction_tokens": _GUESSED,
    "usage.prompt_cache_hit_tokens": _SAID_AGAIN,
    "usage.prompt_cache_miss_tokens": _SAID_AGAIN,
    "usage.cost": _COST,
    "usage.cost_details": _COST,
    "usage.cost_in_usd_ticks": _COST,
    "usage.is_byok": _COST,
    "usage.queue_time": _TIME,
    "usage.prompt_time": _TIME,
    "usage.completion_time": _TIME,
    "usage.total_time": _TIME,
}

PASSED_OVER: Final[dict[str, str]] = {}
"""Events of a stream that say nothing of the answer; its events have no names."""
