"""THE loop: one request on its way through, from admission to its one ending. Every exchange runs here.

    begin → (wait for credit) → start journalled → attempt → upstream head → stream | whole answer → end journalled → client

Nothing goes upstream before the start record is written; nothing final goes to the client before the end record is. Until a byte of an
answer has left for the client another offer may be tried; after it, a broken stream ends with the dialect's own error event. Each step is
a method called by the event loop: no task, future or timer belongs to a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from halley.errors import Condition, Refused
from halley.policy import routing
from halley.policy.settlement import BROKE, COMPLETE, FAILED, UNREPORTED, UNUSABLE, WHOLE_ENDINGS, Ending, read_on
from halley.serve import answers, estimates, faults, heartbeats, keeping, leaving, settle
from halley.serve.admit import AFTER_READING, UNTIL_READ, passes
from halley.serve.answers import Answer, Judged
from halley.serve.crossing import EVENT_STREAM
from halley.serve.faults import shield
from halley.serve.hold import Hold
from halley.serve.passage import Passage, passage
from halley.serve.routes import Route
from halley.serve.stages import ADMISSION, CREDIT, ENDING, HEAD, OVER, STARTING, STREAM, WHOLE

if TYPE_CHECKING:
    from halley.chat.meter import Meter
    from halley.chat.model import Ask
    from halley.chat.peek import Peek
    from halley.chat.usage import Usage
    from halley.net.client import Call, Fault
    from halley.net.server import Connection, Request
    from halley.serve.doorways import Calling
    from halley.serve.gateway import Gateway
    from halley.serve.keeping import Recalled
    from halley.serve.tables import Account, Caller, Model, Offer
    from halley.store.messages import Answers

PROGRESS_S = 5.0
PROGRESS_FRAMES = 1000


class Run:
    """One request. Attributes without a default are set by the admission check that finds them."""

    # fmt: off
    __slots__ = (
        "account", "admitted", "answer", "ask", "attempts", "bytes_out", "call", "caller", "candidates", "connection", "final",
        "first", "gateway", "headed", "hold", "id", "input_guess", "limited", "meter", "metered", "model", "noted_at", "noted_frames",
        "offer", "offers", "parts", "passage", "recalled", "received", "request", "route", "seen", "sent_cap", "sent_id", "stage", "theirs",
        "token_guess", "upstream_id", "waits_until", "wasted",
    )
    # fmt: on

    caller: Caller
    account: Account
    seen: Peek
    model: Model
    offer: Offer
    offers: tuple[Offer, ...]
    passage: Passage
    meter: Meter
    candidates: Iterator[Offer]
    input_guess: int
    token_guess: int
    hold: Hold
    waits_until: float

    def __init__(self, gateway: Gateway, request: Request, route: Route) -> None:
        self.gateway = gateway
        self.request = request
        self.route = route
        self.connection: Connection | None = request.connection
        self.id = gateway.new_id()
        self.sent_id = self.id.encode()
        self.stage = ADMISSION
        self.call: Calling | None = None
        self.sent_cap: int | None = None
        self.parts: list[bytes] | None = None  # of a whole answer that comes in several reads
        self.theirs = b""  # the upstream's fields that the client gets, rendered
        self.limited = self.headed = self.metered = False
        self.attempts = self.received = self.bytes_out = self.noted_frames = self.wasted = 0
        self.admitted = self.first = self.noted_at = 0.0
        self.recalled: Recalled | None = None
        self.ask: Ask | None = None  # the request's meaning, once it had to be read for another dialect
        self.upstream_id: bytes | None = None
        self.final = b""  # what follows the end record: the last bytes of a stream, or a whole answer
        self.answer: Answer | None = None

    # ---- admission ----------------------------------------------------------------------------------------------------------------

    @shield
    def begin(self) -> None:
        self.request.connection.owner = self
        if passes(self, UNTIL_READ):
            self.admit()

    def admit(self) -> None:
        """The body was read. What goes on from an earlier answer waits for that."""
        if self.seen.previous is not None or self.seen.named:
            keeping.recall(self)
        elif passes(self, AFTER_READING):
            self.reserve()

    @shield
    def told(self, found: Answers) -> None:
        self.stage = ADMISSION
        try:
            if not (keeping.told(self, found) and self.gateway.reads_apart(self)):
                self.admit()
        except Refused as refusal:
            self.refused(refusal)

    @shield
    def was_read(self, seen: Peek | Refused) -> None:
        """A large body was read elsewhere."""
        if self.connection is None:
            return  # nobody waits for it any more; nothing was taken yet
        if isinstance(seen, Refused):
            self.refused(seen)
        else:
            self.seen = seen
            self.admit()

    def reserve(self) -> None:
        """Take the hold, and start; or wait for credit."""
        if self.route.dialect.estimate is not None and estimates.answered(self):
            return
        if self.hold.take():
            self._start()
        else:
            self.stage = CREDIT
            self.gateway.credit.wait(self)

    def credited(self) -> bool:
        """New credit has come: take the hold if it is enough."""
        if not self.hold.take():
            return False
        self._start()
        return True

    def made_do(self) -> bool:
        """No more credit will come: without a cap in the request, take as much output as there is credit for."""
        if not self.hold.take_less():
            return False
        self.sent_cap = self.hold.cap
        self._start()
        return True

    def refused(self, refusal: Refused) -> None:
        """Not admitted: no record, no hold, no trace but a counter."""
        answer = faults.answer(refusal, self.route.dialect.write_error, self.id)
        self.gateway.count_refusal(answer[0])
        self.dismiss(answer)

    def dismiss(self, answer: Answer | None = None) -> None:
        """The end of a request of which nothing is recorded; without an answer if nobody is there to hear one."""
        if self.limited:
            self.caller.limits.give_back(self.token_guess, 0, self.gateway.clock.now)
            self.limited = False
        self.stage = OVER
        connection, self.connection = self.connection, None
        if connection is not None and answer is not None:
            connection.owner = None
            connection.answer(*answer)

    # ---- towards the upstream -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.stage = STARTING
        self.gateway.runs.add(self)
        self.gateway.journal.append(settle.start(self), self.started)

    @shield
    def started(self, written: bool) -> None:
        """The start record is with the kernel: money may be spent."""
        self.admitted = self.noted_at = self.gateway.monotonic()
        if not written:
            self.gateway.runs.discard(self)
            self.hold.end(0)
            self.refused(Refused(Condition.OVERLOADED, "The journal cannot be written; nothing was sent.", retry_after_s=5.0))
        elif self.connection is None:
            self.conclude(FAILED, 499)
        else:
            gateway = self.gateway
            self.candidates = routing.candidates(self.offers, gateway.clock.now, gateway.roll)
            self._attempt(next(self.candidates))

    def _attempt(self, offer: Offer) -> None:
        self.offer = offer
        self.stage = HEAD
        try:
            found = passage(self, offer)
        except Refused as refusal:
            found = refusal
        if found is not None:
            self._go(found)

    attempt = shield(_attempt)

    def _go(self, found: Passage | Refused) -> None:
        """The way to the offer, or why there is none. Of a large body it comes later, by `go`, and the client may have left meanwhile."""
        if isinstance(found, Refused):
            self._again(faults.answer(found, self.route.dialect.write_error, self.id))
        elif self.connection is None:
            self.conclude(FAILED, 499)
        else:
            self.passage = found
            self.attempts += 1
            self.call = self.offer.host.pool.call(found.head, found.body, self, request_id=self.sent_id)

    go = shield(_go)

    def _again(self, otherwise: Answer) -> None:
        """Another offer, if one is left and the client is still there; else `otherwise` is the answer."""
        may = self.connection is not None and not self.headed and not self.gateway.draining
        offer = next(self.candidates, None) if may else None
        if offer is not None:
            settle.forget(self)
            self._attempt(offer)
            return
        self.answer = otherwise
        self.conclude(FAILED, otherwise[0])

    # ---- from the upstream --------------------------------------------------------------------------------------------------------

    @shield
    def replied(self, call: Call, data: bytes, done: bool) -> None:
        stage = self.stage
        if stage is STREAM:
            self._stream(data, done)
        elif stage is HEAD:
            self._head(call, data, done)
        elif stage is WHOLE:
            self._whole(call, data, done)
        elif data.strip():
            call.abort()  # after its end marker an upstream has nothing to say

    def _head(self, call: Call, data: bytes, done: bool) -> None:
        if not self.first:
            self.first = self.gateway.monotonic()
        answers.read_fields(self, call)
        if self.seen.stream and call.status == 200 and call.kind.lower().startswith(EVENT_STREAM):
            self.stage = STREAM
            self.meter = self.passage.begin(self)
            self.metered = True
            if data or done:
                self._stream(data, done)
        else:
            self.stage = WHOLE
            self._whole(call, data, done)

    def _stream(self, data: bytes, done: bool) -> None:
        meter, passage = self.meter, self.passage
        out = passage.frames(self.offer.host.echo.stream(meter.feed(data))) if data else b""
        if done or meter.done or passage.failed:
            self._end_stream(out)
            return
        connection = self.connection
        if out and connection is not None:
            self.bytes_out += len(out)
            if self.headed:
                connection.send(out)
            else:
                self.headed = True
                connection.begin(200, answers.stream_head(self), out)
        if meter.frames - self.noted_frames >= PROGRESS_FRAMES or self.gateway.clock.now - self.noted_at >= PROGRESS_S:
            self.noted_at, self.noted_frames = self.gateway.clock.now, meter.frames
            self.gateway.journal.note(settle.progress(self))

    def _end_stream(self, out: bytes) -> None:
        """The upstream's stream is over, well or badly."""
        meter, passage = self.meter, self.passage
        out += passage.frames(self.offer.host.echo.cut(meter.rest()))
        if meter.finished and not passage.failed:
            out += passage.end(self, None)
            self.offer.breaker.succeeded()
            self.conclude(self._left_or(COMPLETE if meter.usage is not None else UNREPORTED), 200, out)
            return
        self._offer_failed()
        if meter.failed:
            out += passage.close()
        else:
            refusal = Refused(Condition.UPSTREAM, f'The provider "{self.offer.host.name}" broke off its answer.')
            if not self.headed and not meter.delivered_bytes:
                self._again(faults.answer(refusal, self.route.dialect.write_error, self.id))
                return
            out += passage.end(self, refusal)
            if passage.failed and self.call is not None:
                self.call.abort()
        self.conclude(BROKE if meter.delivered_bytes else FAILED, 200, out)

    def _whole(self, call: Call, data: bytes, done: bool) -> None:
        self.received += len(data)
        if self.received > self.gateway.bounds.answer_bytes:
            call.abort()
            self.fail(Refused(Condition.UPSTREAM, "The provider's answer is larger than this gateway takes."), UNUSABLE)
            return
        if self.parts is not None:
            self.parts.append(data)
        elif not done:
            self.parts = [data]
        if done:
            body = data if self.parts is None else b"".join(self.parts)
            self._judged(call, answers.judge(self, call.status, body))

    def _judged(self, call: Call, judged: Judged) -> None:
        if judged.blame:
            self._offer_failed()
        elif call.status == 429:
            self.offer.breaker.cooled(self.gateway.clock.now, answers.retry_after(call.fields))
        else:
            self.offer.breaker.succeeded()
        if judged.again:
            self._again(judged.answer)
            return
        self.answer = judged.answer
        self.conclude(self._left_or(judged.ending), judged.answer[0], reported=judged.reported, output_bytes=judged.output_bytes)

    def _left_or(self, ending: Ending) -> Ending:
        return read_on(ending) if self.connection is None else ending

    @shield
    def failed(self, call: Call, fault: Fault) -> None:
        if self.stage in (ENDING, OVER):
            return
        host = self.offer.host.name
        if fault.kind == "busy":
            self._again(answers.refuse(self, f'All connections to the provider "{host}" are busy.', Condition.OVERLOADED, 1.0))
            return
        self._offer_failed()
        if self.stage is STREAM:
            self._end_stream(b"")
        elif fault.kind in ("first_byte_timeout", "idle_timeout"):
            self.fail(Refused(Condition.DEADLINE, f'The provider "{host}" did not answer in time.'))
        elif self.stage is WHOLE and self.received:
            self.fail(Refused(Condition.UPSTREAM, f'The provider "{host}" broke off its answer.'))
        else:
            self._again(answers.refuse(self, f'The provider "{host}" could not be reached or broke off.'))

    def _offer_failed(self) -> None:
        self.offer.breaker.failed(self.gateway.clock.now, self.gateway.roll())

    # ---- the client's side (serve.leaving) ----------------------------------------------------------------------------------------

    client_gone = shield(leaving.client_gone)
    expel = shield(leaving.expel)
    abandon = leaving.abandon
    broke = leaving.broke
    beat = shield(heartbeats.beat)

    def client_slow(self) -> None:
        if self.call is not None:
            self.call.pause()

    def client_ready(self) -> None:
        if self.call is not None:
            self.call.resume()

    # ---- the ending ---------------------------------------------------------------------------------------------------------------

    def fail(self, refusal: Refused, ending: Ending = FAILED) -> None:
        if self.headed and self.metered:
            self.conclude(ending, 200, self.passage.end(self, refusal))
        else:
            self.answer = faults.answer(refusal, self.route.dialect.write_error, self.id)
            self.conclude(ending, self.answer[0])

    def conclude(self, ending: Ending, status: int, final: bytes = b"", *, reported: Usage | None = None, output_bytes: int = 0) -> None:
        """Settle once, write the end record, and let the last bytes follow it."""
        self.stage = ENDING
        if self.headed and self.answer is not None:
            status, final = 200, heartbeats.last(self, self.answer)
            self.answer = None
        self.final = final
        if self.seen.keeps and ending in WHOLE_ENDINGS:
            keeping.keep(self)
        settle.conclude(self, ending, status, reported, output_bytes)

    @shield
    def ended(self, written: bool) -> None:
        """The end record is with the kernel: the client may have the rest."""
        self.stage = OVER
        self.gateway.runs.discard(self)
        connection, self.connection = self.connection, None
        if connection is None:
            self.gateway.drains.forget(self)
        elif not written:
            connection.cut()
        elif self.headed:
            connection.finish(self.final)
        elif self.answer is not None:
            connection.answer(*self.answer)
        else:
            connection.stream(200, answers.stream_head(self), self.final)
        self.call = None  # it knows its receiver: a cycle
