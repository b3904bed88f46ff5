"""What a service manager is told (systemd's `sd_notify`): one datagram per change. Without NOTIFY_SOCKET nobody is told anything."""

from __future__ import annotations

import contextlib
import os
import socket
import time


def notify(*lines: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # A leading @ stands for the zero byte of an abstract address.
    place = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender, contextlib.suppress(OSError):
        sender.settimeout(1.0)
        sender.sendto("\n".join(lines).encode(), place)


def reloading() -> None:
    """The manager waits for the next READY=1; the time lets it tell this from an earlier one."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
