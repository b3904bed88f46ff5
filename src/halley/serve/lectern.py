"""Where large bodies are laid down to be read: the relay's end of its lector, a process that is started with the first of them.

Parsing 32 MiB takes one core up to a second, in calls that a thread could not share the interpreter with. So the body goes to the lector as
fast as a socket takes it, in pieces of the loop's time, and what was seen of it comes back. One body at a time; the others wait in order.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections import deque

import msgspec

from halley.chat.peek import Peek
from halley.dialects import Dialect
from halley.errors import Condition, Refused
from halley.serve.admit import AFTER_READING, BEFORE_READING, passes
from halley.serve.faults import shield
from halley.serve.lector import ANSWER, DIALECTS, QUESTION, Read, Unread
from halley.serve.relay import Run

LARGE_BODY = 524288
MOST_WAITING = 64
LONGEST_S = 30.0
_PIECE = 262144

_decode = msgspec.msgpack.Decoder(Read | Unread).decode


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

    @shield
    def was_read(self, seen: Peek | Refused) -> None:
        if self.connection is None:
            return  # nobody waits for it any more; nothing was taken yet
        if isinstance(seen, Refused):
            self.refused(seen)
        else:
            self.seen = seen
            if passes(self, AFTER_READING):
                self.reserve()


class Lectern:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[LargeRun] = deque()
        self._reader: LargeRun | None = None  # whose body the lector has
        self._until = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._unsent: deque[memoryview] = deque()
        self._answer = bytearray()

    @property
    def open(self) -> int:
        return len(self._waiting) + (self._reader is not None)

    def read(self, run: LargeRun) -> None:
        """`run.was_read` follows, never from within. Raises Refused (503) when too many wait."""
        if len(self._waiting) >= MOST_WAITING:
            raise Refused(Condition.OVERLOADED, "Too many large bodies are being read; try again in a moment.", retry_after_s=1.0)
        if self._process is None:
            self._start()
        self._waiting.append(run)
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
        while self._waiting and self._waiting[0].connection is None:
            self._waiting.popleft()
        if not self._waiting:
            return
        assert self._socket is not None
        self._reader = run = self._waiting.popleft()
        self._until = self._loop.time() + LONGEST_S
        path, body = run.request.path, run.request.body
        question = QUESTION.pack(_number(run.route.dialect), len(path), len(body)) + path
        self._unsent = deque((memoryview(question), memoryview(body)))
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
        said = _decode(answer[ANSWER.size :])
        answer.clear()
        if isinstance(said, Unread):
            self._tell(Refused(Condition[said.condition], said.message, param=said.param, code=said.code))
        else:
            self._tell(said.seen)

    def _lose(self, why: str = "The body could not be read; try again in a moment.") -> None:
        """The lector is gone, or is made to go: its body is refused, the others get the next one."""
        self._stop()
        self._tell(Refused(Condition.OVERLOADED, why, retry_after_s=1.0))

    def _tell(self, seen: Peek | Refused) -> None:
        run, self._reader = self._reader, None
        if run is not None:
            run.was_read(seen)
        if self._reader is None and self._waiting:
            try:
                if self._process is None:
                    self._start()
            except Refused as refusal:
                waiting, self._waiting = self._waiting, deque()
                for run in waiting:
                    run.was_read(refusal)
            else:
                self._next()


def _number(dialect: Dialect) -> int:
    return DIALECTS.index(dialect)
