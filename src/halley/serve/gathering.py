"""A stream that nobody asked for, as the whole answer that was: some providers stream whatever is asked, and no SDK reads events there.

Between two dialects the bridge of the request reads it; within one this does. A stream that fails or was cut is no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halley.chat import seals
from halley.chat.doors import Asked, Written
from halley.dialects.bridge import Unreadable, gathered
from halley.errors import Refused
from halley.serve.crossing import is_small

if TYPE_CHECKING:
    from halley.serve.relay import Run

# Reading takes some microseconds for each frame, on the relay's loop: more than any answer of a model is left as it is.
MOST_BYTES = 4 << 20


def whole(run: Run, body: bytes) -> bytes | None:
    """What the client gets; None where there is no whole answer in it."""
    if len(body) > MOST_BYTES:
        return None
    try:
        return run.passage.gathered(run, body)
    except (Unreadable, Refused):
        return None


def straight(run: Run, body: bytes) -> Written:
    """A whole answer of the client's own dialect, and what of the stream it does not say. Raises Unreadable, and Refused at a request that
    cannot be read."""
    dialect = run.passage.spoken
    if dialect.history is not None and (reply := dialect.history.last(body)) is not None:
        return Written(reply.body)  # with the provider's own id, by which its callers go on
    doors = dialect.doors
    if doors is None or not is_small(run.request.body):
        raise Unreadable("a stream in place of a whole answer")
    id = run.id.removeprefix("req_")
    answer = gathered(doors, body, seals.origin(doors.name, ""), id)
    asked = Asked(doors.read_ask(run.request.body), answer.model or run.seen.model, id, int(run.gateway.wall()))
    written = doors.write_answer(answer, asked)
    return Written(written.body, (*answer.losses, *written.losses))
