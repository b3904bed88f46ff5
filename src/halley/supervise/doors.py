"""What a node holds while it runs: its directories, the lock on its home, the listening socket. Each refusal says what would be right."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import MutableMapping
from pathlib import Path

import msgspec

from halley.errors import HalleyError

BACKLOG = 4096
# How long who has begun to connect may take until the socket is closed.
HANDSHAKE_S = 0.1
# How long the children of a supervisor that was killed may take to notice it.
_ORPHANS_S = 5.0
# How long who asks whether a node runs may have its lock.
_PROBE_S = 0.1
_FIRST_PASSED_FD = 3
_OUR_NAME = "http"
# By one of these a home is known; what may stand in a directory that is to become one.
_OURS = {"up.lock", "store.lock", "halley.db", "master.key"}
_NOBODYS = {"halley.toml", "evidence", "lost+found"}


class CannotStart(HalleyError):
    """The node cannot start, and the message says what would let it."""


def home_directory(path: Path) -> None:
    """Makes HALLEY_HOME, for its owner only. Raises CannotStart as `private_directory`, and for a directory that is full of other things:
    whose permissions would change under somebody's feet."""
    try:
        found = set(os.listdir(path))
    except FileNotFoundError:
        found = set[str]()
    except OSError as fault:
        raise _unusable(path, fault) from None
    if found - _NOBODYS and not found & _OURS:
        raise CannotStart(f"{path} holds other things than a home of Halley's; set HALLEY_HOME to a new or empty directory.")
    private_directory(path)


