"""The two nginx of a run: the fake upstream that serves canned answers, and the reverse proxy that is the yardstick of every row."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bench.canned import BODIES
from bench.http import serves
from bench.processes import NotReady, Program, pinned

PATH = "/v1/chat/completions"
START_S = 10.0

_FRAME = """\
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 19456;
pid {directory}/{name}.pid;
error_log {directory}/{name}.error.log warn;
events {{ worker_connections 19456; }}
http {{
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  client_body_temp_path {directory}/{name}.body;
  proxy_temp_path {directory}/{name}.proxy;
  fastcgi_temp_path {directory}/{name}.fastcgi;
  uwsgi_temp_path {directory}/{name}.uwsgi;
  scgi_temp_path {directory}/{name}.scgi;
{servers}
}}
"""

# A POST on a file is 405 to nginx, and turning the error page into 200 serves it. A stream's last event is added to
# the file as a second one, which takes the length away, so that streams come in chunked framing as from a provider.
_CANNED = """\
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {directory};
    default_type {content_type};
    {chunked}
    error_page 405 =200 /{file};
    location / {{ try_files /{file} =404; }}
    location = /{file}.end {{ internal; }}
  }}
"""
_CHUNKED = "addition_types text/event-stream; add_after_body /canned.sse.end;"

_FORWARD = """\
  upstream {name} {{
    server 127.0.0.1:{upstream};
    keepalive 1024;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://{name};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_read_timeout 120s;
      {buffering}
    }}
  }}
"""
# Streams must not be held back. With its own buffer of 4 KiB each stream costs nginx many times the system calls, and twice the CPU.
WIDE = "proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 8 64k;"
AS_SHIPPED = "proxy_buffering off;"
# Silent streams need no room for much at a time; nginx keeps its buffer as long as the stream.
_BUFFERING = {"json": "", "idle": "proxy_buffering off;"}
_CONTENT_TYPES = {"json": "application/json", "sse": "text/event-stream"}


def upstream_configuration(directory: Path, ports: Mapping[str, int]) -> str:
    servers = [
        _CANNED.format(
            port=ports[kind],
            directory=directory,
            content_type=_CONTENT_TYPES[kind],
            chunked=_CHUNKED if kind == "sse" else "",
            file=f"canned.{kind}",
        )
        for kind in BODIES
    ]
    return _frame("upstream", directory, servers)


def proxy_configuration(directory: Path, name: str, ports: Mapping[str, int], upstreams: Mapping[str, int], buffers: str = WIDE) -> str:
    servers = [
        _FORWARD.format(name=kind, port=ports[kind], upstream=upstreams[kind], buffering=_BUFFERING.get(kind, buffers)) for kind in ports
    ]
    return _frame(name, directory, servers)


def _frame(name: str, directory: Path, servers: list[str]) -> str:
    # Workers started by root would become a user who cannot read the temporary directory.
    user = "user root;" if os.geteuid() == 0 else ""
    return _FRAME.format(user=user, name=name, directory=directory, servers="".join(servers))


def start(name: str, configuration: str, directory: Path, core: int, probe: str) -> tuple[Program, float]:
    """Starts an nginx and waits until `probe` (a URL) is answered; returns it and the seconds that took. Raises NotReady."""
    path = directory / f"{name}.conf"
    path.write_text(configuration)
    command = ["nginx", "-e", directory / f"{name}.error.log", "-p", directory, "-c", path]
    program = Program(pinned(core, command), directory / f"{name}.log")
    try:
        return program, program.wait_until(lambda: serves(probe, PATH), START_S)
    except NotReady:
        program.stop()
        raise


def start_upstream(directory: Path, ports: Mapping[str, int], core: int) -> Program:
    stream, event, end = BODIES["sse"].rpartition(b"data: [DONE]")
    (directory / "canned.json").write_bytes(BODIES["json"])
    (directory / "canned.sse").write_bytes(stream)
    (directory / "canned.sse.end").write_bytes(event + end)
    return start("upstream", upstream_configuration(directory, ports), directory, core, f"http://127.0.0.1:{ports['json']}")[0]
