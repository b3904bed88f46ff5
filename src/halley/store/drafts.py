"""Files that appear whole or not at all, whoever is killed meanwhile: drafted in a directory of their own beside their place, which nobody
else can enter, and named when they are on disk. A name that is taken is never overwritten.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from halley.errors import HalleyError


class NotWritten(HalleyError):
    """The file is not there, or was there before; the message says why."""


@contextmanager
def draft(target: Path) -> Generator[Path]:
    """A path to write the file to, mode 0600; it becomes `target` when the block ends without an exception. Raises NotWritten."""
    try:
        if os.path.lexists(target):
            raise NotWritten(f"{target} is there already, and nothing is overwritten; name a file that is not.")
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=target.parent) as directory:
            path = Path(directory) / "draft"
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            yield path
            _settle(path, target)
    except OSError as fault:
        if isinstance(fault, FileExistsError):
            raise NotWritten(f"{target} is there already, and nothing is overwritten; name a file that is not.") from None
        raise NotWritten(f"{target} cannot be written: {fault.strerror or fault}") from None


def _settle(path: Path, target: Path) -> None:
    _sync(path, os.O_RDONLY)
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise FileExistsError from None
        path.rename(target)
    _sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
