"""Look-ups of names that callers chose, in threads of their own: how many run at once is bounded, how long one of them takes is not.

The C library's look-up can be neither cancelled nor given a limit. So whoever waits may go, the thread stays until the resolver gives up,
and only then is its place free. It judges no answer and keeps none.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

LOOKUPS = 8

Resolve = Callable[[str, int], Sequence[str]]
Outcome = Sequence[str] | OSError | UnicodeError


class LookUps:
    """Neither the event loop's own threads, in which the names of providers are looked up, nor `threading`, which waits at the end of the
    process for whoever is still out."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._places = asyncio.Semaphore(LOOKUPS)

    async def ask(self, host: str, port: int) -> Sequence[str]:
        """Addresses as text. Raises OSError or UnicodeError for a name without one; who wants a limit sets it around this."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        try:
            _thread.start_new_thread(self._work, (loop, answer, host, port))
        except RuntimeError:
            self._places.release()
            raise OSError("no thread can be started for a look-up") from None
        return await answer

    def _work(self, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Sequence[str]], host: str, port: int) -> None:
        outcome: Outcome = OSError("the look-up ended without an answer")
        try:
            outcome = self._resolve(host, port)
        except (OSError, UnicodeError) as fault:
            outcome = fault
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._tell, answer, outcome)

    def _tell(self, answer: asyncio.Future[Sequence[str]], outcome: Outcome) -> None:
        self._places.release()
        if answer.done():
            return
        if isinstance(outcome, OSError | UnicodeError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


def look_up(host: str, port: int) -> Sequence[str]:
    """Every address that the system's resolver gives for a name."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(address[0]) for _, _, _, _, address in answers]
