"""The command line of the benchmark; `script/bench` calls it with the interpreter that Halley runs on."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
from pathlib import Path

from bench import folding, money, nginx, report, translation
from bench.halley import HalleyRow
from bench.peers import LitellmRow, PortkeyRow, VllmRouterRow
from bench.processes import free_ports
from bench.rows import NginxRow, Place, Row
from bench.run import FULL, SHORT, Run, say

_TOOLS = {"wrk": "wrk", "nginx": "nginx", "taskset": "util-linux"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--short", action="store_true", help="about 80 seconds, for a machine that checks every change")
    parser.add_argument("--litellm", action="store_true", help="add LiteLLM (installs it from PyPI into a cache directory)")
    parser.add_argument("--portkey", action="store_true", help="add Portkey (installs it from npm into a cache directory)")
    parser.add_argument("--vllm-router", action="store_true", help="add vLLM's router (installs it from PyPI into a cache directory)")
    parser.add_argument("--only", metavar="ROW", action="append", help="only this row and nginx; may be repeated")
    parser.add_argument("--cores", metavar="GATEWAY,LOAD", default="0,1", help="the pinned cores (default 0,1)")
    parser.add_argument("--folding", action="store_true", help="only what the control process spends on a request, without sockets")
    parser.add_argument("--translation", action="store_true", help="only what a chunk costs that crosses dialects, without sockets")
    parser.add_argument("--money", action="store_true", help="only what admission, hold and settlement cost a request, without sockets")
    options = parser.parse_args()
    if options.money:
        print(money.measure())
        return 0
    if options.folding:
        print(folding.measure())
        return 0
    if options.translation:
        translation.show(translation.measure())
        return 0
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if missing:
        say(f"Missing programs. On Debian and Ubuntu:\n    sudo apt-get install -y {' '.join(missing)}")
        return 2
    gateway_core, load_core = (int(core) for core in options.cores.split(","))
    if not {gateway_core, load_core} <= os.sched_getaffinity(0):
        say(f"Cores {gateway_core} and {load_core} are not both there; name two with --cores.")
        return 2
    _raise_file_limit()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # would make every start of a Python program compile itself again
    os.sched_setaffinity(0, {load_core})
    with tempfile.TemporaryDirectory(prefix="halley-bench-") as name:
        json_port, sse_port, paced_port, *proxies = free_ports(7)
        upstreams = {"json": json_port, "sse": sse_port, "paced": paced_port, "idle": paced_port}
        place = Place(Path(name), gateway_core, load_core, upstreams)
        rows: list[Row] = [NginxRow(place, dict(zip(upstreams, proxies, strict=True)))]
        rows += _gateways(options, place)
        result = Run(SHORT if options.short else FULL, place, rows).measure()
    machine = _machine()
    print(json.dumps(report.document(result, machine), indent=2) if options.json else report.table(result, machine))
    return 1 if result.refused else 0


def _gateways(options: argparse.Namespace, place: Place) -> list[Row]:
    ports = free_ports(10)
    wanted: list[Row] = [
        HalleyRow(place, ports[0]),
        NginxRow(
            place,
            dict(zip(place.upstreams, ports[6:], strict=True)),
            name="nginx-default",
            note="the same with nginx's own buffers of 4 KiB",
            buffers=nginx.AS_SHIPPED,
        ),
    ]
    wanted += [LitellmRow(place, ports[1])] if options.litellm else []
    wanted += [PortkeyRow(place, ports[2])] if options.portkey else []
    wanted += [VllmRouterRow(place, dict(zip(("json", "sse", "paced"), ports[3:6], strict=True)))] if options.vllm_router else []
    return [row for row in wanted if not options.only or row.name in options.only]


def _raise_file_limit() -> None:
    """A thousand streams are four thousand sockets on this machine; children inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536, hard))


def _machine() -> dict[str, str]:
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "?")
    return {"cpu": f"{os.cpu_count()} x {model}", "linux": platform.release(), "python": platform.python_version()}


if __name__ == "__main__":
    sys.exit(main())
