"""Where large bodies are laid down to be read, and to be written for providers of other dialects: the relay's end of its lector, a process
that is started with the first of them.

Parsing 32 MiB takes one core up to a second, in calls that a thread could not share the interpreter with. So the body goes to the lector as
fast as a socket takes it, in pieces of the loop's time, and what was made of it comes back. One body at a time; the others wait in order.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections import deque

import msgspec

from halley.chat import doors
from halley.chat.model import Inline
from halley.errors import Condition, Refused
from halley.serve.admit import BEFORE_READING, passes
from halley.serve.crossing import Crossing, Order
from halley.serve.faults import shield
from halley.serve.fetching import Addressed, Fetching
from halley.serve.lector import ANSWER, DIALECTS, QUESTION, Look, Read, Unread, Written
from halley.serve.passage import Passage, framed
from halley.serve.relay import Run

LARGE_BODY = 524288
MOST_WAITING = 64
LONGEST_S = 30.0
_PIECE = 262144

_decode = msgspec.msgpack.Decoder(Read | Written | Addressed | Unread).decode
Said = Read | Written | Addressed | Refused


class LargeRun(Run):
    """A request whose body is read elsewhere, between the check of its key and that of everything else."""

    __slots__ = ()

    @shield
    def begin(self) -> None:
        self.request.connection.owner = self
        if passes(self, BEFORE_READING):
            try:
                self.gateway.lectern.read(self)
            except Refused as refusal:
                self.refused(refusal)


class _Reading:
    """A body that is to be looked at before its request is admitted."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.body = run.request.body
        self.order = Look(DIALECTS.index(run.route.dialect), run.request.path)

    @property
    def wanted(self) -> bool:
        return self._run.connection is not None

    def told(self, said: Said) -> None:
        assert isinstance(said, Read | Refused)
        self._run.was_read(said.seen if isinstance(said, Read) else said)


class _Writing:
    """A body that is to be written for a provider, and what stands for the call to it until then."""

    sent = False

    def __init__(self, run: Run, order: Order) -> None:
        self._run = run
        self._offer = run.offer
        self.body = run.request.body
        self.order = order
        self.wanted = True

    def abort(self) -> None:
        self.wanted = False

    def pause(self) -> None: ...
    def resume(self) -> None: ...

    def told(self, said: Said) -> None:
        assert not isinstance(said, Read)
        if not self.wanted:
            return
        if isinstance(said, Addressed):
            try:
                self._run.call = Fetching(self._run, said, self._again)
            except Refused as refusal:
                self._run.go(refusal)
        else:
            self._run.go(said if isinstance(said, Refused) else self._way(said))

    def _again(self, contents: dict[str, Inline]) -> None:
        order = msgspec.structs.replace(self.order, contents=contents)
        try:
            self._run.gateway.lectern.write(self._run, order)
        except Refused as refusal:
            self._run.go(refusal)

    def _way(self, said: Written) -> Passage | Refused:
        run, offer = self._run, self._offer
        way = offer.host.way(run.route.dialect)
        assert way is not None
        try:
            ask = self.order.remembered(self.body, run.seen.members)
            return framed(run, Crossing(run, offer, way, self.order, ask, doors.Written(said.body, said.losses)))
        except Refused as refusal:  # the caller allows no loss
            return refusal


class Lectern:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[_Reading | _Writing] = deque()
        self._reader: _Reading | _Writing | None = None  # whose body the lector has
        self._until = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._unsent: deque[memoryview] = deque()
        self._answer = bytearray()

    @property
    def open(self) -> int:
        return len(self._waiting) + (self._reader is not None)

    def read(self, run: Run) -> None:
        """`run.was_read` follows, never from within. Raises Refused (503) when too many wait."""
        self._lay_down(_Reading(run))

    def write(self, run: Run, order: Order) -> None:
        """`run.go` follows, never from within; until then `run.call` is what waits. Raises Refused (503) when too many wait."""
        waits = _Writing(run, order)
        self._lay_down(waits)
        run.call = waits

    def _lay_down(self, body: _Reading | _Writing) -> None:
        if len(self._waiting) >= MOST_WAITING:
            raise Refused(Condition.OVERLOADED, "Too many large bodies are being read; try again in a moment.", retry_after_s=1.0)
        if self._process is None:
            self._start()
        self._waiting.append(body)
        if self._reader is None:
            self._next()

    def each_second(self, now: float) -> None:
        if self._reader is not None and self._until < now:
            self._lose("The body took too long to be read; send less at a time.")

    def close(self) -> None:
        self._stop()
        self._waiting.clear()
        self._reader = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            command = [sys.executable, "-P", "-m", "halley.serve.lector"]
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
        except OSError:
            ours.close()
            raise Refused(Condition.OVERLOADED, "Large bodies cannot be read now; try again in a moment.", retry_after_s=1.0) from None
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._loop.add_reader(ours, self._hear)

    def _stop(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._unsent.clear()
        self._answer.clear()

    def _next(self) -> None:
        while self._waiting and not self._waiting[0].wanted:
            self._waiting.popleft()
        if not self._waiting:
            return
        assert self._socket is not None
        self._reader = next = self._waiting.popleft()
        self._until = self._loop.time() + LONGEST_S
        order = msgspec.msgpack.encode(next.order)
        question = QUESTION.pack(len(order), len(next.body)) + order
        self._unsent = deque((memoryview(question), memoryview(next.body)))
        self._loop.add_writer(self._socket, self._say)

    def _say(self) -> None:
        assert self._socket is not None
        piece = self._unsent[0]
        try:
            sent = self._socket.send(piece[:_PIECE])
        except BlockingIOError:
            return
        except OSError:
            self._lose()
            return
        if sent < len(piece):
            self._unsent[0] = piece[sent:]
            return
        self._unsent.popleft()
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def _hear(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        answer = self._answer
        answer += data
        if len(answer) < ANSWER.size or len(answer) < ANSWER.size + ANSWER.unpack_from(answer)[0]:
            return
        with memoryview(answer) as whole:
            said = _decode(whole[ANSWER.size :])
        answer.clear()
        if isinstance(said, Unread):
            self._tell(Refused(Condition[said.condition], said.message, param=said.param, code=said.code))
        else:
            self._tell(said)

    def _lose(self, why: str = "The body could not be read; try again in a moment.") -> None:
        """The lector is gone, or is made to go: its body is refused, the others get the next one."""
        self._stop()
        self._tell(Refused(Condition.OVERLOADED, why, retry_after_s=1.0))

    def _tell(self, said: Said) -> None:
        body, self._reader = self._reader, None
        if body is not None:
            body.told(said)
        if self._reader is None and self._waiting:
            try:
                if self._process is None:
                    self._start()
            except Refused as refusal:
                waiting, self._waiting = self._waiting, deque()
                for each in waiting:
                    each.told(refusal)
            else:
                self._next()
