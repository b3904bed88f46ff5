"""Heartbeats: who waits for a stream and hears nothing for a while is told that the request is alive, or proxies in between would cut it
(nginx and AWS after 60 seconds of silence, Cloudflare after 125).

In the dialect's own form and between two events only; what some of a dialect's clients fail on is not sent. A heartbeat is no output: it is
not metered, it holds up no deadline of the provider's, and it does not count as the first byte. But it opens the client's stream, so that
from the first one on no other offer is tried, and an error is the stream's last event.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from halley.chat.doors import ProviderError
from halley.serve import answers
from halley.serve.answers import Answer
from halley.serve.crossing import refusal
from halley.serve.stages import HEAD, STREAM

if TYPE_CHECKING:
    from halley.serve.relay import Run


class Heartbeats:
    """Looks over the open requests once a second; nothing is noted when bytes leave. `silence_s`: how long a client hears nothing at most,
    give or take a second."""

    def __init__(self, runs: Set[Run], silence_s: float) -> None:
        self._runs = runs
        self._rounded_s = silence_s - 0.5  # the clock's seconds are not quite a second apart
        # What the connection of each had been sent, and since when no more.
        self._heard: dict[Run, tuple[int, float]] = {}

    def each_second(self, now: float) -> None:
        before, self._heard = self._heard, {}
        due: list[Run] = []
        for run in self._runs:
            connection = run.connection
            if connection is None or not run.seen.stream or not run.route.dialect.heartbeat:
                continue
            heard = before.get(run)
            # Who does not take what is there hears nothing new from more of it.
            if heard is None or heard[0] != connection.sent or connection.slow:
                self._heard[run] = (connection.sent, now)
            elif now - heard[1] < self._rounded_s:
                self._heard[run] = heard
            else:
                due.append(run)
        for run in due:
            run.beat()
            if run.connection is not None:
                self._heard[run] = (run.connection.sent, now)


def beat(run: Run) -> None:
    connection = run.connection
    if connection is None or run.stage not in (HEAD, STREAM) or not run.attempts:
        return
    data = run.route.dialect.heartbeat
    if run.headed:
        connection.send(data)
    else:
        run.headed = True
        connection.begin(200, answers.stream_head(run), data)


def last(run: Run, answer: Answer) -> bytes:
    """What ends a stream that began with a heartbeat: the error that would have been the answer."""
    status, _, body = answer
    doors = run.route.dialect.doors
    error = ProviderError(status, f"The request failed with status {status}.") if doors is None else doors.read_error(status, body)
    if not run.metered:
        run.passage.begin(run)
    return run.passage.end(run, refusal(error))
