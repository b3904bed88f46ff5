"""Slow, stuck and many clients, and an operator at work while traffic runs: the whole gateway, over sockets and through the commands."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness.gateway import Gateway
from tests.harness.http import Client, ask
from tests.harness.process import until
from tests.harness.simulator import Simulator

SECRET = "canary-upstream-credential"
PROMPT = "canary-of-a-prompt"
CHAT = "/v1/chat/completions"


class Rough(NamedTuple):
    gateway: Gateway
    simulator: Simulator


@pytest.fixture(scope="module")
def rough(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rough]:
    place = tmp_path_factory.mktemp("rough")
    with Simulator(place) as simulator:
        models = "".join(
            f'[[models]]\nid = "{name}"\nmax_output = 100000\nprice = {{input = "1", output = "2"}}\noffers = [{{provider = "sim"}}]\n'
            for name in ("sim/tokens-3", "sim/tokens-90000")
        )
        settings = f"""
[server]
head_seconds = 2.0
body_seconds = 2.0
write_stall_seconds = 2.0
[[providers]]
name = "sim"
kind = "openai-compatible"
base_url = "{simulator.url}/v1"
api_key = "{SECRET}"
{models}
"""
        with Gateway(place, settings, workers=2) as gateway:
            yield Rough(gateway, simulator)


def _question(model: str = "sim/tokens-3", *, stream: bool = False) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": PROMPT}], "stream": stream}


def _status(rough: Rough, key: str) -> int:
    return ask(rough.gateway.url, "POST", CHAT, _question(), key=key)[0]


def _open_requests(rough: Rough) -> str:
    figures = ask(rough.gateway.url, "GET", "/metrics")[1].decode()
    return next(line for line in figures.splitlines() if line.startswith("halley_open_requests "))


@pytest.mark.parametrize(
    "start",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["head", "body", "chunks"],
)
def test_a_request_that_dribbles_in_is_given_up(rough: Rough, start: bytes) -> None:
    with Client(rough.gateway.url) as client:
        client.send(start)
        until_s = time.monotonic() + 15
        client.socket.settimeout(0.3)
        got = b""
        while not got and time.monotonic() < until_s:
            with contextlib.suppress(TimeoutError):
                got = client.socket.recv(4096)
            if not got:
                with contextlib.suppress(OSError):
                    client.send(b"1\r\na\r\n" if b"chunked" in start else b"a")
        assert got.startswith(b"HTTP/1.1 408 "), got
        assert b'"request_timeout"' in got


def test_a_client_that_never_reads_is_cut_off_and_its_upstream_with_it(rough: Rough) -> None:
    with Client(rough.gateway.url) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert client.ask("POST", CHAT, _question("sim/tokens-90000", stream=True), key=rough.gateway.key()).status == 200
        until(lambda: rough.simulator.state()["open_streams"] == 1, lambda: "no stream is open", 10)
        until(lambda: rough.simulator.state()["open_streams"] == 0, lambda: "the upstream is still read", 20)
        until(lambda: _open_requests(rough).endswith(" 0"), lambda: _open_requests(rough), 10)


def test_hundreds_of_idle_connections_keep_nobody_out(rough: Rough) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(Client(rough.gateway.url)).send(b"POST ")
        began = time.monotonic()
        assert _status(rough, rough.gateway.key()) == 200
        assert time.monotonic() - began < 5


def test_pipelined_requests_are_answered_in_order_each_once(rough: Rough) -> None:
    before = rough.simulator.state()["requests"]
    key = rough.gateway.key()
    body = b'{"model":"sim/tokens-3","messages":[{"role":"user","content":"a"}]}'
    good = b"POST %b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (
        CHAT.encode(),
        key.encode(),
        len(body),
        body,
    )
    other = b"GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n"
    with Client(rough.gateway.url) as client:
        client.send((good + other) * 20)
        for _ in range(20):
            for status in (200, 404):
                reply = client.reply()
                assert reply.status == status
                reply.body()
    assert rough.simulator.state()["requests"] == before + 20


def test_a_revoked_key_is_refused_by_every_relay_when_the_command_returns(rough: Rough) -> None:
    for number in range(3):
        key = rough.gateway.cli_json("keys", "create", "--name", f"short-lived-{number}")["key"]
        until(lambda key=key: [_status(rough, key) for _ in range(8)] == [200] * 8, lambda: "the new key is not known")
        rough.gateway.cli("keys", "revoke", f"short-lived-{number}")
        limit = time.monotonic() + 1.0
        while time.monotonic() < limit and any(_status(rough, key) != 401 for _ in range(8)):
            pass
        assert [_status(rough, key) for _ in range(8)] == [401] * 8


def test_keys_and_credit_change_while_traffic_runs_and_nobody_notices(rough: Rough) -> None:
    rough.gateway.cli("accounts", "create", "busy")
    rough.gateway.cli("credit", "busy", "1")
    key = rough.gateway.cli_json("keys", "create", "--name", "busy", "--account", "busy")["key"]
    until(lambda: [_status(rough, key) for _ in range(8)] == [200] * 8, lambda: "the new key is not known")
    over = threading.Event()
    seen: list[int] = []

    def traffic() -> None:
        while not over.is_set():
            seen.append(_status(rough, key))

    threads = [threading.Thread(target=traffic) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            rough.gateway.cli("keys", "create", "--name", f"passing-{number}", "--account", "busy")
            rough.gateway.cli("credit", "busy", "1")
            rough.gateway.cli("keys", "revoke", f"passing-{number}")
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
    assert seen
    assert set(seen) == {200}
    assert rough.gateway.cli_json("ledger", "verify")["clean"]


def test_what_is_private_is_readable_by_its_owner_only_and_holds_no_secret(rough: Rough) -> None:
    home = rough.gateway.home
    key = rough.gateway.key()
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    for path in files:
        text = path.read_bytes()
        assert SECRET.encode() not in text, path
        assert PROMPT.encode() not in text, path
        assert key.encode() not in text or path.name == "starter-key", path
    for text in (SECRET, PROMPT, key):
        assert text not in rough.gateway.logs()
    for path in (home / "master.key", home / "starter-key", *home.rglob("*.db*"), *home.rglob("*.sqlite*"), *(home / "journal").glob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    sockets = [path for path in _run_directory(home).iterdir() if stat.S_ISSOCK(path.stat().st_mode)]
    assert {path.name for path in sockets} >= {"admin.sock", "link.sock", "web.sock"}
    for path in (*sockets, _run_directory(home)):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def _run_directory(home: Path) -> Path:
    from halley.config import run_directory

    return run_directory(Path(os.fspath(home)))
