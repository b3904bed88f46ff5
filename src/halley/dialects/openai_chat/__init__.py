"""OpenAI Chat Completions on the wire: what a request asks for, what an answer used, how an error looks.

The stream's grammar, frame by frame (`data: {…chunk…}`, blank line between):

    role chunk · content, reasoning and tool-call chunks · finish chunk (finish_reason set) · usage chunk (choices empty, only if asked) ·
    [DONE]

A broken stream has `data: {"error": …}` instead of its end and no [DONE]. In the same dialect bytes pass as they are; only the meter reads
along.
"""

from __future__ import annotations

from halley.dialects.openai_chat.errors import is_error, write_error, write_error_event
from halley.dialects.openai_chat.reply import content_bytes, read_whole
from halley.dialects.openai_chat.request import address, meter, outbound, peek

__all__ = ["address", "content_bytes", "is_error", "meter", "outbound", "peek", "read_whole", "write_error", "write_error_event"]
