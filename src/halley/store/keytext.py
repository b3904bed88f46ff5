"""The text of a client key: `sk-`, 32 random characters, 6 characters of checksum; and the digest it is stored as. That of a personal
access token is the same behind `pat-`.

The checksum lets a relay refuse junk without a look-up. The text is shown once and never stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import zlib

from halley.secret import Secret, SecretBytes

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY = "sk-"
TOKEN = "pat-"  # noqa: S105 (what they begin with)


def make(prefix: str = KEY) -> str:
    body = "".join(secrets.choice(_BASE62) for _ in range(32))
    return f"{prefix}{body}{checksum(body)}"


def checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits


def well_formed(key: str, prefix: str = KEY) -> bool:
    body, check = key[len(prefix) : -6], key[-6:]
    return key.startswith(prefix) and len(body) == 32 and all(c in _BASE62 for c in body) and checksum(body) == check


def digest(pepper: SecretBytes, key: Secret) -> bytes:
    return hmac.digest(pepper.reveal(), key.reveal().encode(), hashlib.sha256)


def shown(key: str) -> str:
    """What lists show of a key: the first five and the last four characters."""
    return f"{key[:5]}…{key[-4:]}"
