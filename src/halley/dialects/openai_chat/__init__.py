"""OpenAI Chat Completions on the wire: what a request asks for, what an answer used, how an error looks.

The stream's grammar, frame by frame (`data: {…chunk…}`, blank line between):

    role chunk · content, reasoning and tool-call chunks · finish chunk (finish_reason set) · usage chunk (choices empty, only if asked) ·
    [DONE]

A broken stream has `data: {"error": …}` instead of its end and no [DONE]. In the same dialect bytes pass as they are; only the meter reads
along.
"""

from __future__ import annotations

from halley.chat.doors import Doors
from halley.dialects.openai_chat.errors import is_error, write_error, write_error_event
from halley.dialects.openai_chat.left_out import LEFT_OUT, PASSED_OVER
from halley.dialects.openai_chat.media import NAME
from halley.dialects.openai_chat.published import CHAT
from halley.dialects.openai_chat.read_answer import read_answer, read_error
from halley.dialects.openai_chat.read_ask import read_ask
from halley.dialects.openai_chat.read_stream import read_stream
from halley.dialects.openai_chat.reply import content_bytes, read_whole
from halley.dialects.openai_chat.request import meter, outbound, peek
from halley.dialects.openai_chat.write_answer import write_answer
from halley.dialects.openai_chat.write_ask import write_ask
from halley.dialects.openai_chat.write_stream import write_stream

DOORS = Doors(
    NAME,
    read_ask,
    write_ask,
    read_answer,
    write_answer,
    read_stream,
    write_stream,
    read_error,
    write_error,
    spelling={
        "turns": "messages",
        "max_output": "max_tokens",
        "format": "response_format",
        "reasoning": "reasoning_effort",
        "reasoning.budget": "reasoning.max_tokens",
        "reasoning.show": "reasoning.exclude",
        "choice": "tool_choice",
        "choice.parallel": "parallel_tool_calls",
        "voice": "audio",
        "end_user": "user",
        "cache_key": "prompt_cache_key",
        "cache": "cache_control",
        "logprobs": "logprobs",
    },
)

__all__ = [
    "CHAT",
    "DOORS",
    "LEFT_OUT",
    "PASSED_OVER",
    "content_bytes",
    "is_error",
    "meter",
    "outbound",
    "peek",
    "read_whole",
    "write_error",
    "write_error_event",
]
