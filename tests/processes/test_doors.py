"""The listening socket at the end of a node."""

from __future__ import annotations

import contextlib
import errno
import select
import socket

import pytest

from halley.supervise.doors import bind, shut


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_shut_socket_keeps_who_has_come_takes_nobody_new_and_refuses_them_once_it_is_closed(host: str) -> None:
    listening = bind(host, 0)
    place = listening.getsockname()[:2]
    came = socket.create_connection(place, timeout=20)
    shut(listening)
    late = socket.socket(listening.family)
    late.setblocking(False)
    with came, late:
        with contextlib.suppress(BlockingIOError):
            late.connect(place)
        taken, _ = listening.accept()
        with taken:
            came.sendall(b"in")
            taken.settimeout(20)
            assert taken.recv(2) == b"in"
            listening.setblocking(False)
            with pytest.raises(BlockingIOError):
                listening.accept()
            listening.close()
            select.select([], [late], [], 20)
            assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
            taken.sendall(b"out")
            came.settimeout(20)
            assert came.recv(3) == b"out"
