"""How long a command needs from its start to its end, beside a Python that does nothing: `python -m bench.start`.

Runs take turns, so that a busy machine is busy for all of them; the smallest of each is told.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_TURNS = 15
_HALLEY = (sys.executable, "-m", "halley.cli.main")
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "halley --help": (*_HALLEY, "--help"),
    "halley smoke --help": (*_HALLEY, "smoke", "--help"),
    "halley contract list": (*_HALLEY, "contract", "list"),
    "halley smoke --mock": (*_HALLEY, "smoke", "--mock", "--json"),
}


def once(command: tuple[str, ...], environ: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds. CalledProcessError if it fails."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, env=environ, timeout=60)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(turns: int) -> dict[str, tuple[float, float]]:
    best = dict.fromkeys(COMMANDS, (float("inf"), float("inf")))
    with tempfile.TemporaryDirectory() as home:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ = {**kept, "HALLEY_HOME": str(Path(home))}
        for _ in range(turns):
            for name, command in COMMANDS.items():
                seen = once(command, environ)
                best[name] = (min(best[name][0], seen[0]), min(best[name][1], seen[1]))
    return best


if __name__ == "__main__":
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else _TURNS)
    print(json.dumps({name: {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3)} for name, (wall, cpu) in found.items()}, indent=1))
