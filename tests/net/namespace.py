"""Runs in a network namespace of its own, where every address answers: fetches all lines of a corpus and prints what was connected to.

Arguments: the event loop, a folder for certificates, then corpora. The namespace counts all connections that were begun, so that one to a
port on which nobody listens is seen too. The result is one JSON object on stdout.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlsplit

from hostile_web import Line, Resolver, Web, read
from net_harness import LOOPS

from halley.errors import Refused
from halley.net.clock import Clock
from halley.net.egress import Caps, Egress, Fetch, Fetched, Wanted

PICTURES = Wanted(frozenset({"image/png", "image/jpeg"}), 1 << 20)
PORTS = (80, 443, 22, 25, 70, 5432, 6379, 8000, 8080, 8443, 11211)
REBINDINGS = 1000


class Inbox:
    def __init__(self) -> None:
        self.ended: asyncio.Future[Fetched | Refused] = asyncio.get_running_loop().create_future()

    def fetched(self, fetch: Fetch, content: Fetched) -> None:
        self.ended.set_result(content)

    def refused(self, fetch: Fetch, refusal: Refused) -> None:
        self.ended.set_result(refusal)


def begun() -> tuple[int, int]:
    """Connections that this namespace has begun, and datagrams that it has sent."""
    tables: dict[str, dict[str, str]] = {}
    lines = Path("/proc/net/snmp").read_text(encoding="ascii").splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        title, *keys = names.split()
        tables[title] = dict(zip(keys, values.split()[1:], strict=True))
    return int(tables["Tcp:"]["ActiveOpens"]), int(tables["Udp:"]["OutDatagrams"])


def public(corpus_lines: list[Line], answers: dict[str, list[list[str]]]) -> tuple[set[str], set[str]]:
    """The addresses and names that lines which must be served lead to; by those alone, not by the judge of URLs."""
    names = {urlsplit(line.url).hostname or "" for line in corpus_lines if line.expected != "block"} - {""}
    names = {name.rstrip(".").encode("idna").decode() if not name.isascii() else name.rstrip(".") for name in names} | {"dual.test"}
    addresses = {answer for name in names for look in answers.get(name, []) for answer in look}
    literals = {name for name in names if name not in answers}
    return {str(ip_address(address)) for address in addresses | literals}, names


def certificate(folder: Path, names: set[str]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    listed = ",".join(f"{'IP' if ':' in name or name.replace('.', '').isdigit() else 'DNS'}:{name}" for name in sorted(names))
    (folder / "ext").write_text(f"subjectAltName={listed}\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext")
    for arguments in (
        ("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2"),
        ("req", *curve, "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=public"),
        ("x509", "-req", "-in", "csr.pem", "-out", "cert.pem", *signing),
    ):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "ca.pem"))


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
    addresses, names = public(lines, answers)
    server_ssl, client_ssl = certificate(folder, names | answers.keys())
    web = Web({path: target for corpus in corpora for path, target in corpus.redirects.items()})
    accepted: list[str] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        local = ip_address(writer.get_extra_info("sockname")[0])
        accepted.append(str(getattr(local, "ipv4_mapped", None) or local))
        await web.serve(reader, writer)

    for port in PORTS:
        await asyncio.start_server(served, ["0.0.0.0", "::"], port, ssl=server_ssl if port in (443, 8443) else None)

    clock = Clock(0.05)
    clock.start(asyncio.get_running_loop())
    limits = {"total_s": 0.7, "connect_s": 0.5, "first_byte_s": 0.5}
    resolver = Resolver(answers)
    egresses = [
        Egress(clock, Caps(plain_http=plain, **limits), ssl_context=client_ssl, resolve=resolver)
        for plain in (False, True)  # type: ignore[arg-type]
    ]

    async def fetch(egress: Egress, url: str) -> Fetched | Refused:
        inbox = Inbox()
        egress.fetch(url, PICTURES, inbox)
        return await inbox.ended

    wrong: list[list[str]] = []
    for line in lines:
        narrow, wide = [isinstance(await fetch(egress, line.url), Fetched) for egress in egresses]
        allowed = {"block": [(False, False)], "policy": [(False, True), (False, False)], "allow": [(True, True)]}[line.expected]
        if line.group == "rebinding":
            allowed = [
                (False, False),
                (True, True),
                (False, True),
                (True, False),
            ]  # which answer is the first differs; where it leads is counted
        if (narrow, wide) not in allowed:
            wrong.append([line.url, str(narrow), str(wide)])
        for scheme, egress in (("https", egresses[0]), ("https", egresses[1]), ("http", egresses[1])):
            target = quote(line.url.encode("utf-8", "surrogatepass"), safe="")
            redirected = await fetch(egress, f"{scheme}://public.test/r?to={target}")
            if line.expected == "block" and line.group != "rebinding" and isinstance(redirected, Fetched):
                wrong.append([f"redirect from {scheme} to {line.url}"])
    for _ in range(REBINDINGS):
        await fetch(egresses[1], "http://rebind.test/cat.png")
    connections, datagrams = begun()
    await asyncio.sleep(0.1)
    inside = sorted(set(accepted) - addresses)
    print(
        json.dumps(
            {"lines": len(lines), "accepted": len(accepted), "inside": inside, "begun": connections, "datagrams": datagrams, "wrong": wrong}
        )
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=LOOPS[sys.argv[1]]) as runner:
        runner.run(main(Path(sys.argv[2]), [Path(argument) for argument in sys.argv[3:]]))