def private_directory(path: Path) -> None:
    """Creates it for its owner only. Raises CannotStart when it is somebody else's or no directory."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In a shared temporary directory somebody else may have put a link in its place.
        if path.lstat().st_uid not in (os.getuid(), 0) or path.stat().st_uid != os.getuid():
            raise CannotStart(f"{path} belongs to another user; set HALLEY_HOME to a directory of your own.")
        path.chmod(0o700)
    except OSError as fault:
        raise _unusable(path, fault) from None


def _unusable(path: Path, fault: OSError) -> CannotStart:
    return CannotStart(f"{path} cannot be used: {fault.strerror}; set HALLEY_HOME to a directory that can be written.")


def node_runs(home: Path) -> bool:
    """Whether a supervisor has this home. Another process may have the number of one that was killed: the lock must be held, too."""
    try:
        fd = os.open(home / "up.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        if not holder.isdigit() or not _alive(holder):
            return False
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class Status(msgspec.Struct, frozen=True):
    """Who serves on a home: the content of its `up.json`, which is there while everything serves. `reloads` counts the reloads that came to
    their end, one way or the other; `refused` says why the last one changed nothing, empty when it did."""

    pid: int
    port: int
    url: str
    children: dict[str, int]
    reloads: int = 0
    refused: str = ""


def write_status(home: Path, status: Status) -> None:
    fresh = home / "up.new"
    fresh.write_bytes(msgspec.json.encode(status))
    fresh.replace(home / "up.json")


def forget_status(home: Path) -> None:
    (home / "up.json").unlink(missing_ok=True)


def status(home: Path) -> Status | None:
    """None when no node serves on that home; what a killed one left behind does not count."""
    try:
        found = msgspec.json.decode((home / "up.json").read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if node_runs(home) else None


def lock_home(home: Path) -> int:
    """The descriptor of the lock on a home, which the children inherit: it is free only when the last process of the node is gone."""
    path = home / "up.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise _unusable(home, fault) from None
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            waited = time.monotonic() - began
            if waited > _ORPHANS_S or (_alive(holder) and waited > _PROBE_S):
                os.close(fd)
                process = f"process {holder}" if holder else "another process"
                raise CannotStart(
                    f"{home} is in use by {process}; stop that `halley up` or set HALLEY_HOME to another directory."
                ) from None
            time.sleep(0.02)
        else:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            return fd


def _alive(pid: str) -> bool:
    """Whether a supervisor of that number runs; one that is still writing its number counts as alive."""
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def listening_socket(host: str, port: int, environ: MutableMapping[str, str]) -> tuple[socket.socket, bool]:
    """The socket that a service manager passed (LISTEN_FDS, for this process only), else a new one; whether it was passed."""
    # Taken out of the environment: they are not meant for the children.
    pid, count, names = [environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")]
    if pid == str(os.getpid()) and count:
        return _passed(count, names.split(":")), True
    return bind(host, port), False


def _passed(count: str, names: list[str]) -> socket.socket:
    """The only socket, or of several the one that is called `http`."""
    if count == "1":
        descriptor = _FIRST_PASSED_FD
    elif names.count(_OUR_NAME) == 1 and count == str(len(names)):
        descriptor = _FIRST_PASSED_FD + names.index(_OUR_NAME)
    else:
        raise CannotStart(
            f"LISTEN_FDS is {count}: Halley serves on exactly one socket; name one in the socket unit, or call it "
            f"FileDescriptorName={_OUR_NAME}."
        )
    try:
        passed = socket.socket(fileno=descriptor)
        listens = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        raise CannotStart(f"LISTEN_FDS names descriptor {descriptor}, which is not a socket.") from None
    if passed.type != socket.SOCK_STREAM or not listens:
        raise CannotStart("The passed socket is not a listening stream socket; the socket unit needs ListenStream=, and no Accept=yes.")
    os.set_inheritable(descriptor, False)
    return passed


def bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(
            address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
        )
    except socket.gaierror as fault:
        raise CannotStart(f'The host "{host}" cannot be resolved ({fault.strerror}); choose one of this machine with --host.') from None
    except OSError as fault:
        raise CannotStart(_why_not(fault, host, port)) from None


def shut(listening: socket.socket) -> None:
    """Nobody can begin to connect any more, in no process that has this socket; who is in its queue, or on the way there, still comes.

    A client that knocks meanwhile knocks again after a second, and is refused once the last holder has closed the socket; without this
    it could enter between the last look into the queue and that moment, and be reset. Without socket filters nothing is done.
    """
    code = b"".join(struct.pack("=HBBI", *step) for step in _NO_NEWCOMERS)
    steps = ctypes.create_string_buffer(code, len(code))
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(_NO_NEWCOMERS), ctypes.addressof(steps)))


# A classic BPF program (man 7 socket; linux/filter.h) on TCP segments: a first one (SYN without ACK in the flags at 13) is dropped.
_SO_ATTACH_FILTER = 26
_NO_NEWCOMERS = (
    (0x30, 0, 0, 13),  # load the byte at 13
    (0x54, 0, 0, 0x12),  # of it SYN and ACK
    (0x15, 0, 1, 0x02),  # if SYN alone
    (0x06, 0, 0, 0),  # take none of it
    (0x06, 0, 0, 0xFFFFFFFF),  # else all
)


def _why_not(fault: OSError, host: str, port: int) -> str:
    match fault.errno:
        case errno.EADDRINUSE:
            return f"Port {port} on {host} is taken by another program; stop it or choose another port with --port."
        case errno.EACCES:
            return f"Port {port} needs rights that this user does not have; choose one above 1023 with --port."
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine; choose another with --host."
        case _:
            return f"Cannot listen on {host} port {port}: {fault.strerror}."


def port_of(listening: socket.socket) -> int:
    """0 for a Unix socket."""
    return 0 if listening.family == socket.AF_UNIX else listening.getsockname()[1]


def base_url(listening: socket.socket, scheme: str) -> str:
    """The URL under which a program on this machine reaches the socket; of a Unix socket `unix:` and its path, which curl takes apart."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(listening.getsockname())}"
    address: tuple[str, int] = listening.getsockname()[:2]
    host, port = address
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{near}]:{port}" if ":" in near else f"{scheme}://{near}:{port}"
