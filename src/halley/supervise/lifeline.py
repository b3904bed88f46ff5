"""Runs one module as a program in a process that does not outlive its supervisor: `python -m halley.supervise.lifeline FD MODULE ARGS...`.

FD is the reading end of a pipe that nobody writes to. Only the supervisor holds the other end, so its end of file means that the supervisor
is gone, however it died. A parent-death signal would do the same on one system only, and misses a parent that was gone before the request.
"""

from __future__ import annotations

import _thread
import os
import runpy
import signal
import sys

from halley import logs


def _watch(fd: int) -> None:
    # Signals belong to the main thread, whose loop must wake up for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    os.read(fd, 1)
    # At once: a relay left alone could go on serving beside the next start. The journal makes this as safe as any crash.
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    fd, module = int(sys.argv[1]), sys.argv[2]
    logs.adopt()  # before the module is imported: also what goes wrong there is said without secrets
    del sys.argv[:2]  # runpy puts the module's own file in the place of what is now the first argument
    _thread.start_new_thread(_watch, (fd,))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
