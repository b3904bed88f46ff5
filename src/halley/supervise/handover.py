"""How a supervisor gives way to a new version of itself without a gap: the same process runs the program anew and keeps what it holds.

First a rehearsal: the same command as another process, which reads the configuration and loads the code, says what it read, and ends. Only
what it said is used afterwards, so that a file that is changed once more meanwhile cannot end the node. Settings may hold secrets: they
pass through memory only.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, NoReturn, cast

import msgspec

from halley.config import Launch, Settings
from halley.secret import hidden, revealed

_VARIABLE = "HALLEY_HANDOVER"
_REHEARSAL = "rehearsal"


class Noted(msgspec.Struct, frozen=True):
    """`Holdings` by their descriptors."""

    listening: int
    passed: bool
    upstream: int
    lock: int
    life: tuple[int, int]


class Holdings(NamedTuple):
    """What a node has while it runs: the socket where clients come in (`passed`: a service manager keeps it for the next node), the one of
    the embedded upstream, the lock on its home, and the pipe whose end tells the children that their supervisor is gone."""

    listening: socket.socket
    passed: bool
    upstream: socket.socket
    lock: int
    life: tuple[int, int]

    def noted(self) -> Noted:
        return Noted(self.listening.fileno(), self.passed, self.upstream.fileno(), self.lock, self.life)

    @classmethod
    def of(cls, noted: Noted) -> Holdings:
        listening, upstream = socket.socket(fileno=noted.listening), socket.socket(fileno=noted.upstream)
        return cls(listening, noted.passed, upstream, noted.lock, noted.life)


class Kept(msgspec.Struct, frozen=True):
    """A child that goes on running. `channel` is a descriptor, -1 once the child has closed it; times are those of the monotonic clock."""

    post: str
    role: Literal["child", "successor", "leaving"]
    pid: int
    channel: int
    ready: bool
    leaving: bool
    started: float
    deadline: float | None


class Handover(msgspec.Struct, frozen=True):
    """Everything that the next program needs. `code` and `control` are fingerprints of what the children run."""

    settings: Settings
    held: Noted
    code: str
    control: str
    reloads: int
    children: tuple[Kept, ...]

    @property
    def descriptors(self) -> list[int]:
        channels = [child.channel for child in self.children if child.channel >= 0]
        held = self.held
        return [held.listening, held.upstream, held.lock, *held.life, *channels]


class Rehearsal:
    """The next start, tried out in a process of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        self._said, self._complaints = _memory("said"), _memory("complaints")
        environ = {**os.environ, _VARIABLE: _REHEARSAL}
        self._process = subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._complaints, process_group=0
        )

    @property
    def over(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def result(self) -> Settings | str:
        """The settings that it read, or its last words."""
        self._said.seek(0)
        self._complaints.seek(0)
        complaints = self._complaints.read()[-10_000:].decode("utf-8", "replace").strip()
        if self._process.returncode == 0:
            try:
                return Launch.unpack(self._said.read()).settings
            except msgspec.MsgspecError as fault:
                return f"this version does not understand what the next one reads: {fault}"
        return complaints or f"it ended with exit code {self._process.returncode}"


def rehearses() -> bool:
    """Whether this process is a rehearsal, which takes no lock and no socket."""
    return os.environ.get(_VARIABLE) == _REHEARSAL


def takes_over() -> bool:
    return _VARIABLE in os.environ and not rehearses()


def receive(environ: MutableMapping[str, str]) -> Handover | None:
    """What the program before this one left in this process; None at an ordinary start."""
    text = environ.pop(_VARIABLE, "")
    if not text.isdigit():
        return None
    with os.fdopen(int(text), "rb") as file:
        handover = msgspec.json.decode(file.read(), type=Handover, dec_hook=hidden)
    for descriptor in handover.descriptors:
        os.set_inheritable(descriptor, False)
    return handover


def hand_over(handover: Handover, command: Sequence[str]) -> NoReturn:
    """Runs the program anew in this process. Raises OSError, nothing having changed."""
    descriptors = handover.descriptors
    note = os.memfd_create("halley-handover", 0)
    try:
        os.write(note, msgspec.json.encode(handover, enc_hook=revealed))
        os.lseek(note, 0, os.SEEK_SET)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        os.execve(command[0], list(command), {**os.environ, _VARIABLE: str(note)})
    except OSError:
        os.close(note)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        raise


def _memory(name: str) -> IO[bytes]:
    return os.fdopen(os.memfd_create(name), "w+b")


def own_command() -> tuple[str, ...]:
    """The command that this process was started with."""
    return (sys.executable, *sys.orig_argv[1:])


def code_fingerprint() -> str:
    """Another one when the installed code is another one."""
    digest = hashlib.sha256(sys.version.encode())
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        status = path.stat()
        digest.update(f"{path.relative_to(package)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def control_fingerprint(settings: Settings, code: str) -> str:
    """Another one when control would be started with other settings or other secrets. Relays alone follow the rest."""
    own = {
        name: part
        for name, part in msgspec.to_builtins(settings, enc_hook=revealed).items()
        if name not in ("server", "upstream", "limits", "egress")
    }
    digest = hashlib.sha256(msgspec.json.encode([code, own, settings.server.public_url], order="deterministic"))
    for secret in sorted(_files(own)):
        try:
            digest.update(Path(secret).expanduser().read_bytes())
        except OSError:
            digest.update(b"absent")
    return digest.hexdigest()


def _files(part: Any) -> set[str]:
    """The paths of all `file:` references in a document."""
    match part:
        case dict():
            return set[str]().union(*map(_files, cast(dict[str, Any], part).values()))
        case list() | tuple():
            return set[str]().union(*map(_files, cast(list[Any], part)))
        case str() if part.startswith("file:"):
            return {part.removeprefix("file:")}
        case _:
            return set()
