"""Who is really calling: the address of the connection, or what a trusted proxy says about it.

`X-Forwarded-For` is believed only from a configured address, and only up to the first address that is not such a proxy, read from the
right: everything further left was written by the caller.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halley.net.server import Request


class Peers:
    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = tuple(ipaddress.ip_network(network, strict=False) for network in trusted)

    def address(self, request: Request) -> str:
        peer = request.connection.peer
        if not self._trusted or not self._is_trusted(peer):
            return peer
        for hop in reversed(request.fields.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
            hop = hop.strip()
            if not hop:
                break
            peer = hop
            if not self._is_trusted(hop):
                break
        return peer

    def _is_trusted(self, text: str) -> bool:
        return within(text, self._trusted)


def within(text: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    """Whether an address as text lies in one of the networks; what is no address lies nowhere."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)
