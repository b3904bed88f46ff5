"""Servers that mean harm: whatever they send, a run ends soon and small, with a name for it and never with a trace."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from halley.contract import diagnosis, exchange
from halley.contract.contracts import Case, Contract
from halley.contract.diagnosis import Setting
from halley.contract.evidence import Evidence
from halley.contract.profiles import CONTRACTS
from tests.contract.gateways import CHAT, CHUNKS, frames, sse
from tests.contract.servers import GOOD_KEY, reply
from tests.contract.test_contract import cli, kept

Talk = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
TIMEOUT_S = 0.6


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            if pause_s:
                time.sleep(pause_s)

    return talk


def once(raw: bytes) -> Talk:
    return lambda connection: connection.sendall(raw)


def document(raw: bytes) -> Talk:
    return once(OK + b"content-length: %d\r\n\r\n" % len(raw) + raw)


def saying(extra: bytes) -> Talk:
    return document(b'{"choices":[{"message":{"content":"x"}}],' + extra + b"}")


@contextmanager
def hostile(talk: Talk) -> Generator[str]:
    def one(connection: socket.socket) -> None:
        connection.settimeout(10)
        request = b""
        with connection:
            try:
                while b"\r\n\r\n" not in request and (data := connection.recv(65536)):
                    request += data
                talk(connection)
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)


ACCEPTED = "bad-key-accepted"
HOSTILE: dict[str, tuple[Talk, str]] = {
    "a body without end": (endless(OK + b"\r\n", b"x" * 65536), "reply-too-large"),
    "chunks without end": (endless(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"), "reply-too-large"),
    "a field without end": (endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536), "misframed"),
    "fields without end": (endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10000), "misframed"),
    "trailers without end": (endless(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 10000), "misframed"),
    "a trailer without end": (endless(CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"y" * 65536), "misframed"),
    "a chunk extension without end": (endless(CHUNKED + b"2;a=", b"y" * 65536), "misframed"),
    "interim replies without end": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "misframed"),
    "a head in drops": (endless(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.02), "timeout"),
    "a body in drops": (endless(OK + b"\r\n", b" ", 0.02), "timeout"),
    "a stream without end": (endless(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", b": ping\n\n", 0.02), "timeout"),
    "a flood of events": (
        endless(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", b"data: {}\n\n" * 5000),
        "reply-too-large",
    ),
    "a gzip bomb": (once(OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"x" * (1 << 24))), "compressed-reply"),
    "no UTF-8": (document(b'{"choices":[{"message":{"content":"\xff\xfe\x80"}}]}'), "not-json"),
    "fields that are no ASCII": (once(b"HTTP/1.1 502 B\r\nserver: \xff\x9f\r\ncontent-length: 2\r\n\r\n\xff\xfe"), "proxy-error"),
    "an escape in a field": (once(b"HTTP/1.1 502 B\r\nserver: \x1b[31mevil\r\ncontent-length: 0\r\n\r\n"), "misframed"),
    "a chunk of zz": (once(CHUNKED + b"zz\r\nfoo"), "misframed"),
    "a chunk of minus five": (once(CHUNKED + b"-5\r\nfoo"), "misframed"),
    "a chunk of two to the 72": (once(CHUNKED + b"ffffffffffffffffff\r\nfoo"), "misframed"),
    "a length of zz": (once(OK + b"content-length: zz\r\n\r\nfoo"), "misframed"),
    "two lengths": (once(OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nfoo"), "misframed"),
    "a length beyond counting": (once(OK + b"content-length: 99999999999999999999999\r\n\r\nfoo"), "misframed"),
    "a length and chunks": (once(OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), "misframed"),
    "a redirect to itself": (once(b"HTTP/1.1 302 F\r\nlocation: /v1/chat/completions\r\ncontent-length: 0\r\n\r\n"), "redirected"),
    "a redirect to nowhere": (once(b"HTTP/1.1 302 F\r\nlocation: http://[::bad\r\ncontent-length: 0\r\n\r\n"), "redirected"),
    "a redirect without a place": (once(b"HTTP/1.1 302 F\r\ncontent-length: 0\r\n\r\n"), "redirected"),
    "arrays in arrays": (document(b'{"choices":' + b"[" * 200000 + b"]" * 200000 + b"}"), "not-json"),
    "NaN": (saying(b'"usage":NaN'), "not-json"),
    "a number beyond all others": (saying(b'"usage":1e999'), "not-json"),
    "half of a pair of surrogates": (saying(b'"x":"\\ud800"'), "not-json"),
    "control characters in the model": (saying(b'"model":"\\u0000\\n\\u001b[31m"'), "unreviewed-fallback"),
    "objects in objects, and no more wrong with it": (saying(b'"x":' + b'{"a":' * 900 + b"1" + b"}" * 900), ACCEPTED),
    "fifty thousand fields": (saying(b",".join(b'"f%d":1' % at for at in range(50000))), ACCEPTED),
    "the same field twice": (document(b'{"choices":[],"choices":[{"message":{"content":"x"}}]}'), ACCEPTED),
    "status 999": (once(b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n"), "server-error"),
    "status 000": (once(b"HTTP/1.1 000 X\r\ncontent-length: 0\r\n\r\n"), "unexpected-status"),
    "another protocol after 101": (once(b"HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nfoo"), "protocol"),
    "204": (once(b"HTTP/1.1 204 X\r\n\r\n"), "unexpected-status"),
    "HTTP/0.9": (once(b'{"choices":[]}'), "protocol"),
    "HTTP/2": (once(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"), "protocol"),
    "nothing": (once(b""), "cut"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_server_is_named_soon_and_without_a_trace(name: str, tmp_path: Path) -> None:
    talk, code = HOSTILE[name]
    with hostile(talk) as url:
        asked = ("run", "--base-url", url, "--model", "m", "--contract", "chat", "--timeout", str(TIMEOUT_S), "--json")
        result = cli(tmp_path, *asked, http_proxy=None, HTTP_PROXY=None, all_proxy=None, ALL_PROXY=None)
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    run = json.loads(result.stdout)
    happy = run["outcomes"][0]
    assert (happy["code"] or ACCEPTED, run["exit"] != 0, kept(tmp_path)) == (code, True, [run["run_id"]])
    assert "\x1b" not in result.output and GOOD_KEY not in result.output


_PEAK = """
import re, runpy, sys
sys.argv = ["halley", *sys.argv[1:]]
try:
    runpy.run_module("halley.cli.main", run_name="__main__")
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1))
"""


@pytest.mark.parametrize("name", ["a body without end", "a trailer without end", "a field without end", "a gzip bomb", "a flood of events"])
def test_what_never_ends_takes_no_memory(name: str, tmp_path: Path) -> None:
    with hostile(HOSTILE[name][0]) as url:
        asked = ("smoke", "--base-url", url, "--model", "m", "--timeout", "2", "--json")
        environ = {"HALLEY_HOME": str(tmp_path), "COMETAPI_KEY": GOOD_KEY, "PYTHONPATH": str(Path(exchange.__file__).parents[2])}
        done = subprocess.run([sys.executable, "-c", _PEAK, *asked], capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert done.returncode in (1, 5, 6) and "Traceback" not in done.stderr, done.stderr
    assert int(done.stdout.split()[-1]) < 160 * 1024  # KiB; twice what a body at its limit took


def attempt(url: str) -> Evidence:
    return asyncio.run(exchange.carry_out(exchange.Attempt("x", "POST", f"{url}/chat/completions", (), b"{}"), 20))


WHOLE = (CONTRACTS["chat"], CONTRACTS["chat"].happy, reply(200, CHAT, framing="chunked"))
STREAMED = (CONTRACTS["chat-stream"], CONTRACTS["chat-stream"].happy, sse(frames(*CHUNKS)))


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("contract, case, raw", [WHOLE, STREAMED], ids=["whole", "streamed"])
def test_a_reply_that_ends_at_any_byte_is_never_a_pass(contract: Contract, case: Case, raw: bytes, reset: bool) -> None:
    at = 0

    def talk(connection: socket.socket) -> None:
        connection.sendall(raw[:at])
        if reset:
            time.sleep(0.002)  # what was sent arrives before the reset, which would take it along
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    seen: set[str] = set()
    with hostile(talk) as url:
        for at in range(0, len(raw), 1 if len(raw) < 500 else 3):
            evidence = attempt(url)
            wrong = diagnosis.failure(contract, case, evidence, Setting("m"))
            assert wrong is not None, at
            seen.add(wrong.code)
    assert seen <= {"cut", "protocol"}


def test_a_reply_in_single_bytes_is_the_same_reply() -> None:
    contract, case, raw = STREAMED

    def talk(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(raw)):
            connection.sendall(raw[at : at + 1])

    with hostile(talk) as url:
        evidence = attempt(url)
    assert diagnosis.failure(contract, case, evidence, Setting("m")) is None
