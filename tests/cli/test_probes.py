"""Each step on the way to a provider is told apart, against real listeners on this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from halley.cli.probes import Finding, gateway_findings, provider_findings
from halley.config import Provider, Server, Settings


@contextmanager
def listener(answer: bytes) -> Iterator[int]:
    """Answers every connection with the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(2)
                    try:
                        connection.recv(65536)
                        connection.sendall(answer)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def reply(*fields: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "content-length: 0", "connection: close", "", ""]).encode()


def reached(base_url: str) -> list[Finding]:
    return provider_findings(Settings(providers=(Provider("p", "openai-compatible", base_url=base_url),)))


def test_a_provider_that_answers_is_reached_whatever_it_says() -> None:
    with listener(reply(status="401 Unauthorized")) as port:
        (finding,) = reached(f"http://127.0.0.1:{port}/v1")
    assert finding.state == "ok" and "status 401" in finding.detail


def test_a_refused_connection_is_told_from_a_wrong_name_and_a_wrong_protocol() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (refused,) = reached(f"http://127.0.0.1:{port}/v1")
    (unknown,) = reached("http://nowhere.invalid/v1")
    with listener(b"SSH-2.0-x\r\n") as port:
        (no_http,) = reached(f"http://127.0.0.1:{port}/v1")
        (no_tls,) = reached(f"https://127.0.0.1:{port}/v1")
    assert [each.detail.split(" ")[0] for each in (refused, unknown, no_http, no_tls)] == ["TCP", "DNS", "HTTP", "TLS"]
    assert all(each.state == "fail" and each.fix for each in (refused, unknown, no_http, no_tls))


def test_a_clock_that_is_off_is_told() -> None:
    with listener(reply("date: Thu, 01 Jan 2026 00:00:00 GMT")) as port:
        _, clock = reached(f"http://127.0.0.1:{port}/v1")
    assert (clock.check, clock.state) == ("clock", "warn")


def test_another_program_on_the_port_is_told_from_halley(tmp_path: Path) -> None:
    with listener(reply()) as port:
        (other,) = gateway_findings(Settings(server=Server(port=port)), tmp_path)
    with listener(reply("x-request-id: req_1")) as port:
        found = list(gateway_findings(Settings(server=Server(port=port)), tmp_path))
    assert other.state == "fail" and "another program" in other.detail
    assert [(each.check, each.state) for each in found] == [("port", "ok"), ("relay", "ok"), ("control", "fail")]


def test_a_disabled_provider_is_not_contacted() -> None:
    assert provider_findings(Settings(providers=(Provider("p", "openai", enabled=False),))) == []
