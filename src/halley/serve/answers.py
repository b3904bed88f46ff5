"""What a whole answer of an upstream means: what the client gets, how it is settled, and whether another offer should be asked first.

Bodies of the same dialect pass as they came, errors in the provider's own words; only what no client of the dialect could read is replaced.
A status is judged by its number, never by searching its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from halley.chat.usage import Usage
from halley.dialects.bridge import Unreadable
from halley.errors import Condition, Refused
from halley.policy.settlement import COMPLETE, FAILED, UNREPORTED, UNUSABLE, Ending
from halley.serve import faults, gathering
from halley.serve.echo import LONGEST

if TYPE_CHECKING:
    from halley.net.client import Call
    from halley.serve.relay import Run

STREAM_FIELDS = b"cache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"

Answer = tuple[int, bytes, bytes]
_UNFIT = re.compile(rb"[^\x20-\x7e]")
LONGEST_LIST = 2000  # bytes of a header's value that every client takes

# Another offer may do better at these; all others are the caller's own fault or nobody's.
_RETRYABLE = frozenset({429, 500, 502, 503, 504, 529})
# The upstream refused what the operator configured, which the caller can neither see nor mend.
_REFUSED_CREDENTIAL = frozenset({401, 402})


_ENDLESS = "The provider answered with an error that is too long to be passed on."


JSON = b"application/json"
UPSTREAM_IDS = frozenset({b"x-request-id", b"request-id"})  # where upstreams say how they call a request


def read_fields(run: Run, call: Call) -> None:
    """What the client gets of the provider's head, and how the provider calls the request."""
    theirs = b""
    passing = run.route.dialect.reply_fields
    for name, value in run.offer.host.echo.fields(call):
        if name in UPSTREAM_IDS:
            run.upstream_id = value
        elif name in passing:
            theirs += b"%b: %b\r\n" % (name, value)
    run.theirs = theirs


class Judged(msgspec.Struct, frozen=True):
    """`answer` is status, fields, body. `blame` counts against the offer's health; `again` lets another offer try first."""

    answer: Answer
    ending: Ending
    reported: Usage | None = None
    output_bytes: int = 0
    blame: bool = False
    again: bool = False


def judge(run: Run, status: int, body: bytes) -> Judged:
    return _answered(run, status, body) if 200 <= status < 300 else _refused(run, status, body)


def _answered(run: Run, status: int, body: bytes) -> Judged:
    dialect = run.passage.spoken
    whole = dialect.read_whole(body)
    if whole is None:
        # It may be a stream that nobody asked for, which says the answer too; if not, its usage still says what the operator pays.
        meter = dialect.meter(run.seen, strip=False)
        meter.feed(body)
        said = gathering.whole(run, run.offer.host.echo.cut(body)) if meter.finished and not run.seen.stream else None
        if said is not None:
            return Judged((status, head(run, JSON), said), COMPLETE if meter.usage else UNREPORTED, meter.usage, meter.delivered_bytes)
        wanted = "stream" if run.seen.stream else "JSON object"
        answer = refuse(run, f'The provider "{run.offer.host.name}" sent something else than the {wanted} that was asked for.')
        return Judged(answer, UNUSABLE, meter.usage, meter.delivered_bytes, blame=True)
    echo = run.offer.host.echo
    if not whole.answered:
        return Judged(_error(run, status, body) if len(body) <= LONGEST else refuse(run, _ENDLESS), FAILED)
    body = echo.cut(body)
    try:
        said = run.passage.whole(body)
        answer = (status, head(run, JSON), said)  # what was lost is known when it has been said
    except Unreadable:
        answer = refuse(run, f'The provider "{run.offer.host.name}" sent an answer that is none in its dialect.')
        return Judged(answer, UNUSABLE, whole.usage, dialect.content_bytes(body), blame=True)
    if run.seen.stream:
        # An SDK that waits for a stream reads this as an empty one, without an error.
        answer = refuse(run, f'The provider "{run.offer.host.name}" sent a whole answer instead of the stream that was asked for.')
        return Judged(answer, UNUSABLE, whole.usage, dialect.content_bytes(body), blame=True)
    if whole.usage is None:
        return Judged(answer, UNREPORTED, None, dialect.content_bytes(body))
    return Judged(answer, COMPLETE, whole.usage)


def _refused(run: Run, status: int, body: bytes) -> Judged:
    host = run.offer.host
    if status in _REFUSED_CREDENTIAL:
        answer = refuse(run, f'The provider "{host.name}" refused the credential that Halley is configured with.')
        return Judged(answer, FAILED, blame=True, again=True)
    if status >= 400 and len(body) <= LONGEST and run.passage.spoken.is_error(body):
        answer = _error(run, status, body)
    else:
        answer = refuse(run, f'The provider "{host.name}" answered with status {status} and something that is no error object.')
    return Judged(answer, FAILED, blame=status >= 500, again=status in _RETRYABLE)


def _error(run: Run, status: int, body: bytes) -> Answer:
    """The provider's own words, or what they mean in the client's dialect."""
    return run.passage.error(run, status, head(run, JSON), run.offer.host.echo.clean(body))


def head(run: Run, kind: bytes) -> bytes:
    """The fields of the client's head: what the body is known to be, the upstream's allowed fields, then our own."""
    identity = faults.identity(run.route.dialect, run.sent_id)
    fields = b"content-type: %b\r\n%b%b%d\r\n%b" % (kind, run.theirs, run.offer.fields, run.attempts, identity)
    lost = losses(run)
    if lost:
        fields += b"x-halley-lost: %b\r\n" % _UNFIT.sub(b"?", ", ".join(lost).encode("ascii", "replace")[:LONGEST_LIST])
    if run.route.canonical is not None:
        fields += b'link: <%b>; rel="canonical"\r\n' % run.route.canonical
    return fields


def stream_head(run: Run) -> bytes:
    return head(run, run.passage.kind) + STREAM_FIELDS


def losses(run: Run) -> tuple[str, ...]:
    """What of the request the provider was not told, or told otherwise; of a whole answer also what the client is not told."""
    declared = (f"max_tokens={run.sent_cap}",) if run.sent_cap is not None else ()
    if not run.attempts or not run.passage.losses:
        return declared
    return (*declared, *dict.fromkeys(loss.path for loss in run.passage.losses))


def refuse(run: Run, message: str, condition: Condition = Condition.UPSTREAM, retry_after_s: float | None = None) -> Answer:
    return faults.answer(Refused(condition, message, retry_after_s=retry_after_s), run.route.dialect.write_error, run.id)


def retry_after(fields: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Seconds an upstream asked to wait; None when it did not, or gave a date."""
    for name, value in fields:
        if name == b"retry-after" and value.isdigit():
            return float(value)
    return None
