"""Gemini generateContent on the wire: eight doors, and what a body needs that passes as it is.

Reading and writing of asks, answers and streams stand in a module each; `answer` and `sources` hold what is the same in both directions,
`request` and `reply` have what the relay needs where both sides speak this dialect. The model's name and whether the answer is streamed are
in the path, never in the body. Embeddings and counting of tokens have their own modules.
"""

from __future__ import annotations

from halley.chat.doors import Doors
from halley.dialects.gemini.array import Elements, framing
from halley.dialects.gemini.errors import is_error, write_error, write_error_event
from halley.dialects.gemini.left_out import LEFT_OUT, PASSED_OVER
from halley.dialects.gemini.published import GENERATE
from halley.dialects.gemini.read_answer import read_answer, read_error
from halley.dialects.gemini.read_ask import SPELLING, read_ask
from halley.dialects.gemini.read_stream import read_stream
from halley.dialects.gemini.reply import content_bytes, meter, read_whole
from halley.dialects.gemini.request import outbound, peek
from halley.dialects.gemini.write_answer import write_answer
from halley.dialects.gemini.write_ask import write_ask
from halley.dialects.gemini.write_stream import write_stream

DOORS = Doors(
    "gemini",
    read_ask,
    write_ask,
    read_answer,
    write_answer,
    read_stream,
    write_stream,
    read_error,
    write_error,
    SPELLING,
)

__all__ = [
    "DOORS",
    "GENERATE",
    "LEFT_OUT",
    "PASSED_OVER",
    "Elements",
    "content_bytes",
    "framing",
    "is_error",
    "meter",
    "outbound",
    "peek",
    "read_whole",
    "write_error",
    "write_error_event",
]
