"""nginx and haproxy in front of a gateway, as lenient as they can be made, with few connections to it that all clients share.

Each says how many requests it handed on; a gateway that answered more than that has been talked into one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soak.campaign import Unavailable
from tests.harness.process import until

SHARED = 2  # connections to the gateway

_NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/nginx.error.log crit;
events {{ worker_connections 1024; }}
http {{
  log_format handed "$upstream_status $request_uri";
  access_log {place}/handed.log handed;
  client_body_temp_path {place}/nginx.body;
  proxy_temp_path {place}/nginx.proxy;
  fastcgi_temp_path {place}/nginx.fastcgi;
  uwsgi_temp_path {place}/nginx.uwsgi;
  scgi_temp_path {place}/nginx.scgi;
  keepalive_requests 1000000000;
  ignore_invalid_headers off;
  underscores_in_headers on;
  merge_slashes off;
  upstream gateway {{
    server 127.0.0.1:{gateway};
    keepalive {shared};
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://gateway;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_next_upstream off;
    }}
  }}
}}
"""
_HAPROXY = """\
global
  nbthread 1
  stats socket {place}/haproxy.sock level user
defaults
  mode http
  {lenient}
  retries 0
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
listen gateway
  bind 127.0.0.1:{port}
  server relay 127.0.0.1:{gateway} pool-max-conn {shared} pool-low-conn {shared}
"""
_LENIENT = "option accept-invalid-http-request\n  option h1-case-adjust-bogus-server"


class Front:
    """`address` is where it listens."""

    def __init__(self, name: str, place: Path, port: int) -> None:
        self.name = name
        self.address = ("127.0.0.1", port)
        self._place = place

    def handed_on(self) -> int:
        """Requests that were sent to the gateway so far."""
        if self.name == "nginx":
            return sum(not line.startswith("- ") for line in (self._place / "handed.log").read_text(errors="replace").splitlines())
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._place / "haproxy.sock"))
            connection.sendall(b"show stat\n")
            said = b""
            while piece := connection.recv(65536):
                said += piece
        names, *rows = (line.split(",") for line in said.decode().removeprefix("# ").splitlines() if line)
        return next(int(dict(zip(names, row, strict=False))["stot"]) for row in rows if row[1] == "relay")


NAMES = ("nginx", "haproxy", "haproxy-lenient")


@contextmanager
def front(name: str, place: Path, gateway: int) -> Iterator[Front]:
    """A running front of one kind before the gateway on that port. Raises Unavailable."""
    program = name.partition("-")[0]
    if shutil.which(program) is None:
        raise Unavailable(f"{program} is not installed (Debian package {program})")
    place.mkdir()
    port = _free_port()
    path = place / "configuration"
    if program == "nginx":
        user = "user root;" if os.geteuid() == 0 else ""
        path.write_text(_NGINX.format(user=user, place=place, port=port, gateway=gateway, shared=SHARED))
        command = ["nginx", "-e", str(place / "nginx.error.log"), "-p", str(place), "-c", str(path)]
    else:
        lenient = _LENIENT if name.endswith("lenient") else ""
        path.write_text(_HAPROXY.format(lenient=lenient, place=place, port=port, gateway=gateway, shared=SHARED))
        command = ["haproxy", "-db", "-f", str(path)]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: _listens(port) or process.poll() is not None, lambda: (place / "log").read_text(errors="replace"))
        assert process.poll() is None, (place / "log").read_text(errors="replace")
        yield Front(name, place, port)
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
