"""Readers fed with what nobody would write, led by what they have not done yet (atheris): each reads it or refuses it as its door promises.

It runs in an environment of its own, which `script/soak` makes from `soak/fuzz/requirements.lock`. What broke is kept beside the corpus and
named; `soak.fuzz` with that file as its only argument shows it again.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

from soak.campaign import Campaign, Effort, Figures, Unavailable
from soak.fuzz.targets import TARGETS, corpus

_FOUND = re.compile(r"Test unit written to (\S+)")
_DONE = re.compile(r"Done (\d+) runs|stat::number_of_executed_units:\s+(\d+)")
_COVERED = re.compile(r"cov: (\d+)")
LONGEST = 65536  # bytes of an input
START_S = 60.0  # for imports and the first look at the corpus


def run(place: Path, effort: Effort) -> Figures:
    """`seconds` of one process."""
    python = os.environ.get("HALLEY_FUZZER")
    if not python:
        raise Unavailable("atheris is not installed: script/soak makes .venv-fuzz where the package index has a wheel for this system")
    inputs, kept = place / "corpus", place / "found"
    inputs.mkdir()
    kept.mkdir()
    for data in corpus():
        (inputs / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    flags = (
        f"-max_total_time={max(round(effort.seconds), 1)}", f"-seed={effort.seed % (1 << 31) or 1}", f"-max_len={LONGEST}",
        f"-artifact_prefix={kept}/", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
    )  # fmt: skip
    done = subprocess.run(
        [python, "-m", "soak.fuzz", *flags, str(inputs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=effort.seconds + START_S,
        check=False,
    )
    found = _FOUND.findall(done.stdout)
    assert done.returncode == 0 and not found, f"{_told(found)}{done.stdout[-3000:]}"
    runs = max((int(many or few) for many, few in _DONE.findall(done.stdout)), default=0)
    covered = max(map(int, _COVERED.findall(done.stdout)), default=0)
    assert runs > len(TARGETS), f"hardly anything was fuzzed:\n{done.stdout[-2000:]}"
    return {"targets": len(TARGETS), "inputs": len(list(inputs.iterdir())), "runs": runs, "covered": covered}


def _told(found: list[str]) -> str:
    """Inputs that broke something, whole where they are short: the place is taken away after the campaign."""
    return "".join(f"{TARGETS[data[0] % len(TARGETS)].name}: {data[1:4000]!r}\n" for path in found if (data := Path(path).read_bytes()))


CAMPAIGN = Campaign("fuzz", "G27", "readers fed with what nobody would write", Effort(seconds=15), Effort(seconds=600), run)
