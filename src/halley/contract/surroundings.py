"""What a run was made in: where it went, which variables it read, what stood between. Names of headers and variables, never their values.

Two runs that differ are told apart here first: a test that passes in one place and fails in another mostly differs in one of these.
"""

from __future__ import annotations

import platform
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools
import msgspec

from halley import __version__
from halley.contract.proxies import VARIABLES, is_proxy

MOCK = "the mock itself"
"""Where the key of a run against the built-in simulator comes from."""
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


class Surroundings(msgspec.Struct, frozen=True):
    """In the order in which differences are looked for. Lists of variables hold names, sorted, of those that are set."""

    base_url: str
    endpoint_root: str
    environment: str
    key_from: str
    variables_read: tuple[str, ...]
    headers_sent: tuple[str, ...]
    proxy_used: str
    """Host and port, and the variable that names it; empty if the endpoint was reached directly."""
    proxy_variables: tuple[str, ...]
    proxy_hosts: tuple[str, ...]
    resolved_address: str
    """That was connected to: the endpoint's, or the proxy's."""
    ca_variables: tuple[str, ...]
    ca_file: str
    timeout_s: float
    halley: str
    python: str
    openssl: str
    httptools: str
    platform: str


def look(
    environ: Mapping[str, str], *, base: str, root: str, address: str, environment: str, key_from: str, read: tuple[str, ...],
    headers: tuple[str, ...], timeout_s: float, proxy: str,
) -> Surroundings:  # fmt: skip
    proxies = tuple(name for name in VARIABLES if environ.get(name))
    paths = ssl.get_default_verify_paths()
    return Surroundings(
        base_url=base, endpoint_root=root, resolved_address=address, environment=environment, key_from=key_from, variables_read=read,
        headers_sent=headers, proxy_variables=proxies,
        proxy_hosts=tuple(sorted({host for name in proxies if is_proxy(name) and (host := _host(environ[name]))})),
        proxy_used=proxy, ca_variables=tuple(name for name in CERTIFICATES if environ.get(name)), ca_file=paths.cafile or "",
        timeout_s=timeout_s, halley=__version__, python=platform.python_version(), openssl=ssl.OPENSSL_VERSION,
        httptools=httptools.__version__, platform=f"{platform.system()} {platform.machine()}",
    )  # fmt: skip


def _host(proxy: str) -> str:
    """Host and port of a proxy's address; a user and password in it stay out."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return ""


def set_in(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if environ.get(name))
