"""A stand-in for every child process: keeps the contract of start, readiness and end, and does what its home's `orders` say.

It appends what happens to it to `events` in HALLEY_HOME: one line of `<milliseconds> <name> <pid> <event>` per event.
`orders` is JSON, by name of the child, read at each start:
{"fail": text | "exit_after_s": s | "deaf": true | "drain_s": s | "silent": true}.
As a relay it answers every connection with its pid, takes orders from its channel and tells of each.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--name")
    parser.add_argument("--listen-fd", type=int)
    parser.add_argument("--channel-fd", type=int, required=True)
    options = parser.parse_args()
    name = options.name or ("upstream" if options.local else "control")
    launch = json.loads(sys.stdin.buffer.read())
    home = Path(launch["home"])
    orders = json.loads((home / "orders").read_text()).get(name, {}) if (home / "orders").exists() else {}
    events = os.open(home / "events", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(event: str) -> None:
        os.write(events, f"{time.monotonic() * 1000:.0f} {name} {os.getpid()} {event}\n".encode())

    awake, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    stops = 0

    def stop(_number: int, _frame: object) -> None:
        nonlocal stops
        stops += 1
        tell(f"term{stops}")

    signal.signal(signal.SIGTERM, stop)
    channel = socket.socket(fileno=options.channel_fd)
    channel_open = [] if name in ("control", "upstream") else [channel]
    tell("started")
    if "fail" in orders:
        sys.exit(orders["fail"])
    if name == "control":
        (home / "starter-key").write_text("sk-starter")
    if not orders.get("silent"):
        tell("ready")
        channel.send(b"ready\n")
    listening = socket.socket(fileno=options.listen_fd) if options.listen_fd is not None else None
    end = time.monotonic() + orders.get("exit_after_s", 60.0)
    drained = None
    while time.monotonic() < end:
        if stops and drained is None:
            drained = time.monotonic() + orders.get("drain_s", 0.0)
        if stops > 1 or (drained is not None and drained <= time.monotonic() and not orders.get("deaf")):
            tell("ended")
            return
        soon = min(end, drained if drained is not None and not orders.get("deaf") else end)
        serving = [listening] if listening is not None and not stops else []
        readable, _, _ = select.select([awake, *channel_open, *serving], [], [], max(0.0, soon - time.monotonic()))
        if awake in readable:
            awake.recv(64)
        if channel in readable:
            words = channel.recv(64).decode().split()
            for word in words:
                tell(word)
                stops += word in ("end", "leave", "now")
            channel_open = channel_open if words else []
        if listening is not None and listening in readable:
            listening.setblocking(False)
            try:
                client, _ = listening.accept()
            except BlockingIOError:
                continue  # another relay took it
            client.sendall(f"{os.getpid()}\n".encode())
            client.close()
    tell("gone")
    os._exit(7)


if __name__ == "__main__":
    main()
