"""Anthropic Messages: what a client of it sends, what a provider of it answers, and how either is said in the vocabulary of `chat`."""

from __future__ import annotations

from halley.chat.doors import Doors
from halley.dialects.anthropic.answers import read_answer, read_count, write_answer
from halley.dialects.anthropic.ask_in import read_ask, read_count_ask
from halley.dialects.anthropic.ask_out import write_ask, write_count
from halley.dialects.anthropic.errors import is_error, read_error, write_error, write_error_event
from halley.dialects.anthropic.left_out import LEFT_OUT, PASSED_OVER
from halley.dialects.anthropic.meter import content_bytes, read_whole
from halley.dialects.anthropic.published import MESSAGES
from halley.dialects.anthropic.request import check_version, meter, outbound, peek
from halley.dialects.anthropic.sealing import NAME
from halley.dialects.anthropic.stream_in import read_stream
from halley.dialects.anthropic.stream_out import write_stream

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
        "stop": "stop_sequences",
        "choice": "tool_choice",
        "choice.parallel": "tool_choice.disable_parallel_tool_use",
        "format": "output_config.format",
        "reasoning": "thinking",
        "reasoning.budget": "thinking.budget_tokens",
        "reasoning.show": "thinking.display",
        "end_user": "metadata.user_id",
        "cache": "cache_control",
    },
)

HEARTBEAT = b'event: ping\ndata: {"type": "ping"}\n\n'

__all__ = [
    "DOORS",
    "HEARTBEAT",
    "LEFT_OUT",
    "MESSAGES",
    "PASSED_OVER",
    "check_version",
    "content_bytes",
    "is_error",
    "meter",
    "outbound",
    "peek",
    "read_count",
    "read_count_ask",
    "read_whole",
    "write_count",
    "write_error",
    "write_error_event",
]
