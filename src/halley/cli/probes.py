"""What the doctor asks over sockets: whether the port is free or who answers there, and how far each provider can be reached.

Only hosts that the configuration names are contacted, with no credential, and every step has a limit of a few seconds.
"""

from __future__ import annotations

import email.utils
import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from halley.config import Egress, Provider, Settings
from halley.providers.compatible import KINDS

_LIMIT_S = 5.0
_SKEW_S = 30.0


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `fix` says what to do, and is empty when there is nothing to do."""

    check: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""


class Reply(msgspec.Struct, frozen=True):
    """The part of an HTTP answer that a probe looks at. `skew_s` is how far its Date is ahead of this machine."""

    status: int
    request_id: str
    skew_s: float | None


def gateway_findings(settings: Settings, run: Path) -> Iterator[Finding]:
    """The listening address, and the processes behind it when Halley is what answers there."""
    server = settings.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # where to ask, not where to listen
    where = f"{server.host}:{server.port}"
    try:
        socket.create_connection((host, server.port), _LIMIT_S).close()
    except ConnectionRefusedError:
        yield Finding("port", "ok", f"{where} is free; Halley is not running there")
        return
    except OSError as fault:
        yield Finding("port", "fail", f"{where} cannot be used: {_why(fault)}", "choose another address: [server] host and port")
        return
    context = _context(Egress(), verify=False) if server.tls_cert else None
    try:
        health = _get(host, server.port, "/healthz", context)
        ready = _get(host, server.port, "/readyz", context)
    except (OSError, http.client.HTTPException) as fault:
        yield Finding(
            "port", "fail", f"{where} is taken by something that does not answer HTTP ({_why(fault)})", "stop it, or change [server] port"
        )
        return
    if health.status != 200 or not health.request_id:
        yield Finding("port", "fail", f"{where} is taken by another program", "stop it, or change [server] port")
        return
    yield Finding("port", "ok", f"Halley answers at {where}")
    if ready.status == 200:
        yield Finding("relay", "ok", "ready for requests")
    else:
        yield Finding("relay", "fail", f"not ready (/readyz says {ready.status})", "look at the log of `halley up`")
    yield _control(run / "admin.sock")


def _control(path: Path) -> Finding:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_LIMIT_S)
        try:
            probe.connect(str(path))
        except OSError as fault:
            return Finding("control", "fail", f"{path} does not answer: {_why(fault)}", "is HALLEY_HOME that of the running gateway?")
    return Finding("control", "ok", f"answers at {path}")


def provider_findings(settings: Settings) -> list[Finding]:
    """DNS, TCP, TLS and HTTP of each enabled provider, side by side so that one dead host does not hold up the rest."""
    enabled = [provider for provider in settings.providers if provider.enabled]
    if not enabled:
        return []
    with ThreadPoolExecutor(min(8, len(enabled))) as pool:
        rows = list(pool.map(partial(_reach, settings.egress), enabled))
    return [finding for row in rows for finding in row]


def _reach(egress: Egress, provider: Provider) -> list[Finding]:
    kind = KINDS.get(provider.kind)
    base = provider.base_url or (kind.base_url if kind else "")
    name = f"provider {provider.name}"
    if not base:
        return [Finding(name, "fail", f'kind "{provider.kind}" has no host of its own', "set base_url")] if provider.kind != "local" else []
    parts = urlsplit(base)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    context = _context(egress) if parts.scheme == "https" else None
    step = "DNS"
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        step = "TCP"
        socket.create_connection((host, port), _LIMIT_S).close()
        step = "HTTP" if context is None else "TLS"
        reply = _get(host, port, f"{parts.path.rstrip('/')}/models", context)
    except (OSError, http.client.HTTPException) as fault:
        step = "HTTP" if step == "TLS" and not isinstance(fault, ssl.SSLError) else step
        return [Finding(name, "fail", f"{step} to {host}:{port}: {_why(fault)}", _FIXES[step])]
    steps = "DNS, TCP, TLS and HTTP" if context else "DNS, TCP and HTTP"
    found = [Finding(name, "ok", f"{host}:{port}: {steps} work (status {reply.status} without a key)")]
    if reply.skew_s is not None and abs(reply.skew_s) > _SKEW_S:
        direction = "behind" if reply.skew_s > 0 else "ahead of"
        found.append(Finding("clock", "warn", f"this machine is {abs(reply.skew_s):.0f} s {direction} {host}", "synchronise the clock"))
    return found


_FIXES = {
    "DNS": "is the name right, and does this machine's resolver know it?",
    "TCP": "does a firewall stand between? Halley needs a direct way to its providers",
    "TLS": "is the certificate right, or does a proxy with its own authority stand between ([egress] ca_file)?",
    "HTTP": "is base_url that of an HTTP API?",
}


def _context(egress: Egress, *, verify: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if egress.ca_file:
        context.load_verify_locations(egress.ca_file)
    if not verify:
        # Our own listener on this machine: its certificate names another host.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _get(host: str, port: int, path: str, context: ssl.SSLContext | None) -> Reply:
    """One GET without credentials. Raises OSError or HTTPException."""
    if context is None:
        connection = http.client.HTTPConnection(host, port, timeout=_LIMIT_S)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=_LIMIT_S, context=context)
    try:
        connection.request("GET", path, headers={"accept": "application/json", "user-agent": "halley-doctor"})
        reply = connection.getresponse()
        return Reply(reply.status, reply.getheader("x-request-id") or "", _skew(reply.getheader("date")))
    finally:
        connection.close()


def _skew(date: str | None) -> float | None:
    if not date:
        return None
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return None


def _why(fault: Exception) -> str:
    return (fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)) or type(fault).__name__
