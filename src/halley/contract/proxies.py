"""Which proxy of the environment a request goes through, by the rules that the usual clients keep. Pure.

`https_proxy` is for https, `http_proxy` for http, `all_proxy` for both, small letters before capitals; `no_proxy` lists the hosts that
are reached directly: a name with all below it, an address, a network, each with or without a port, or `*`.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from halley.secret import Secret

VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")
_PORTS = {"http": 80, "https": 443}


class Proxy(msgspec.Struct, frozen=True):
    """`unsupported` is the scheme of one that is spoken to in another way than plain HTTP; empty if it can be used."""

    variable: str
    host: str
    port: int
    password: Secret | None = None
    """User and password as they go into `Proxy-Authorization`."""
    unsupported: str = ""

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}" if self.host else "one without a host"


def is_proxy(variable: str) -> bool:
    """Whether a variable names a proxy, not what goes around one."""
    return not variable.upper().startswith("NO_")


def choose(environ: Mapping[str, str], url: str) -> Proxy | None:
    """The proxy for this URL, or None for a direct connection."""
    parts = urlsplit(url)
    wanted = (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    variable = next((name for name in wanted if environ.get(name, "").strip()), "")
    if not variable or _goes_around(environ, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)):
        return None
    return _read(variable, environ[variable].strip())


def _read(variable: str, text: str) -> Proxy:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 1080)
    except ValueError:
        return Proxy(variable, "", 0, unsupported="no address that can be read")
    if not host:
        return Proxy(variable, "", 0, unsupported="no address that can be read")
    scheme = parts.scheme if parts.scheme.isalnum() and len(parts.scheme) <= 10 else "another scheme"
    given = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    password = Secret(b64encode(given.encode()).decode()) if parts.username else None
    return Proxy(variable, host, port, password, "" if scheme == "http" else f"{scheme}://")


def passwords(environ: Mapping[str, str]) -> list[str]:
    """What stands before an `@` in any of the variables: none of it is for a record."""
    found: list[str] = []
    for variable in VARIABLES:
        user, at, _ = environ.get(variable, "").rpartition("://")[2].rpartition("@")
        if at:
            found += [user, unquote(user), user.partition(":")[2], unquote(user.partition(":")[2])]
    return [each for each in dict.fromkeys(found) if each]


def _goes_around(environ: Mapping[str, str], host: str, port: int) -> bool:
    listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(_covers(entry.strip().lower(), host.lower(), port) for entry in listed.split(",") if entry.strip())


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit() and (":" not in name or name.startswith("[")):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    try:
        address = ipaddress.ip_address(host)
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    entry = entry.removeprefix("*").removeprefix(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))
