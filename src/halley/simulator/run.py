"""Runs an upstream as a process: serve, say so, end on SIGTERM (running answers may finish), end at once on the second."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable

from halley.simulator.upstream import Upstream


def run(upstream: Upstream, listening: socket.socket, ready: Callable[[Upstream], None], grace_s: float) -> None:
    """Returns when a signal has ended it; `ready` is called once it serves."""
    raise_file_limit()
    asyncio.run(_serve(upstream, listening, ready, grace_s))


def raise_file_limit() -> None:
    """A stream is a file descriptor, and the usual soft limit is 1024: take what the hard limit allows."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(upstream: Upstream, listening: socket.socket, ready: Callable[[Upstream], None], grace_s: float) -> None:
    first, second = asyncio.Event(), asyncio.Event()

    def asked() -> None:
        (second if first.is_set() else first).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, asked)
        except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead.
            break
    await upstream.start(listening)
    ready(upstream)
    await first.wait()
    closing = asyncio.create_task(upstream.close(grace_s))
    hurried = asyncio.create_task(second.wait())
    await asyncio.wait({closing, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not closing.done():
        closing.cancel()
        await upstream.close()
