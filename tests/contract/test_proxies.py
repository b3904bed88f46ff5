"""Proxies of the environment: which one, by the clients' rules, and a real tunnel through one that asks for a password."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from halley.contract.proxies import choose, passwords
from tests.contract.gateways import gateway
from tests.contract.servers import reply, serving
from tests.contract.test_contract import cli, kept

PASSWORD = "opensesame42"
LOGIN = "emFjaGFyaWFzOm9wZW5zZXNhbWU0Mg=="  # zacharias:opensesame42


@contextmanager
def proxy(verdict: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n", login: str = "") -> Generator[tuple[str, list[bytes]]]:
    """A proxy of one connection at a time: its address, and the first line of each request. It carries bytes and understands none."""
    seen: list[bytes] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()

    def one(client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        seen.append(head.partition(b"\r\n")[0])
        if login and f"Proxy-Authorization: Basic {login}\r\n".encode() not in head:
            return client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        method, target, _ = head.split(b" ", 2)
        if method == b"CONNECT":
            client.sendall(verdict)
            if b" 200 " not in verdict:
                return None
            host, rest = target.decode().rsplit(":", 1)[0], b""
            port = int(target.rsplit(b":", 1)[1])
        else:
            place, _, path = target.removeprefix(b"http://").partition(b"/")
            host, port = place.decode().split(":")[0], int(place.split(b":")[1])
            rest = head.replace(target, b"/" + path, 1)
        with socket.create_connection((host, port), 10) as origin:
            origin.sendall(rest)
            thread = threading.Thread(target=pump, args=(client, origin), daemon=True)
            thread.start()
            pump(origin, client)
            thread.join(5)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                client.settimeout(10)
                with client:
                    one(client)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", seen
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(12)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pem = tmp_path_factory.mktemp("tls") / "pem"
    words = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
    ]
    subprocess.run(["openssl", *words, pem, "-out", f"{pem}.crt"], check=True, capture_output=True, timeout=30)
    return pem


def secure(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{pem}.crt", pem)
    return context


def no_proxies(**named: str | None) -> dict[str, str | None]:
    blank = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"))
    return {**blank, **named}


def test_https_goes_through_a_tunnel_and_diff_names_the_proxy_first(tmp_path: Path, certificate: Path) -> None:
    trusted = {"SSL_CERT_FILE": f"{certificate}.crt"}
    with serving(gateway(), secure(certificate)) as url, proxy(login=LOGIN) as (place, seen):
        asked = ("run", "--base-url", url, "--model", "m", "--contract", "chat", "--json")
        direct = cli(tmp_path, *asked, **no_proxies(), **trusted)
        assert (direct.exit_code, seen) == (0, []), direct.output
        named = no_proxies(HTTPS_PROXY=f"http://zacharias:{PASSWORD}@{place}")
        through = cli(tmp_path, *asked, **named, **trusted)
    assert through.exit_code == 0, through.output
    assert seen == [f"CONNECT {url.removeprefix('https://')} HTTP/1.1".encode()] * 4
    surroundings = json.loads(through.stdout)["surroundings"]
    assert (surroundings["proxy_used"], surroundings["proxy_variables"]) == (f"{place}, from HTTPS_PROXY", ["HTTPS_PROXY"])
    told = cli(tmp_path, "diff", *kept(tmp_path))
    first, second = kept(tmp_path)
    assert told.stdout.startswith(f"first difference: proxy_used\n  {first}: none\n  {second}: {place}, from HTTPS_PROXY\n")
    everything = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] + [through.output.encode(), told.output.encode()]
    assert not [each for each in everything if PASSWORD.encode() in each or LOGIN.encode() in each or b"zacharias" in each]


def test_http_is_asked_of_the_proxy_itself(tmp_path: Path) -> None:
    with serving(gateway()) as url, proxy(login=LOGIN) as (place, seen):
        result = cli(
            tmp_path,
            "run",
            "--base-url",
            url,
            "--model",
            "m",
            "--contract",
            "chat",
            **no_proxies(http_proxy=f"zacharias:{PASSWORD}@{place}"),
        )
    assert result.exit_code == 0, result.output
    assert seen[0] == f"GET {url}/v1/models HTTP/1.1".encode() and len(seen) == 4


@pytest.mark.parametrize(
    "verdict, login, code, told",
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "", "proxy-refused", ": 403"),
        (b"HTTP/1.1 502 Bad Gateway\r\nX: sk-echoKEY0123456789\r\n\r\n", "", "proxy-refused", ": 502"),
        (b"SSH-2.0-x\r\n\r\n", "", "proxy-refused", ": no status"),
        (b"", LOGIN, "proxy-authentication", "(407)"),
    ],
)
def test_a_proxy_that_does_not_lead_on_is_named(verdict: bytes, login: str, code: str, told: str, tmp_path: Path) -> None:
    with proxy(verdict, login) as (place, _):
        result = cli(
            tmp_path, "run", "--base-url", "https://api.example.test", "--model", "m", "--contract", "chat", "--json",
            **no_proxies(HTTPS_PROXY=place),
        )  # fmt: skip
    run = json.loads(result.stdout)
    assert (result.exit_code, run["diagnosis"]) == (5, code)
    assert told in run["findings"][0]["cause"] and run["findings"][-1]["code"] == "proxy-used" and "sk-echo" not in result.output


@pytest.mark.parametrize(
    "address, exit_code, code",
    [
        ("http://127.0.0.1:1", 5, "proxy-unreachable"),
        ("socks5://127.0.0.1:1", 3, "proxy-unsupported"),
        ("http://[", 3, "proxy-unsupported"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_no_fault_of_the_endpoint(address: str, exit_code: int, code: str, tmp_path: Path) -> None:
    asked = ("run", "--base-url", "https://api.example.test", "--model", "m", "--contract", "chat", "--json")
    result = cli(tmp_path, *asked, **no_proxies(ALL_PROXY=address))
    assert (result.exit_code, json.loads(result.stdout)["diagnosis"]) == (exit_code, code), result.output


def test_the_mock_is_asked_directly(tmp_path: Path) -> None:
    result = cli(tmp_path, "run", "--mock", "--contract", "chat", **no_proxies(http_proxy="http://127.0.0.1:1"))
    assert result.exit_code == 0, result.output


def test_a_407_of_the_endpoint_itself_is_the_same_finding(tmp_path: Path) -> None:
    with serving(lambda request: reply(407, "{}")) as url:
        result = cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat", "--json", **no_proxies())
    assert json.loads(result.stdout)["diagnosis"] == "proxy-authentication"


@pytest.mark.parametrize(
    "environ, url, name",
    [
        ({"https_proxy": "http://p:1"}, "https://h/v1", "p:1"),
        ({"https_proxy": "http://p:1"}, "http://h/v1", None),
        ({"HTTP_PROXY": "p:1"}, "http://h/v1", "p:1"),
        ({"HTTPS_PROXY": "http://A:1", "https_proxy": "http://a:2"}, "https://h", "a:2"),
        ({"ALL_PROXY": "http://p"}, "https://h", "p:80"),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "*"}, "https://h", None),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "example.test"}, "https://api.example.test", None),
        ({"ALL_PROXY": "http://p", "NO_PROXY": ".example.test"}, "https://api.example.test", None),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "ample.test"}, "https://api.example.test", "p:80"),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "a, 10.0.0.0/8"}, "http://10.2.3.4:99", None),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "10.0.0.0/8"}, "http://11.2.3.4:99", "p:80"),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "h:443"}, "https://h", None),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "h:444"}, "https://h", "p:80"),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "[::1]:8080,::2"}, "http://[::1]:8080", None),
        ({"ALL_PROXY": "http://p", "no_proxy": "::2", "NO_PROXY": "*"}, "http://[::3]", "p:80"),
        ({"https_proxy": " "}, "https://h", None),
    ],
)
def test_the_environment_is_read_as_the_clients_read_it(environ: Mapping[str, str], url: str, name: str | None) -> None:
    found = choose(environ, url)
    assert (found.name if found else None) == name


def test_all_that_stands_before_a_proxys_host_is_a_secret() -> None:
    found = passwords({"https_proxy": "http://me:p%40ss@p:1", "ALL_PROXY": "you@p"})
    assert set(found) == {"me:p%40ss", "me:p@ss", "p%40ss", "p@ss", "you"}
