"""The cipher of what the store must not hold plain: AES-256-GCM under the master key, with the row's name as associated data, so that no
wrapped value passes for another. Where the master key is kept is `store.masterkey`'s matter.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from halley.errors import HalleyError
from halley.secret import SecretBytes

_NONCE = 12


class VaultError(HalleyError):
    """The master key is missing, malformed, readable for others, or not the one that the store was made with."""


class Vault:
    """Wraps and unwraps small secrets under one master key. `where` says in words where that key is."""

    __slots__ = ("_cipher", "where")

    def __init__(self, master: SecretBytes, where: str) -> None:
        self._cipher = AESGCM(master.reveal())
        self.where = where

    def wrap(self, name: str, secret: SecretBytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret.reveal(), name.encode())

    def unwrap(self, name: str, wrapped: bytes) -> SecretBytes:
        """The secret. Raises VaultError when it was wrapped under another key or another name."""
        try:
            return SecretBytes(self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], name.encode()))
        except InvalidTag:
            raise VaultError(
                f"The store was made with another master key than the one in {self.where}; nothing was changed. "
                "Point [secrets] master_key at the key that belongs to this store."
            ) from None

    def fits(self, name: str, wrapped: bytes) -> bool:
        try:
            self.unwrap(name, wrapped)
        except VaultError:
            return False
        return True
