"""Where the master key is kept: a file of 64 hex digits that its owner alone can read, or an environment variable; never the store.

Each place has room for two keys: the one in force, and during a rotation the next one (`PATH.next`, `NAME_NEXT`). A store opens with
whichever of them fits, so that a rotation which a crash broke off needs nobody's help.
"""

from __future__ import annotations

import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from halley import logs
from halley.redaction import is_path, is_variable
from halley.secret import Secret, SecretBytes
from halley.store.vault import Vault, VaultError

_HEX = 64


class Place(ABC):
    """`current` and `following` are None when that key is not there; both raise VaultError for one that is no key or not private."""

    @abstractmethod
    def current(self) -> Vault | None: ...

    @abstractmethod
    def following(self) -> Vault | None: ...

    @abstractmethod
    def first(self) -> Vault:
        """The key of a new store: the one that is there, else a new one. Raises VaultError where none can be made."""

    @abstractmethod
    def draft(self) -> Vault:
        """The next key, safe on disk before it returns. Raises VaultError, saying what the operator must do first."""

    @abstractmethod
    def promote(self) -> None:
        """The next key is the one in force; the one before it is gone."""

    @abstractmethod
    def discard(self) -> None:
        """The next key was never used, and is gone."""

    @abstractmethod
    def absence(self) -> str:
        """What to say when an existing store's key is not there."""

    def opening(self, name: str, wrapped: bytes) -> tuple[Vault, Vault | None]:
        """The key that fits `wrapped`, and, when that is the next one already, the one before it for what is still wrapped under it.

        Raises VaultError when neither fits. Changes nothing.
        """
        now = self.current()
        if now is not None and now.fits(name, wrapped):
            return now, None
        then = self.following()
        if then is not None and then.fits(name, wrapped):
            return then, now or then
        if now is None:
            raise VaultError(self.absence())
        now.unwrap(name, wrapped)
        raise AssertionError


class File(Place):
    def __init__(self, path: Path) -> None:
        # A link to the key stays one: what is replaced is the file that it leads to.
        self._path = Path(os.path.realpath(path.expanduser()))
        self._next = self._path.with_name(self._path.name + ".next")
        # A key that was written in the place of a path is not shown.
        self._shown = str(self._path) if is_path(os.fspath(path)) else "that [secrets] master_key names"

    def __str__(self) -> str:
        return f"file:{self._path}"

    def current(self) -> Vault | None:
        return _vault(_read(self._path, self._shown), self._shown)

    def following(self) -> Vault | None:
        return _vault(_read(self._next, f"{self._shown}.next"), f"{self._shown}.next")

    def first(self) -> Vault:
        found = self.current()
        if found is None:
            _write(self._path, self._shown)
            found = self.current()
        if found is None:
            raise VaultError(self.absence())
        return found

    def draft(self) -> Vault:
        self._next.unlink(missing_ok=True)
        _write(self._next, f"{self._shown}.next")
        found = self.following()
        if found is None:
            raise VaultError(f"{self._shown}.next is gone again; another program keeps house in its directory.")
        return found

    def promote(self) -> None:
        try:
            self._next.replace(self._path)
        except FileNotFoundError:
            return  # it is already
        _settle(self._path.parent)

    def discard(self) -> None:
        self._next.unlink(missing_ok=True)

    def absence(self) -> str:
        return f"The master key file {self._shown} is missing, and the store needs it; restore it from your backup."


class Variable(Place):
    """Halley cannot change a variable: the operator sets both, and clears one."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._name = name
        self._next = f"{name}_NEXT"
        self._shown = name if is_variable(name) else "that [secrets] master_key names"
        self._environ = environ

    def __str__(self) -> str:
        return f"env:{self._name}"

    def current(self) -> Vault | None:
        return self._vault(self._name, self._shown)

    def following(self) -> Vault | None:
        return self._vault(self._next, f"{self._shown}_NEXT")

    def first(self) -> Vault:
        found = self.current()
        if found is None:
            raise VaultError(self.absence())
        return found

    def draft(self) -> Vault:
        found = self.following()
        if found is None:
            raise VaultError(
                f"The master key is in the environment variable {self._shown}, which Halley cannot change. First set "
                f"{self._shown}_NEXT to a new key (`openssl rand -hex 32`) beside it and restart the gateway; then run this command again."
            )
        return found

    def promote(self) -> None:
        """Nothing to do here: both are read until the operator moves the value."""

    def discard(self) -> None:
        """Nothing to do here: it is the operator's."""

    def absence(self) -> str:
        return f"The master key is missing: the environment variable {self._shown} is not set."

    def _vault(self, name: str, shown: str) -> Vault | None:
        text = self._environ.get(name, "").strip()
        return _vault(Secret(text) if text else None, f"the environment variable {shown}")


def place(reference: str, home: Path, environ: Mapping[str, str]) -> File | Variable:
    """The place that "file:PATH" or "env:NAME" names, or "" for HOME/master.key. Raises VaultError for anything else."""
    scheme, _, name = (reference or f"file:{home / 'master.key'}").partition(":")
    if scheme == "env" and name:
        return Variable(name, environ)
    if scheme == "file" and name:
        return File(Path(name))
    raise VaultError('[secrets] master_key must be "file:PATH" or "env:NAME"; the key itself does not belong into the configuration.')


def _vault(text: Secret | None, where: str) -> Vault | None:
    if text is None:
        return None
    try:
        master = SecretBytes(bytes.fromhex(text.reveal()) if len(text.reveal()) == _HEX else b"")
    except ValueError:
        master = SecretBytes(b"")
    if not master:
        raise VaultError(f"The master key in {where} must be {_HEX} hex digits; `openssl rand -hex 32` makes one.")
    logs.guard(text, master)
    return Vault(master, where)


def _read(path: Path, shown: str) -> Secret | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise VaultError(f"The master key file {shown} cannot be read: {fault.strerror}; run as its owner.") from None
    # Asked of the open file, so that nobody puts another in its place between the look and the reading.
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        os.close(descriptor)
        raise VaultError(f"The master key file {shown} is a directory.")
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        if not stat.S_ISREG(status.st_mode):
            raise VaultError(f"The master key file {shown} is not a regular file.")
        if status.st_uid not in (os.geteuid(), 0):
            raise VaultError(f"The master key file {shown} belongs to another user (uid {status.st_uid}): chown it.")
        if stat.S_IMODE(status.st_mode) & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise VaultError(f"The master key file {shown} is open to others (mode {mode:o}): chmod 600 {shown}")
        return Secret(file.read(1024).strip())


def _write(path: Path, shown: str) -> None:
    """A new key: whole or not there at all, readable by its owner only, and on disk when this returns."""
    text = Secret(secrets.token_hex(_HEX // 2))
    draft = path.with_name(path.name + ".new")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{text.reveal()}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _settle(path.parent)
    except OSError as fault:
        raise VaultError(
            f"The master key file {shown} cannot be written: {fault.strerror}; Halley needs write access to its directory."
        ) from None


def _settle(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
