"""Runs in a network and mount namespace of its own, where every address answers: a gateway is asked about each line of a corpus, as the
address of a picture for a provider that takes none. Prints what was answered and what was connected to.

Arguments: a folder, then corpora. Names are those of the corpus, by a hosts file that is seen in here alone.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hostile_web import Line, Web, read
from namespace import PORTS, certificate, public

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

LARGE = 600_000  # more than is translated on a relay's loop
PROVIDERS = {"inline": "openai-compatible", "either": "anthropic"}


def settings(folder: Path, simulator: str) -> str:
    lines = [
        "[egress]",
        f'ca_file = "{folder / "ca.pem"}"',
        "fetch_total_seconds = 2",
        "fetch_connect_seconds = 1",
        "fetch_first_byte_seconds = 1",
    ]
    for name, kind in PROVIDERS.items():
        lines += ["[[providers]]", f'name = "{name}"', f'kind = "{kind}"', f'base_url = "{simulator}/v1"', 'api_key = "sk-any"']
    price = ["max_output = 900", 'price = { input = "0.1505", output = "0.6015" }']
    inline = '{ provider = "inline", model = "sim/echo" }'
    lines += ["[[models]]", 'id = "inline"', *price, f"offers = [{inline}]"]
    lines += ["[[models]]", 'id = "both"', *price, f'offers = [{inline}, {{ provider = "either", model = "sim/echo", priority = 2 }}]']
    return "\n".join(lines)


def ask(gateway: Gateway, key: str, model: str, *urls: str, beside: int = 0) -> tuple[int, Any]:
    """In the dialect of Responses, which neither provider is asked in. `beside` are characters of text that stand there too."""
    parts = [{"type": "input_image", "image_url": url} for url in urls]
    parts += [{"type": "input_text", "text": "x" * beside}] if beside else []
    body = {"model": model, "input": [{"role": "user", "content": parts}], "max_output_tokens": 900, "store": False}
    with gateway.client() as client:
        reply = client.ask("POST", "/v1/responses", body, key=key)
        return reply.status, reply.json()


def right(line: Line, status: int) -> bool:
    """`policy` is what an operator may switch on, and nobody has."""
    if line.group == "rebinding":  # a hosts file has one answer
        return status in (200, 400)
    return status == (200 if line.expected == "allow" else 400)


async def main(folder: Path, paths: list[Path]) -> None:
    for route in (
        ("link", "set", "lo", "up"),
        ("route", "add", "local", "0.0.0.0/0", "dev", "lo"),
        ("-6", "route", "add", "local", "::/0", "dev", "lo"),
    ):
        subprocess.run(["ip", *route], check=True, timeout=10)
    corpora = [read(path) for path in paths]
    lines = [line for corpus in corpora for line in corpus.lines]
    answers = {name: looks for corpus in corpora for name, looks in corpus.answers.items()}
    (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(hosts(answers)))
    subprocess.run(["mount", "--bind", str(folder / "hosts"), "/etc/hosts"], check=True, timeout=10)
    addresses, names = public(lines, answers)
    secure, _ = certificate(folder, names | answers.keys())
    web = Web({path: target for corpus in corpora for path, target in corpus.redirects.items()})
    accepted: list[str] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        local = ip_address(writer.get_extra_info("sockname")[0])
        accepted.append(str(getattr(local, "ipv4_mapped", None) or local))
        await web.serve(reader, writer)

    for port in PORTS:
        await asyncio.start_server(served, ["0.0.0.0", "::"], port, ssl=secure if port in (443, 8443) else None)
    found = await asyncio.to_thread(drive, folder, lines)
    print(json.dumps(found | {"inside": sorted(set(accepted) - addresses), "accepted": len(accepted)}))


def hosts(answers: dict[str, list[list[str]]]) -> Iterator[str]:
    for name, looks in answers.items():
        for address in looks[0]:
            try:
                yield f"{ip_address(address)} {name}\n"
            except ValueError:
                continue  # a failing look-up


def drive(folder: Path, lines: list[Line]) -> dict[str, Any]:
    with Simulator(folder) as simulator, Gateway(folder, settings(folder, simulator.url)) as gateway, ThreadPoolExecutor(8) as pool:
        gateway.cli("credit", "default", "1000")
        key = gateway.key()
        good = next(line.url for line in lines if line.expected == "allow" and line.url.endswith(".png"))
        before = simulator.state()["requests"]
        asked = list(pool.map(lambda line: ask(gateway, key, "inline", line.url), lines))
        calls = simulator.state()["requests"] - before
        bad = next(line.url for line in lines if "/liar.html" in line.url or "gzip-bomb" in line.url)
        found: dict[str, Any] = {
            "lines": len(lines),
            "wrong": [
                [line.url[:200], line.expected, status] for line, (status, _) in zip(lines, asked, strict=True) if not right(line, status)
            ],
            "served": sum(status == 200 for status, _ in asked),
            "calls": calls,
            "good": ask(gateway, key, "inline", good, good, good + "?again")[1],
            "large": [ask(gateway, key, "inline", url, beside=LARGE) for url in (good, bad)],
            "refused": ask(gateway, key, "inline", good, bad),
            "elsewhere": ask(gateway, key, "both", bad)[0],
            "many": ask(gateway, key, "inline", *(f"{good}?{number}" for number in range(21)))[0],
        }
        audited = audit(gateway, simulator)
        return found | {
            "endings": dict(audited.endings),
            "charged_failures": sum(r.charge for r in audited.requests if r.ending == "failed"),
        }


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]]))
