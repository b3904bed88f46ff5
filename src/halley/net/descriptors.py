"""How many files and sockets this process may have open, and what that leaves for clients. It opens nothing itself."""

from __future__ import annotations

import sys

SPARE = 256  # the journal, sockets of the node, pages, what libraries open
PER_CLIENT = 2  # a client's connection, and the upstream's that serves it


def raise_limit() -> int:
    """Raises this process's limit as far as it may and returns it; `sys.maxsize` where there is none."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # some systems promise more than they give
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return hard


def clients(wanted: int, limit: int) -> int:
    """How many client connections there can be with `limit` descriptors, at most `wanted`."""
    return max(1, min(wanted, (limit - SPARE) // PER_CLIENT))
