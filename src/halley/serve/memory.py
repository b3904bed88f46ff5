"""Memory that a relay no longer uses goes back to the system, and what it does use can be counted.

The C library keeps what is freed between blocks in use, so that after a burst a process stays as large as it ever was, which looks like a
leak and is none. Where the C library can give pages back it does so once a minute: about a millisecond for 40 MiB.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

TRIM_S = 60.0


def trimmer() -> Callable[[], object] | None:
    """`malloc_trim(3)` of the GNU C library; None where there is none."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return lambda: trim(0)


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
