"""The master key, and what it wraps. AES-256-GCM with the row's name as associated data, so that no wrapped value passes for another.

The master key itself is never in the store. It is a file of 64 hex digits (0600, made at the first start) or an environment variable.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from halley.errors import HalleyError

_NONCE = 12


class VaultError(HalleyError):
    """The master key is missing, malformed, or not the one that the store was made with."""


class Vault:
    """Wraps and unwraps small secrets under the master key."""

    __slots__ = ("_cipher", "_where")

    def __init__(self, master: bytes, where: str) -> None:
        self._cipher = AESGCM(master)
        self._where = where

    def wrap(self, name: str, secret: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """The secret. Raises VaultError when it was wrapped under another key or another name."""
        try:
            return self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], name.encode())
        except InvalidTag:
            raise VaultError(
                f"The store was made with another master key than the one in {self._where}; nothing was changed. "
                "Point [secrets] master_key at the key that belongs to this store."
            ) from None


def open_vault(reference: str, home: Path, environ: Mapping[str, str], *, fresh: bool) -> Vault:
    """The vault under `reference` ("file:PATH", "env:NAME", or "" for HOME/master.key). A file is made only for a `fresh` store."""
    scheme, _, name = (reference or f"file:{home / 'master.key'}").partition(":")
    if scheme == "env":
        text, where = environ.get(name, ""), f"the environment variable {name}"
        if not text.strip():
            raise VaultError(f"The master key is missing: {where} is not set.")
    elif scheme == "file":
        path = Path(name).expanduser()
        text, where = _read(path, fresh), str(path)
    else:
        raise VaultError('[secrets] master_key must be "file:PATH" or "env:NAME"; the key itself does not belong into the configuration.')
    try:
        master = bytes.fromhex(text.strip())
    except ValueError:
        master = b""
    if len(master) != 32:
        raise VaultError(f"The master key in {where} must be 64 hex digits; `openssl rand -hex 32` makes one.")
    return Vault(master, where)


def _read(path: Path, fresh: bool) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        if not fresh:
            raise VaultError(f"The master key file {path} is missing, and the store needs it; restore it from your backup.") from None
    except OSError as fault:
        raise VaultError(f"The master key file {path} cannot be read: {fault.strerror}.") from None
    text = secrets.token_hex(32) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return text
