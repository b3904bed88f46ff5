"""Access tokens: had once, kept, renewed in time, and missed with a reason."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from net_harness import Script, read_request, run, until

from halley.errors import Condition, UpstreamError
from halley.net import tokens as module
from halley.net.client import Deadlines, Origin, Pool
from halley.net.clock import Clock
from halley.net.tokens import Tokens
from halley.providers.service_account import ServiceAccount
from halley.secret import Secret

ACCOUNT = ServiceAccount("h@p.test", rsa.generate_private_key(public_exponent=65537, key_size=2048), "", "https://tokens.test/t")


class Waiter:
    def __init__(self) -> None:
        self.heard: list[Secret | UpstreamError] = []

    def granted(self, token: Secret) -> None:
        self.heard.append(token)

    def denied(self, error: UpstreamError) -> None:
        self.heard.append(error)


class Endpoint:
    """Answers each exchange with the next of its answers, and the last one from then on."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[bytes, bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.asked.append(await read_request(reader))
            status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
            await writer.drain()


def token(name: str, seconds: int = 3600) -> tuple[int, bytes]:
    return 200, json.dumps({"access_token": name, "expires_in": seconds, "token_type": "Bearer"}).encode()


@contextlib.asynccontextmanager
async def tokens(script: Script) -> AsyncIterator[Tokens]:
    clock = Clock(period_s=0.02)
    clock.start(asyncio.get_running_loop())

    async def scripted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await script(reader, writer)
        writer.close()

    server = await asyncio.start_server(scripted, "127.0.0.1", 0)
    pool = Pool(
        Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1]), deadlines=Deadlines(5, 5, 5), clock=clock, wanted=frozenset()
    )
    kept = Tokens(ACCOUNT, pool, clock)
    try:
        yield kept
    finally:
        kept.close()
        pool.close()
        await until(lambda: pool.open == 0)
        server.close()
        clock.stop()


async def heard(kept: Tokens) -> Secret | UpstreamError:
    waiter = Waiter()
    kept.ask(waiter)
    assert not waiter.heard
    await until(lambda: bool(waiter.heard))
    assert len(waiter.heard) == 1
    return waiter.heard[0]


def test_many_who_ask_share_one_exchange_and_it_is_kept(loop: str) -> None:
    endpoint = Endpoint(token("one"), token("two"))

    async def work() -> None:
        async with tokens(endpoint.serve) as kept:
            assert kept.token is None
            outcomes = await asyncio.gather(*(heard(kept) for _ in range(20)))
            assert outcomes == [Secret("one")] * 20
            assert kept.token == Secret("one")
            await asyncio.sleep(0.1)
            assert len(endpoint.asked) == 1
        head, body = endpoint.asked[0]
        assert head.startswith(b"POST /t HTTP/1.1\r\nhost: tokens.test\r\ncontent-type: application/x-www-form-urlencoded\r\n")
        assert body.startswith(b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey")

    run(loop, work)


def test_a_token_is_renewed_before_it_ends_and_without_anybody_waiting(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPARE_S", 0.1)
    endpoint = Endpoint(token("one", 1), token("two", 3600))

    async def work() -> None:
        async with tokens(endpoint.serve) as kept:
            assert await heard(kept) == Secret("one")
            seen = {"one"}
            while (now := kept.token) != Secret("two"):
                assert now is not None
                seen.add(now.reveal())
                await asyncio.sleep(0.01)
            assert seen == {"one"}

    run(loop, work)


def test_a_token_near_its_end_is_not_used(loop: str) -> None:
    async def work() -> None:
        async with tokens(Endpoint(token("short", 5)).serve) as kept:
            assert await heard(kept) == Secret("short")
            assert kept.token is None

    run(loop, work)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((400, b'{"error":"invalid_grant","assertion":"canary"}'), "the token endpoint answered with status 400"),
        ((200, b'{"error":"canary"}'), "the token endpoint's answer holds no access token"),
        ((200, b" " * 70000), "the token endpoint's answer is too large"),
    ],
)
def test_whoever_asks_hears_why_there_is_no_token(loop: str, answer: tuple[int, bytes], reason: str) -> None:
    async def work() -> None:
        async with tokens(Endpoint(answer).serve) as kept:
            outcome = await heard(kept)
            assert isinstance(outcome, UpstreamError) and outcome.condition is Condition.UPSTREAM
            assert outcome.message == f"no access token could be had: {reason}"

    run(loop, work)


def test_an_endpoint_that_hangs_up_is_asked_again_only_after_a_pause(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.2)
    times: list[float] = []
    now: Callable[[], float] = lambda: asyncio.get_running_loop().time()  # noqa: E731

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        times.append(now())
        await read_request(reader)

    async def work() -> None:
        async with tokens(script) as kept:
            for _ in range(2):
                outcome = await heard(kept)
                assert isinstance(outcome, UpstreamError) and "cannot be reached (cut)" in outcome.message
            assert times[1] - times[0] >= 0.15

    run(loop, work)


def test_a_token_that_holds_outlives_an_endpoint_that_fails(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_S", 4000.0)
    monkeypatch.setattr(module, "SPARE_S", 0.0)
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    endpoint = Endpoint(token("one", 1), (503, b""))

    async def work() -> None:
        async with tokens(endpoint.serve) as kept:
            assert await heard(kept) == Secret("one")
            await until(lambda: len(endpoint.asked) > 2)
            assert kept.token == Secret("one")

    run(loop, work)


def test_who_is_gone_hears_nothing_and_closing_tells_the_others(loop: str) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def work() -> None:
        gone, there = Waiter(), Waiter()
        async with tokens(silent) as kept:
            kept.ask(gone)
            kept.ask(there)
            kept.forget(gone)
        assert not gone.heard and isinstance(there.heard[0], UpstreamError)

    run(loop, work)


def test_a_retired_account_renews_nothing_and_still_gives_tokens_to_who_asks(loop: str) -> None:
    async def work() -> None:
        endpoint = Endpoint(token("first", 1), (500, b""), token("second"))
        async with tokens(endpoint.serve) as kept:
            assert isinstance(await heard(kept), Secret)
            kept.retire()
            await until(lambda: kept._each_second not in kept._clock.every_second)
            assert isinstance(await heard(kept), UpstreamError)
            found = await heard(kept)
            assert isinstance(found, Secret) and found.reveal() == "second"
            await until(lambda: kept._each_second not in kept._clock.every_second)
            assert len(endpoint.asked) == 3

    run(loop, work)
