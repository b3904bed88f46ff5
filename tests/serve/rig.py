"""A relay without sockets: the real gateway, tables, journal and loop of work, with a scripted client and a scripted upstream."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from halley.money import Price, rate_per_million
from halley.net.client import Fault
from halley.net.clock import Clock
from halley.policy.snapshot import AccountRow, KeyRow, ModelRow, OfferRow, ProviderRow, Snapshot
from halley.secret import Secret, SecretBytes
from halley.serve.gateway import Gateway, Station
from halley.serve.peers import Peers
from halley.store.journal import End, Progress, Start, decode
from halley.store.messages import FromRelay, LeaseWanted

PEPPER = b"p" * 32
PRICE = Price(rate_per_million("1"), rate_per_million("2"))
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def make_key(seed: str) -> bytes:
    body = seed.ljust(32, "0")[:32]
    number, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        check = ALPHABET[digit] + check
    return f"sk-{body}{check}".encode()


KEY = make_key("good")


class Client:
    """The connection as the relay sees it, and what has been written to it."""

    peer = "127.0.0.1"

    def __init__(self) -> None:
        self.owner: object | None = None
        self.closed = False
        self.status = 0
        self.fields = b""
        self.body = b""
        self.streamed = False
        self.finished = False
        self.was_cut = False

    def answer(self, status: int, fields: bytes, body: bytes) -> None:
        assert not self.finished and not self.streamed
        self.status, self.fields, self.body, self.finished = status, fields, body, True
        self.owner = None

    def begin(self, status: int, fields: bytes, data: bytes = b"") -> None:
        assert not self.finished and not self.streamed
        self.status, self.fields, self.body, self.streamed = status, fields, data, True

    def send(self, data: bytes) -> None:
        assert self.streamed and not self.finished
        self.body += data

    def finish(self, data: bytes = b"") -> None:
        assert self.streamed and not self.finished
        self.body += data
        self.finished = True
        self.owner = None

    def stream(self, status: int, fields: bytes, data: bytes) -> None:
        self.begin(status, fields)
        self.finish(data)

    def cut(self) -> None:
        self.was_cut = self.finished = True
        self.owner = None

    def leave(self) -> None:
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.client_gone()  # type: ignore[attr-defined]

    @property
    def error(self) -> dict[str, str]:
        return json.loads(self.body)["error"]

    def field(self, name: str) -> str | None:
        for line in self.fields.decode().split("\r\n"):
            if line.lower().startswith(name + ":"):
                return line.split(":", 1)[1].strip()
        return None


class Upstream:
    """One call as the relay made it; the test answers it."""

    def __init__(self, pool: str, head: bytes, body: bytes, receiver: object) -> None:
        self.pool, self.head, self.body, self.receiver = pool, head, body, receiver
        self.status = 0
        self.kind = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.sent = True
        self.aborted = False
        self.paused = False

    def reply(self, status: int, data: bytes, *, done: bool = True, kind: bytes = b"application/json", **fields: str) -> None:
        self.status = status
        self.kind = kind
        self.fields = [(k.replace("_", "-").encode(), v.encode()) for k, v in fields.items()]
        self.receiver.replied(self, data, done)  # type: ignore[attr-defined]

    def stream(self, data: bytes = b"", *, done: bool = False) -> None:
        if not self.status:
            self.status, self.kind = 200, b"text/event-stream"
        self.receiver.replied(self, data, done)  # type: ignore[attr-defined]

    def fail(self, kind: str, *, written: bool = True) -> None:
        self.receiver.failed(self, Fault(kind, written, "scripted"))  # type: ignore[attr-defined,arg-type]

    def abort(self) -> None:
        self.aborted = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class Rig:
    def __init__(self, gateway: Gateway, home: Path) -> None:
        self.gateway = gateway
        self.home = home
        self.calls: list[Upstream] = []
        self.said: list[FromRelay] = []

    def ask(
        self, *, key: bytes | None = KEY, path: bytes = b"/v1/chat/completions", fields: dict[bytes, bytes] | None = None, **body: object
    ) -> Client:
        whole = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}], **body}
        return self.post(json.dumps(whole).encode(), key=key, path=path, fields=fields)

    def post(
        self,
        body: bytes,
        *,
        key: bytes | None = KEY,
        path: bytes = b"/v1/chat/completions",
        fields: dict[bytes, bytes] | None = None,
        method: bytes = b"POST",
        query: bytes = b"",
    ) -> Client:
        client = Client()
        head = {b"host": b"gateway:4100", b"content-type": b"application/json", **(fields or {})}
        if key is not None:
            head[b"authorization"] = b"Bearer " + key
        request = SimpleNamespace(
            connection=client,
            method=method,
            path=path,
            query=query,
            fields=head,
            body=body,
            version="1.1",
            received=time.monotonic(),
            keep=True,
        )
        self.gateway.handle(request)  # type: ignore[arg-type]
        self.flush()
        return client

    def flush(self) -> None:
        """What the event loop does at the end of an iteration."""
        while self.gateway.journal._records:
            self.gateway.journal.flush()

    @property
    def call(self) -> Upstream:
        return self.calls[-1]

    def records(self) -> list[Start | Progress | End]:
        self.flush()
        lines = [line for path in sorted((self.home / "journal").glob("*.jsonl")) for line in path.read_bytes().splitlines()]
        return [decode(line) for line in lines]

    def ends(self) -> list[End]:
        return [record for record in self.records() if isinstance(record, End)]

    @property
    def end(self) -> End:
        (end,) = self.ends()
        return end

    def asked_for_credit(self) -> LeaseWanted:
        asked = [message for message in self.said if isinstance(message, LeaseWanted)]
        return asked[-1]


def _rotated(name: str, now: str, before: str, until: float) -> KeyRow:
    digests = [hmac.digest(PEPPER, make_key(text), "sha256") for text in (now, before)]
    return KeyRow(name, digests[0], "acme", now, former_digest=digests[1], former_until=until)


def snapshot(*, unlimited: bool = True, offers: tuple[OfferRow, ...] | None = None, **fields: object) -> Snapshot:
    served = offers or (OfferRow("first", "sim/echo"),)
    base: dict[str, object] = {
        "version": 1,
        "pepper": SecretBytes(PEPPER),
        "keys": (
            KeyRow("key_1", hmac.digest(PEPPER, KEY, "sha256"), "acme", "test"),
            KeyRow("key_2", hmac.digest(PEPPER, make_key("narrow"), "sha256"), "acme", "narrow", models=("sim/other",)),
            KeyRow("key_3", hmac.digest(PEPPER, make_key("slow"), "sha256"), "acme", "slow", rpm=1),
            KeyRow("key_4", hmac.digest(PEPPER, make_key("expired"), "sha256"), "acme", "expired", expires_at=1.0),
            KeyRow("key_5", hmac.digest(PEPPER, make_key("embedder"), "sha256"), "acme", "embedder", routes=("embeddings",)),
            KeyRow("key_6", hmac.digest(PEPPER, make_key("bypath"), "sha256"), "acme", "bypath", routes=("/v1/chat/completions",)),
            KeyRow("key_7", hmac.digest(PEPPER, make_key("reader"), "sha256"), "acme", "reader", routes=()),
            _rotated("key_8", "rotatednow", "rotatedbefore", 1e12),
            _rotated("key_9", "rotatedtwice", "rotatedlongago", 1.0),
        ),
        "accounts": (AccountRow("acme", unlimited),),
        "providers": (
            ProviderRow("first", "openai-compatible", "http://first.test:9/v1", Secret("upstream-secret-one")),
            ProviderRow("second", "openai-compatible", "http://second.test:9/v1", Secret("upstream-secret-two"), "bills_to_end"),
        ),
        "models": (
            ModelRow("sim/echo", "Sim", PRICE, "price_1", served, ("echo",), 100_000, 1000),
            ModelRow("sim/other", "Sim", PRICE, "price_1", (OfferRow("second", "other-name"),), max_output=1000),
            ModelRow("sim/free", "Sim", Price(), "price_0", served),
        ),
    }
    return Snapshot(**{**base, **fields})  # type: ignore[arg-type]


@contextmanager
def rig(home: Path, rows: Snapshot | None = None) -> Iterator[Rig]:
    """A relay in this thread; its event loop is driven by hand."""
    loop = asyncio.new_event_loop()

    async def build() -> Rig:
        made: list[Rig] = []

        def pools(origin: object) -> object:
            def call(head: bytes, body: bytes, receiver: object, request_id: bytes = b"") -> Upstream:
                made[0].calls.append(Upstream(origin.host, head, body, receiver))  # type: ignore[attr-defined]
                return made[0].calls[-1]

            return SimpleNamespace(call=call, retire=lambda: None)

        web = pools(SimpleNamespace(host="control"))
        gateway = Gateway(Station("relay-0", str(home), str(home)), peers=Peers(()), clock=Clock(), pools=pools, web=web)  # type: ignore[arg-type]
        found = Rig(gateway, home)
        made.append(found)
        say: Callable[[FromRelay], bool] = lambda message: found.said.append(message) is None  # noqa: E731
        gateway.credit._send = say
        gateway._receive(rows or snapshot())
        return found

    found = loop.run_until_complete(build())
    try:
        yield found
        found.flush()
        assert found.gateway.runs == set()
    finally:
        found.gateway.journal.close()
        loop.close()
