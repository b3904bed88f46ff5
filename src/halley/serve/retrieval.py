"""A kept answer is asked for again, looked into, cancelled or deleted. Free, and without a record in the books.

Control says whose it is and who has it. What Halley keeps is answered from that; for all else the provider that has it is asked, and its
answer passes as it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halley.errors import Condition, Refused
from halley.exchanges.kept import KEPT, Deed
from halley.net.client import Call, Fault
from halley.net.server import Connection, Request
from halley.serve import faults, keeping
from halley.serve.admit import check_routes, welcome_caller
from halley.serve.answers import STREAM_FIELDS, Answer
from halley.serve.crossing import EVENT_STREAM
from halley.serve.doorways import Calling
from halley.serve.faults import shield
from halley.store.messages import AnswerGone, AnswersWanted

if TYPE_CHECKING:
    from halley.serve.gateway import Gateway
    from halley.serve.tables import Account, Host
    from halley.store.messages import Answers


class Retrieval:
    """One request about one answer."""

    __slots__ = (
        "_account",
        "_answer",
        "_call",
        "_deed",
        "_gateway",
        "_headed",
        "_host",
        "_parts",
        "_size",
        "_then",
        "connection",
        "id",
        "request",
    )

    def __init__(self, gateway: Gateway, request: Request, answer: str, deed: Deed) -> None:
        self._gateway = gateway
        self.request = request
        self.connection: Connection | None = request.connection
        self.id = gateway.new_id()
        self._answer = answer
        self._deed: Deed = deed
        self._account: Account | None = None
        self._host: Host | None = None
        self._call: Calling | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._headed = False
        self._then: Answer | None = None  # what the client is told once control has forgotten the answer

    @shield
    def begin(self) -> None:
        gateway, request = self._gateway, self.request
        request.connection.owner = self
        try:
            caller = welcome_caller(gateway, request, KEPT.carriers)
            check_routes(caller, KEPT.routes)
            self._account = account = caller.account
        except Refused as refusal:
            self.refused(refusal)
            return
        whole, one = (self._answer, ()) if self._deed == "inputs" else (None, (self._answer,))
        gateway.questions.ask(self, lambda question: AnswersWanted(question, account.id, whole, one))

    @shield
    def told(self, answers: Answers) -> None:
        found = answers.line or answers.others
        try:
            if self._then is not None:
                self._say(*self._then)
            elif not found:
                raise Refused(Condition.NOT_FOUND, f"Response with id '{self._answer[:128]}' not found.")
            elif found[-1].sealed is None:
                self._pass_on(found[-1].provider)
            else:
                self._answer_from([keeping.opened(self._gateway, each) for each in found])
        except Refused as refusal:
            self.refused(refusal)

    def _answer_from(self, records: list[bytes]) -> None:
        """Halley has it. Raises Refused."""
        history = KEPT.dialect.history
        assert history is not None
        match self._deed:
            case "show":
                self._say(200, faults.JSON, history.shown(records[-1]))
            case "inputs":
                self._say(200, faults.JSON, history.inputs(records, self.request.query))
            case "cancel":
                raise Refused(Condition.INVALID, "Only a response that works in the background can be cancelled, and this one is complete.")
            case "delete":
                self._forget((200, faults.JSON, history.deleted(self._answer)))

    def _forget(self, then: Answer) -> None:
        """The client hears of it when nobody can find the answer any more."""
        self._then = then
        account = self._account
        assert account is not None
        self._gateway.questions.ask(self, lambda question: AnswerGone(question, account.id, self._answer))

    # ---- what the provider has ----------------------------------------------------------------------------------------------------

    def _pass_on(self, provider: str) -> None:
        """Raises Refused."""
        self._host = host = self._gateway.tables.host(provider)
        way = None if host is None else host.kept.get(self._deed)
        if host is None or way is None:
            message = f'The provider "{provider}", which keeps this response, is not configured any more.'
            raise Refused(Condition.NO_PROVIDER, message, retry_after_s=60.0)
        head = way.asking(self.request.method, self._answer, self.request.query)
        self._call = host.pool.call(head, b"", self, request_id=self.id.encode())

    @shield
    def replied(self, call: Call, data: bytes, done: bool) -> None:
        host, connection = self._host, self.connection
        assert host is not None
        if connection is None:
            return
        if not self._headed and call.status == 200 and call.kind.lower().startswith(EVENT_STREAM):
            self._headed = True
            connection.begin(200, b"content-type: text/event-stream\r\n" + self._fields() + STREAM_FIELDS)
        if self._headed:
            # Frames of a stream that its provider has finished or goes on with: they pass as they come.
            if data:
                connection.send(host.echo.cut(data))
            if done:
                self._over()
                connection.finish()
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._gateway.bounds.answer_bytes:
            call.abort()
            self.refused(Refused(Condition.UPSTREAM, "The provider's answer is larger than this gateway takes."))
        elif done:
            self._whole(call, host, b"".join(self._parts))

    def _whole(self, call: Call, host: Host, body: bytes) -> None:
        body = host.echo.cut(body) if call.status == 200 else host.echo.clean(body)
        if call.status in (401, 402, 403):
            message = f'The provider "{host.name}" refused the credential that Halley is configured with.'
            self.refused(Refused(Condition.UPSTREAM, message))
        elif call.status >= 400 and not KEPT.dialect.is_error(body):
            message = f'The provider "{host.name}" answered with status {call.status} and something that is no error object.'
            self.refused(Refused(Condition.UPSTREAM, message))
        elif self._deed == "delete" and call.status in (200, 404):
            self._forget((call.status, faults.JSON + self._fields(), body))
        else:
            self._say(call.status, faults.JSON + self._fields(), body)

    @shield
    def failed(self, call: Call, fault: Fault) -> None:
        host = self._host
        assert host is not None
        if self._headed and self.connection is not None:
            connection = self.connection
            self._over()
            connection.cut()
        else:
            self.refused(Refused(Condition.UPSTREAM, f'The provider "{host.name}", which keeps this response, could not be reached.'))

    def _fields(self) -> bytes:
        return b"" if self._host is None else b"x-halley-provider: %b\r\n" % self._host.name.encode("latin-1")

    # ---- the client's side --------------------------------------------------------------------------------------------------------

    def _say(self, status: int, fields: bytes, body: bytes) -> None:
        connection = self.connection
        self._over()
        if connection is not None:
            connection.answer(status, fields + faults.identity(KEPT.dialect, self.id.encode()), body)

    def refused(self, refusal: Refused) -> None:
        connection = self.connection
        self._over()
        if connection is not None:
            answer = faults.answer(refusal, KEPT.dialect.write_error, self.id)
            self._gateway.count_refusal(answer[0])
            connection.answer(*answer)

    def _over(self) -> None:
        """Nothing is expected any more."""
        self._gateway.questions.forget(self)
        call, self._call = self._call, None  # it knows its receiver: a cycle
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.owner = None
        if call is not None:
            call.abort()

    def client_gone(self) -> None:
        self._over()

    def client_slow(self) -> None:
        if self._call is not None:
            self._call.pause()

    def client_ready(self) -> None:
        if self._call is not None:
            self._call.resume()

    def expel(self, refusal: Refused) -> None:
        self._end_early(refusal)

    def broke(self) -> None:
        self._end_early(faults.bug())

    def _end_early(self, refusal: Refused) -> None:
        connection = self.connection
        if self._headed and connection is not None:
            self._over()
            connection.finish(KEPT.dialect.write_error_event(refusal, self.id))
        else:
            self.refused(refusal)
