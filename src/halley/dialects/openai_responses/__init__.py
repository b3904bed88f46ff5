"""OpenAI Responses on the wire: the eight doors of the dialect, and its words for the fields of an ask.

State (`previous_response_id`) is not kept here; whoever keeps it puts the earlier items in front (`history`).
"""

from __future__ import annotations

from halley.chat.doors import Doors
from halley.dialects.openai_responses.fields import DIALECT
from halley.dialects.openai_responses.history import HISTORY
from halley.dialects.openai_responses.left_out import LEFT_OUT, PASSED_OVER
from halley.dialects.openai_responses.metering import content_bytes, read_whole
from halley.dialects.openai_responses.passing import meter, outbound, peek
from halley.dialects.openai_responses.published import RESPONSES
from halley.dialects.openai_responses.read_answer import read_answer
from halley.dialects.openai_responses.read_ask import read_ask
from halley.dialects.openai_responses.read_stream import read_stream
from halley.dialects.openai_responses.refusals import is_error, read_error, write_error, write_error_event
from halley.dialects.openai_responses.write_answer import write_answer
from halley.dialects.openai_responses.write_ask import write_ask
from halley.dialects.openai_responses.write_stream import write_stream

SPELLING = {
    "turns": "input",
    "choice": "tool_choice",
    "choice.parallel": "parallel_tool_calls",
    "parallel": "parallel_tool_calls",
    "format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning.show": "reasoning.summary",
    "max_output": "max_output_tokens",
    "logprobs": "top_logprobs",
    "end_user": "user",
    "cache_key": "prompt_cache_key",
}

DOORS = Doors(DIALECT, read_ask, write_ask, read_answer, write_answer, read_stream, write_stream, read_error, write_error, SPELLING)

__all__ = [
    "DOORS",
    "HISTORY",
    "LEFT_OUT",
    "PASSED_OVER",
    "RESPONSES",
    "content_bytes",
    "is_error",
    "meter",
    "outbound",
    "peek",
    "read_whole",
    "write_error",
    "write_error_event",
]
