"""Every raw request of the corpus against a running relay: what is refused, what is answered, and never the request hidden in it.

The mutations of these, and the way through haproxy and nginx, are the campaign `smuggling`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import smuggling, strict
from tests.harness.gateway import Gateway
from tests.harness.smuggling import Case

CASES = smuggling.corpus()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("smuggling"), "") as gateway:
        yield gateway


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_hidden_request_is_never_answered(gateway: Gateway, case: Case) -> None:
    sent = case.bytes()
    given = smuggling.judge(sent, smuggling.ask(smuggling.address(gateway.url), sent))
    assert len(given) == len(case.served) + case.refused, given
    if case.refused:
        assert given[-1].closes
        assert given[-1].status in (400, 401, 405, 415, 417, 426), given


def test_afterwards_nothing_is_in_the_log(gateway: Gateway) -> None:
    assert '"level":"error"' not in gateway.logs(), gateway.logs()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_strict_reader_finds_what_the_corpus_says(case: Case) -> None:
    reading = strict.read(case.bytes())
    found = [request.path.decode() for request in reading.requests]
    assert found[: len(case.served)] == list(case.served)
    # What is well-formed and refused all the same (another protocol, a compressed body) is read to its end by a strict reader.
    assert case.refused or found == list(case.served)


@pytest.mark.parametrize(
    "sent, paths",
    [
        (
            b"POST /v1/meant HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggling.EVIL,
            ["/v1/meant"],
        ),
        (b"POST /v1/meant HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\n\r\n" + smuggling.EVIL, ["/v1/meant", "/v1/evil"]),
        (b"GET /v1/meant HTTP/1.1\r\nHost: a\r\n\r\n", ["/v1/evil"]),
        (b"GET /v1/meant HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + smuggling.EVIL, ["/v1/meant", "/v1/evil"]),
        (b"GET /v1/meant HTTP/1.1\nHost: a\n\n", ["/v1/meant"]),
    ],
)
def test_a_server_that_serves_something_else_is_caught(sent: bytes, paths: list[str]) -> None:
    bodies = [f"There is nothing at {path}. The base URL".encode() for path in paths]
    raw = b"".join(b"HTTP/1.1 404 Not Found\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)
    with pytest.raises(AssertionError):
        smuggling.judge(sent, raw)
