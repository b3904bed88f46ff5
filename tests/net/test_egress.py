"""Fetches of URLs that callers name: what is judged, what is connected to, what is taken of the answer, and what is said about it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hostile_web import PNG, Corpus, Line, Resolver, Script, Web, read, write
from net_harness import run, until

from halley.errors import Condition, Refused
from halley.net import egress as module
from halley.net.client import Deadlines, Origin, Pool
from halley.net.clock import Clock
from halley.net.egress import FIELDS, Caps, Egress, Fetch, Fetched, Wanted
from halley.policy.urls import Address, judge_address

CORPUS = read(Path(__file__).parents[2] / "fixtures" / "urls" / "fetched.txt")
PICTURES = Wanted(frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"}), 4096, "messages[0].content[1].image_url")
ELSEWHERE = "the URL cannot be fetched: it redirects to a place that is not open to callers"
UNREACHABLE = "the URL cannot be fetched: its host has no public address that answers"


class Inbox:
    def __init__(self) -> None:
        self.outcome: Fetched | Refused | None = None
        self.ended = asyncio.Event()

    def fetched(self, fetch: Fetch, content: Fetched) -> None:
        self._end(content)

    def refused(self, fetch: Fetch, refusal: Refused) -> None:
        self._end(refusal)

    def _end(self, outcome: Fetched | Refused) -> None:
        assert self.outcome is None
        self.outcome = outcome
        self.ended.set()


class World:
    """An egress whose every vetted address leads to one server on this machine."""

    def __init__(self, egress: Egress, resolver: Resolver) -> None:
        self.egress = egress
        self.resolver = resolver
        self.dialled: list[tuple[str, int]] = []
        self.gone = 0

    def ask(self, url: str, wanted: Wanted = PICTURES) -> tuple[Fetch, Inbox]:
        inbox = Inbox()
        return self.egress.fetch(url, wanted, inbox), inbox

    async def fetch(self, url: str, wanted: Wanted = PICTURES) -> Fetched | Refused:
        _, inbox = self.ask(url, wanted)
        assert inbox.outcome is None
        await inbox.ended.wait()
        assert inbox.outcome is not None
        return inbox.outcome

    async def refusal(self, url: str, wanted: Wanted = PICTURES) -> str:
        outcome = await self.fetch(url, wanted)
        assert isinstance(outcome, Refused)
        return outcome.message


@contextlib.asynccontextmanager
async def world(
    script: Script | None = None,
    caps: Caps = Caps(total_s=5, plain_http=True),  # noqa: B008
    *,
    corpus: Corpus = CORPUS,
    authority: Path | None = None,
    idle_s: float = 5,
    dead: frozenset[str] = frozenset(),
    slow: threading.Event | None = None,
) -> AsyncIterator[World]:
    clock = Clock(period_s=0.02)
    clock.start(asyncio.get_running_loop())
    server_ssl = client_ssl = None
    if authority is not None:
        server_ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_ssl.load_cert_chain(authority / "cert.pem", authority / "key.pem")
        client_ssl = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    box: list[World] = []
    serve = script or Web(corpus.redirects).serve

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            writer.close()
            box[0].gone += 1

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=server_ssl)
    port = server.sockets[0].getsockname()[1]

    def dial(origin: Origin, name: str) -> Pool:
        box[0].dialled.append((origin.host, origin.port))
        here = Origin(origin.scheme, "127.0.0.1", 1 if origin.host in dead else port)
        deadlines = Deadlines(caps.connect_s, caps.first_byte_s, idle_s)
        return Pool(here, deadlines=deadlines, clock=clock, wanted=FIELDS, ssl_context=client_ssl, server_name=name, size=1)

    resolver = Resolver(corpus.answers, slow)
    egress = Egress(clock, caps, resolve=resolver, dial=dial)
    box.append(World(egress, resolver))
    try:
        yield box[0]
    finally:
        egress.close()
        await until(lambda: egress.running == 0 and not clock.every_second)
        server.close()
        clock.stop()


def answering(status: int, fields: bytes, body: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        write(writer, status, fields, body)
        await writer.drain()

    return script


@pytest.mark.parametrize("line", CORPUS.lines, ids=lambda line: line.url)
def test_no_url_leads_to_an_address_that_is_not_public(line: Line) -> None:
    secure = line.url.lower().startswith("https")  # which nobody speaks here

    async def work() -> None:
        async with world(caps=Caps(total_s=0.05 if secure else 0.5, plain_http=True)) as here:
            outcome = await here.fetch(line.url)
            assert all(isinstance(judge_address(ip), Address) and port in (80, 443) for ip, port in here.dialled)
            if not secure:
                public = line.expected != "block" or line.group == "rebinding"
                assert isinstance(outcome, Fetched) == public
            await here.fetch(f"http://public.test/r?to={line.url}")
            assert all(isinstance(judge_address(ip), Address) and port in (80, 443) for ip, port in here.dialled)

    run("asyncio", work)


def test_a_picture_is_fetched_by_the_name_that_its_certificate_has(loop: str, authority: Path) -> None:
    async def work() -> None:
        async with world(authority=authority, caps=Caps()) as here:
            assert await here.fetch("https://public.test/cat.png") == Fetched("image/png", PNG)
            assert here.dialled == [("93.184.216.34", 443)]
            certificate = "the URL cannot be fetched: its host has no valid certificate for this name"
            assert await here.refusal("https://bücher.test/cat.png") == certificate
            assert await here.refusal("https://93.184.216.34/cat.png") == certificate
            assert await here.refusal("http://public.test/cat.png") == "the URL must begin with https://"
            assert await here.refusal("https://public.test/r-down") == ELSEWHERE

    run(loop, work)


def test_the_request_says_nothing_of_the_caller(loop: str) -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        target = b"location: http://dual.test/next\r\nset-cookie: a=b\r\n"
        write(writer, 302, target) if len(heads) == 1 else write(writer, 200, b"content-type: image/png\r\n", PNG)

    async def work() -> None:
        async with world(script) as here:
            assert isinstance(await here.fetch("http://public.test/x?y=1#z"), Fetched)
        for head, first in zip(heads, (b"GET /x?y=1 HTTP/1.1\r\nhost: public.test", b"GET /next HTTP/1.1\r\nhost: dual.test"), strict=True):
            lines = head.split(b"\r\n")
            assert b"\r\n".join(lines[:2]) == first
            assert [line.split(b":")[0] for line in lines[2:-2]] == [b"user-agent", b"accept", b"accept-encoding", b"connection"]

    run(loop, work)


def test_a_name_is_looked_up_once_for_each_hop(loop: str) -> None:
    async def work() -> None:
        async with world() as here:
            assert isinstance(await here.fetch("http://rebind.test/cat.png"), Fetched)
            assert (here.resolver.asked, here.dialled) == (["rebind.test"], [("93.184.216.34", 80)])
            assert await here.refusal("http://rebind.test/cat.png") == UNREACHABLE
            assert len(here.dialled) == 1

    run(loop, work)


def test_what_is_inside_cannot_be_told_from_what_is_not_there(loop: str) -> None:
    async def work() -> None:
        async with world(dead=frozenset({"93.184.216.34"})) as here:
            said = {await here.refusal(f"http://{name}.test/") for name in ("loop", "loop6", "mixed", "nowhere", "public")}
            assert said == {UNREACHABLE}
        async with world() as here:
            inside = ("r302-loop", "r307-priv", "r-relative")
            assert len({await here.refusal(f"http://public.test/{path}") for path in inside}) == 1

    run(loop, work)


def test_the_next_address_is_tried_when_nothing_listens_at_the_first(loop: str) -> None:
    async def work() -> None:
        async with world(dead=frozenset({"2606:2800:220:1::"})) as here:
            assert isinstance(await here.fetch("http://dual.test/cat.png"), Fetched)
            assert [ip for ip, _ in here.dialled] == ["2606:2800:220:1::", "93.184.216.34"]

    run(loop, work)


def test_at_most_three_redirects_are_followed(loop: str) -> None:
    async def work() -> None:
        async with world() as here:
            here.resolver.answers = dict(CORPUS.answers)
            assert await here.refusal("http://public.test/r-chain") == "the URL cannot be fetched: it redirects more than 3 times"
            assert len(here.dialled) == module.REDIRECTS + 1

    run(loop, work)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("gzip-bomb", "compressed"),
        ("double-gzip", "compressed"),
        ("huge-headers", "complete and valid"),
        ("svg-xxe", "of a type that cannot be used here; use image/gif, image/jpeg, image/png, image/webp"),
        ("liar.html", "is not image/png, although its host says so"),
        ("endless", "larger than 4096 bytes"),
        ("declared", "larger than 4096 bytes"),
        ("nothing", "empty"),
        ("drip", "not complete after 0.5 seconds"),
        ("gone", "status 404"),
    ],
)
def test_content_that_cannot_be_used_is_refused_with_the_reason(loop: str, path: str, words: str) -> None:
    async def work() -> None:
        async with world(caps=Caps(total_s=0.5, plain_http=True)) as here:
            outcome = await here.fetch(f"http://public.test/{path}")
            assert isinstance(outcome, Refused) and words in outcome.message
            assert outcome.condition is Condition.INVALID and outcome.param == PICTURES.param
            await until(lambda: here.gone == 1)

    run(loop, work)


@pytest.mark.parametrize(
    ("declared", "body", "mime"),
    [
        (b"image/jpg", b"\xff\xd8\xff\xe0jpeg", "image/jpeg"),
        (b"image/png", b"GIF89a and more", "image/gif"),
        (b"application/octet-stream", PNG, "image/png"),
        (b"Image/WebP; q=1", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"text/html", PNG, None),
        (b"image/png", b"%PDF-1.7", None),
        (b"application/octet-stream", b"anything", None),
    ],
)
def test_the_first_bytes_say_what_content_is(loop: str, declared: bytes, body: bytes, mime: str | None) -> None:
    async def work() -> None:
        async with world(answering(200, b"content-type: " + declared + b"\r\n", body)) as here:
            outcome = await here.fetch("http://public.test/x")
            assert outcome == Fetched(mime, body) if mime else isinstance(outcome, Refused)

    run(loop, work)


def test_a_type_without_a_signature_is_what_its_host_calls_it(loop: str) -> None:
    text = Wanted(frozenset({"text/plain"}), 100)

    async def work() -> None:
        async with world(answering(200, b"content-type: text/plain; charset=utf-8\r\n", b"words")) as here:
            assert await here.fetch("http://public.test/x", text) == Fetched("text/plain", b"words")
        async with world(answering(200, b"content-type: text/plain\r\n", b"%PDF-1.7")) as here:
            assert isinstance(await here.fetch("http://public.test/x", text), Refused)

    run(loop, work)


def test_inline_content_is_held_against_the_same_list(loop: str) -> None:
    async def work() -> None:
        async with world() as here:
            assert await here.fetch("data:image/png;base64,iVBORw0KGgo=") == Fetched("image/png", b"\x89PNG\r\n\x1a\n")
            assert isinstance(await here.fetch("data:image/png;base64,AAAA"), Refused)
            assert isinstance(await here.fetch("data:application/pdf;base64,JVBERi0="), Refused)
            assert isinstance(await here.fetch(f"data:image/png;base64,{'A' * 8000}"), Refused)
            assert not here.dialled

    run(loop, work)


def test_the_operators_cap_holds_whatever_is_wanted(loop: str) -> None:
    async def work() -> None:
        async with world(caps=Caps(content_bytes=40, plain_http=True)) as here:
            assert await here.refusal("http://public.test/cat.png") == "the content of the URL is larger than 40 bytes"

    run(loop, work)


def test_a_host_that_says_nothing_is_left(loop: str) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def stops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 100\r\n\r\n\x89")
        await reader.read()

    async def work() -> None:
        for script in (silent, stops):
            async with world(script, Caps(first_byte_s=0.1, plain_http=True), idle_s=0.1) as here:
                assert await here.refusal("http://public.test/x") == "the URL cannot be fetched: its host was silent for too long"
                await until(lambda here=here: here.gone == 1)

    run(loop, work)


def test_a_cut_answer_is_no_content(loop: str) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 1000\r\n\r\n" + PNG)

    async def work() -> None:
        async with world(cut) as here:
            assert "complete and valid" in await here.refusal("http://public.test/x")

    run(loop, work)


def test_whatever_a_host_answers_a_fetch_ends_once_with_a_picture_or_a_refusal() -> None:
    dice = random.Random(7)
    good = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\nlocation: /x\r\ncontent-length: %d\r\n\r\n%b" % (len(PNG), PNG)
    pieces = (
        b"\r\n",
        b"\n",
        b"\0",
        b"transfer-encoding: chunked\r\n",
        b"content-length: 1\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"302",
        b"99",
        b"-",
    )

    async def mutant(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reply = bytearray(good)
        for _ in range(dice.randint(0, 3)):
            place = dice.randrange(len(reply))
            reply[place : place + dice.choice((0, 0, 1, 3))] = dice.choice(pieces)
        writer.write(bytes(reply[: dice.choice((len(reply), len(reply), dice.randrange(len(reply))))]))
        await writer.drain()

    async def work() -> None:
        async with world(mutant, Caps(total_s=2, plain_http=True)) as here:
            outcomes = await asyncio.gather(*(here.fetch("http://public.test/x") for _ in range(400)))
        fetched = [outcome.data for outcome in outcomes if isinstance(outcome, Fetched)]
        assert 20 < len(fetched) < 380
        assert all(data.startswith(PNG[:8]) for data in fetched)

    run("asyncio", work)


def test_only_so_many_fetches_run_at_once_and_the_others_wait_their_turn(loop: str) -> None:
    running = most = 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.02)
        running -= 1
        write(writer, 200, b"content-type: image/png\r\n", PNG)
        await writer.drain()

    async def work() -> None:
        async with world(slow, Caps(concurrent=3, plain_http=True)) as here:
            outcomes = await asyncio.gather(*(here.fetch("http://public.test/x") for _ in range(12)))
            assert all(isinstance(outcome, Fetched) for outcome in outcomes)
            assert most <= 3

    run(loop, work)


def test_beyond_what_may_wait_a_fetch_is_turned_away_and_so_is_one_whose_turn_never_comes(loop: str) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def work() -> None:
        async with world(silent, Caps(concurrent=1, total_s=0.3, plain_http=True)) as here:
            waiting = [here.ask("http://public.test/x")[1] for _ in range(module.MOST_WAITING + 1)]
            outcome = await here.fetch("http://public.test/x")
            assert isinstance(outcome, Refused) and outcome.condition is Condition.OVERLOADED and outcome.retry_after_s
            assert not any(inbox.outcome for inbox in waiting)
            await asyncio.gather(*(inbox.ended.wait() for inbox in waiting))
            conditions = [inbox.outcome.condition for inbox in waiting if isinstance(inbox.outcome, Refused)]
            # Some that begin in the moment in which the first one ends are late as well.
            assert conditions[0] is Condition.INVALID and conditions.count(Condition.OVERLOADED) > module.MOST_WAITING // 2

    run(loop, work)


def test_an_aborted_fetch_closes_its_connection_and_is_not_heard_of(loop: str) -> None:
    async def work() -> None:
        async with world() as here:
            fetch, inbox = here.ask("http://public.test/drip")
            await until(lambda: bool(here.dialled))
            await asyncio.sleep(0.02)
            fetch.abort()
            await until(lambda: here.egress.running == 0 and here.gone == 1)
            assert inbox.outcome is None

    run(loop, work)


def test_closing_refuses_what_is_under_way(loop: str) -> None:
    async def work() -> None:
        async with world() as here:
            _, inbox = here.ask("http://public.test/drip")
            await until(lambda: bool(here.dialled))
            here.egress.close()
            assert isinstance(inbox.outcome, Refused) and inbox.outcome.condition is Condition.OVERLOADED
            with pytest.raises(RuntimeError):
                here.ask("http://public.test/cat.png")

    run(loop, work)


def test_a_name_that_is_never_answered_costs_its_fetch_alone(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKUP_S", 0.05)
    held = threading.Event()

    async def work() -> None:
        async with world(slow=held) as here:
            _, inbox = here.ask("http://slow.test/cat.png")
            assert isinstance(await here.fetch("http://public.test/cat.png"), Fetched)
            await inbox.ended.wait()
            assert isinstance(inbox.outcome, Refused) and inbox.outcome.message == UNREACHABLE
            held.set()

    run(loop, work)


def test_in_a_network_where_every_address_answers_only_public_ones_are_connected_to(loop: str, tmp_path: Path) -> None:
    """`HALLEY_MORE_URLS` may name further corpora in the format of the fixture."""
    probe = subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True, text=True, timeout=20)
    if probe.returncode and not os.environ.get("CI"):
        pytest.skip(f"no network namespace can be made here: {probe.stderr.strip()}")
    assert probe.returncode == 0, probe.stderr
    more = [path for path in os.environ.get("HALLEY_MORE_URLS", "").split(os.pathsep) if path]
    script = Path(__file__).with_name("namespace.py")
    fixture = str(Path(__file__).parents[2] / "fixtures" / "urls" / "fetched.txt")
    command = ["unshare", "-n", sys.executable, str(script), loop, str(tmp_path), fixture, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["lines"] > 80 and found["accepted"] > 1000
    assert (found["inside"], found["wrong"], found["datagrams"]) == ([], [], 0)
    assert found["begun"] == found["accepted"]
