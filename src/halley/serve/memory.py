"""Memory that a relay no longer uses goes back to the system, and what it does use can be counted.

The C library keeps what is freed between blocks in use, so that after a burst a process stays as large as it ever was, which looks like a
leak and is none. Where the C library can give pages back it does so once a minute: about a millisecond for 40 MiB. In between it keeps
them: by itself the GNU C library gives back 128 KiB as soon as they are free and takes them again for the next answer, which costs a page
fault for each 4 KiB (measured in 2026-11: a third of the time of a stream of 40 KB).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

TRIM_S = 60.0
KEPT_BYTES = 8 << 20  # free memory at the end of the heap that stays there until the next trim
MAPPED_BYTES = 1 << 20  # a block of this size has pages of its own, which go back with it
# Parameters of `mallopt(3)` in the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def trimmer() -> Callable[[], object] | None:
    """`malloc_trim(3)` of the GNU C library; None where there is none."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return lambda: trim(0)


def keep_pages() -> None:
    """Tells the C library to keep what is free for what comes next; nothing where it cannot be told."""
    if trimmer() is not None:
        tell: Callable[[int, int], int] = ctypes.CDLL(None).mallopt
        tell(_M_TRIM_THRESHOLD, KEPT_BYTES)
        tell(_M_MMAP_THRESHOLD, MAPPED_BYTES)


class Memory:
    """Looked after once a second; trims when `TRIM_S` have gone by."""

    def __init__(self, now: float) -> None:
        self._trim = trimmer()
        self._due = now + TRIM_S

    @property
    def blocks(self) -> int:
        """Python objects in memory, more or less: what grows in a leak, whatever the pages do."""
        return sys.getallocatedblocks()

    def each_second(self, now: float) -> None:
        if now >= self._due:
            self._due = now + TRIM_S
            if self._trim is not None:
                self._trim()
