"""One stretch of load by wrk: as many requests as the gateway takes on a fixed number of connections."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.canned import Wrong, ask
from bench.http import Door
from bench.processes import pinned

_SCRIPT = """\
wrk.method = "POST"
wrk.body = [==[%s]==]
wrk.headers["Content-Type"] = "application/json"
%s
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nTOTALS %%d %%d %%d %%d %%d %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration, summary.bytes,
    e.connect, e.read, e.write, e.status, e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """What wrk counted: completed answers, seconds, bytes, and latency in microseconds."""

    answers: int
    seconds: float
    received: int
    p50_us: int
    p99_us: int


def script(door: Door, kind: str) -> str:
    fields = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in door.fields.items())
    return _SCRIPT % (ask(kind).decode(), fields)


def totals(output: str) -> Totals:
    """Reads wrk's last line. Raises Wrong for any socket error, time-out or status over 399, and if nothing was answered."""
    lines = [line for line in output.splitlines() if line.startswith("TOTALS ")]
    if not lines:
        raise Wrong(f"wrk printed no totals: {output[-300:]!r}")
    answers, duration_us, received, *errors, p50_us, p99_us = map(int, lines[-1].split()[1:])
    if any(errors):
        raise Wrong("wrk saw errors: " + ", ".join(f"{n} {name}" for n, name in zip(errors, _ERRORS, strict=True) if n))
    if not answers:
        raise Wrong("wrk got no answer")
    return Totals(answers, duration_us / 1e6, received, p50_us, p99_us)


_ERRORS = ("connect", "read", "write", "status", "timeout")


def load(door: Door, kind: str, connections: int, seconds: int, core: int, directory: Path) -> Totals:
    path = directory / "load.lua"
    path.write_text(script(door, kind))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", path, door.url]
    done = subprocess.run(pinned(core, command), capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise Wrong(f"wrk failed: {done.stderr[-300:]}")
    return totals(done.stdout)
