"""Model servers on loopback: only a JSON list of models is believed, and nobody is waited for."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from halley.control.detect import detect
from halley.money import Price

GOOD = b'{"object":"list","data":[{"id":"llama3:8b","object":"model"},{"id":"qwen"}]}'


@contextmanager
def server(reply: bytes | None) -> Iterator[str]:
    """Answers one connection with `reply`, or never when it is None."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            if reply is not None:
                connection.sendall(reply)
            else:
                connection.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    thread.join(10)
    listener.close()


def framed(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def test_a_list_of_models_becomes_a_provider_at_price_zero() -> None:
    with server(framed(GOOD)) as url:
        providers, models = asyncio.run(detect({"ollama": url}))
    assert [(each.name, each.kind, each.base_url) for each in providers] == [("ollama", "ollama", url)]
    assert [each.id for each in models] == ["ollama/llama3:8b", "ollama/qwen"]
    assert all(each.price == Price() and each.offers[0].provider == "ollama" for each in models)
    assert models[0].offers[0].model == "llama3:8b"


@pytest.mark.parametrize(
    "reply", [framed(b"<html>"), framed(b'{"data":[1]}'), framed(GOOD, b"404 Not Found"), framed(b'{"data":[]}'), b"", b"\x00\x01"]
)
def test_what_is_not_a_list_of_models_is_not_believed(reply: bytes) -> None:
    with server(reply) as url:
        assert asyncio.run(detect({"vllm": url})) == ((), ())


def test_a_silent_server_and_a_closed_port_cost_no_more_than_the_time_limit() -> None:
    began = time.monotonic()
    with server(None) as url:
        assert asyncio.run(detect({"lmstudio": url, "llamacpp": "http://127.0.0.1:1/v1"})) == ((), ())
    assert time.monotonic() - began < 5
