"""What a credential is made of, by its provider's scheme: whether it is one, before anything is sent with it, and which pieces are secret.

A fault never repeats the credential.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from halley.providers.auth import SIGNERS, Outgoing
from halley.providers.row import ProviderKind
from halley.secret import Secret


class _KeyFile(msgspec.Struct):
    """Of a Google account's key the rest is names and addresses, which errors are full of."""

    private_key: str


def pieces(kind: ProviderKind, secret: Secret) -> tuple[Secret, ...]:
    """What of it nobody may see; all of it, if it is none of its scheme."""
    match kind.auth:
        case "google-service-account":
            try:
                return (Secret(msgspec.json.decode(secret.reveal(), type=_KeyFile).private_key),)
            except msgspec.DecodeError:
                return (secret,)
        case "aws-sigv4":
            return tuple(Secret(piece) for piece in secret.reveal().split(":", 2) if piece)
        case _:
            return (secret,)


def fault(kind: ProviderKind, secret: Secret, base_url: str, region: str) -> str | None:
    """What is wrong with it, in words for an operator; None for nothing."""
    request = Outgoing("POST", urlsplit(base_url or kind.base_url).netloc, "/", region=region)
    try:
        for scheme in sorted({kind.scheme(dialect) for dialect in kind.speaks}):
            if scheme == "google-service-account":
                from halley.providers.service_account import ServiceAccount  # its cryptography is slow to import

                ServiceAccount.read(secret)
            else:
                SIGNERS[scheme](secret, request, 0.0)
    except ValueError as wrong:
        return str(wrong)
    return None
