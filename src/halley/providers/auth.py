"""How an upstream wants its credential: one function per scheme, giving header lines. The only place that writes an upstream secret."""

from __future__ import annotations

from halley.secret import Secret


def bearer(api_key: Secret) -> bytes:
    return f"authorization: Bearer {api_key.reveal()}\r\n".encode("latin-1") if api_key else b""


SCHEMES = {"bearer": bearer}
