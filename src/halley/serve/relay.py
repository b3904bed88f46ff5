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
from halley.policy.pricing import BROKE, COMPLETE, DRAINED, FAILED, LEFT, UNREPORTED, UNUSABLE, Ending
from halley.serve import answers, estimates, faults, settle
from halley.serve.admit import CHECKS, passes
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
    from halley.serve.gateway import Gateway
    from halley.serve.tables import Account, Caller, Model, Offer

PROGRESS_S = 5.0
PROGRESS_FRAMES = 1000
UPSTREAM_IDS = frozenset({b"x-request-id", b"request-id"})  # where upstreams say how they call a request


class Run:
    """One request. Attributes without a default are set by the admission check that finds them."""

    # fmt: off
    __slots__ = (
        "account", "admitted", "answer", "ask", "attempts", "bytes_out", "call", "caller", "candidates", "connection", "final",
        "first", "gateway", "headed", "hold", "id", "input_guess", "limited", "meter", "metered", "model", "noted_at", "noted_frames",
        "offer", "parts", "passage", "received", "request", "route", "seen", "sent_cap", "sent_id", "stage", "theirs", "token_guess",
        "upstream_id", "waits_until",
    )
    # fmt: on

    caller: Caller
    account: Account
    seen: Peek
    model: Model
    offer: Offer
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
        self.call: Call | None = None
        self.sent_cap: int | None = None
        self.parts: list[bytes] | None = None  # of a whole answer that comes in several reads
        self.theirs = b""  # the upstream's fields that the client gets, rendered
        self.limited = self.headed = self.metered = False
        self.attempts = self.received = self.bytes_out = self.noted_frames = 0
        self.admitted = self.first = self.noted_at = 0.0
        self.ask: Ask | None = None  # the request's meaning, once it had to be read for another dialect
        self.upstream_id: bytes | None = None
        self.final = b""  # what follows the end record: the last bytes of a stream, or a whole answer
        self.answer: Answer | None = None

    # ---- admission ----------------------------------------------------------------------------------------------------------------

    @shield
    def begin(self) -> None:
        self.request.connection.owner = self
        if passes(self, CHECKS):
            self.reserve()

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
            self._conclude(FAILED, 499)
        else:
            gateway = self.gateway
            self.candidates = routing.candidates(self.model.offers, gateway.clock.now, gateway.roll)
            self._attempt(next(self.candidates))

    def _attempt(self, offer: Offer) -> None:
        self.offer = offer
        self.stage = HEAD
        try:
            self.passage = passage(self, offer)
        except Refused as refusal:
            self._again(faults.answer(refusal, self.route.dialect.write_error, self.id))
            return
        self.attempts += 1
        self.call = offer.host.pool.call(self.passage.head, self.passage.body, self, request_id=self.sent_id)

    def _again(self, otherwise: Answer) -> None:
        """Another offer, if one is left and the client is still there; else `otherwise` is the answer."""
        offer = next(self.candidates, None) if self.connection is not None and not self.gateway.draining else None
        if offer is not None:
            self.parts = None
            self.received = 0
            self.metered = False
            self._attempt(offer)
            return
        self.answer = otherwise
        self._conclude(FAILED, otherwise[0])

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
        theirs = b""
        passing = self.route.dialect.reply_fields
        for name, value in self.offer.host.echo.fields(call):
            if name in UPSTREAM_IDS:
                self.upstream_id = value
            elif name in passing:
                theirs += b"%b: %b\r\n" % (name, value)
        self.theirs = theirs
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
            self._conclude(self._left_or(COMPLETE if meter.usage is not None else UNREPORTED), 200, out)
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
        self._conclude(BROKE if meter.delivered_bytes else FAILED, 200, out)

    def _whole(self, call: Call, data: bytes, done: bool) -> None:
        self.received += len(data)
        if self.received > self.gateway.bounds.answer_bytes:
            call.abort()
            self._fail(Refused(Condition.UPSTREAM, "The provider's answer is larger than this gateway takes."), UNUSABLE)
            return
        if self.parts is not None:
            self.parts.append(data)
        elif not done:
            self.parts = [data]
        if done:
            body = data if self.parts is None else b"".join(self.parts)
            self._judged(call, answers.judge(self, call.status, answers.head(self, b"application/json"), body))

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
        self._conclude(self._left_or(judged.ending), judged.answer[0], reported=judged.reported, output_bytes=judged.output_bytes)

    def _left_or(self, ending: Ending) -> Ending:
        """An answer that was read to its end for a client that had gone."""
        return DRAINED if self.connection is None and ending in (COMPLETE, UNREPORTED) else ending

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
            self._fail(Refused(Condition.DEADLINE, f'The provider "{host}" did not answer in time.'))
        elif self.stage is WHOLE and self.received:
            self._fail(Refused(Condition.UPSTREAM, f'The provider "{host}" broke off its answer.'))
        else:
            self._again(answers.refuse(self, f'The provider "{host}" could not be reached or broke off.'))

    def _offer_failed(self) -> None:
        self.offer.breaker.failed(self.gateway.clock.now, self.gateway.roll())

    # ---- the client's side --------------------------------------------------------------------------------------------------------

    @shield
    def client_gone(self) -> None:
        """The client hung up: cancel the upstream where that stops its bill, else read on in the background, within the caps."""
        self.connection = None
        stage = self.stage
        if stage is CREDIT:
            self.gateway.credit.forget(self)
            self.dismiss()
        elif stage in (HEAD, STREAM, WHOLE) and self.call is not None:
            if not (self.seen.stream and self.offer.host.cancels) and self.gateway.drains.adopt(self, self.gateway.clock.now):
                self.call.resume()
                return
            self.abandon()

    def abandon(self) -> None:
        """Stop the upstream now and settle what was delivered."""
        call = self.call
        if call is None or self.stage not in (HEAD, STREAM, WHOLE):
            return
        sent = call.sent
        call.abort()
        self._conclude(LEFT if sent else FAILED, 499)

    def client_slow(self) -> None:
        if self.call is not None:
            self.call.pause()

    def client_ready(self) -> None:
        if self.call is not None:
            self.call.resume()

    @shield
    def expel(self, refusal: Refused) -> None:
        """The drain limit is reached: one error event, everything settled, whatever the stage. Who had left is settled as that."""
        if self.stage in (HEAD, STREAM, WHOLE) and self.call is not None:
            if self.connection is None:
                self.abandon()
            else:
                self.call.abort()
                self._fail(refusal, BROKE if self.headed else FAILED)
        elif self.stage in (ADMISSION, CREDIT):
            self.gateway.credit.forget(self)
            self.refused(refusal)

    def broke(self) -> None:
        """A bug of ours, already logged: end the request as far as that is still possible."""
        if self.stage in (ADMISSION, CREDIT):
            self.refused(faults.bug())
        elif self.stage in (ENDING, OVER):
            if self.connection is not None:
                self.connection.cut()
        else:
            if self.call is not None:
                self.call.abort()
            self._fail(faults.bug(), BROKE if self.headed else FAILED)

    # ---- the ending ---------------------------------------------------------------------------------------------------------------

    def _fail(self, refusal: Refused, ending: Ending = FAILED) -> None:
        if self.headed:
            self._conclude(ending, 200, self.passage.end(self, refusal))
        else:
            self.answer = faults.answer(refusal, self.route.dialect.write_error, self.id)
            self._conclude(ending, self.answer[0])

    def _conclude(self, ending: Ending, status: int, final: bytes = b"", *, reported: Usage | None = None, output_bytes: int = 0) -> None:
        """Settle once, write the end record, and let the last bytes follow it."""
        self.stage = ENDING
        self.final = final
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
