"""Model servers on loopback, found by asking: four known ports, one GET each, a third of a second.

Nothing is sent but the question, nothing is believed but a JSON list of models; what is found is offered under its own prefix at price 0.
"""

from __future__ import annotations

import asyncio

import msgspec

from halley import pricelist
from halley.money import Price
from halley.policy.snapshot import ModelRow, OfferRow, ProviderRow
from halley.providers.compatible import KINDS
from halley.secret import Secret

CANDIDATES = ("ollama", "lmstudio", "llamacpp", "vllm")
TIMEOUT_S = 0.3
_MOST_BYTES = 1 << 20
_MOST_MODELS = 200


class _Model(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[_Model]


async def detect(urls: dict[str, str] | None = None) -> tuple[tuple[ProviderRow, ...], tuple[ModelRow, ...]]:
    """Providers and models found at `urls` (kind to base URL; by default where the four kinds listen)."""
    asked = urls if urls is not None else {kind: KINDS[kind].base_url for kind in CANDIDATES}
    answers = await asyncio.gather(*(_ask(url) for url in asked.values()))
    providers: list[ProviderRow] = []
    models: list[ModelRow] = []
    free = Price()
    for (kind, url), names in zip(asked.items(), answers, strict=True):
        if names:
            providers.append(ProviderRow(kind, kind, url, Secret(""), KINDS[kind].cancel))
            owner, version = KINDS[kind].title, pricelist.version(free)
            models += [
                ModelRow(f"{kind}/{name}", owner, free, version, (OfferRow(kind, name),), source="detected on loopback") for name in names
            ]
    return tuple(providers), tuple(models)


async def _ask(base_url: str) -> tuple[str, ...]:
    authority, _, path = base_url.removeprefix("http://").partition("/")
    host, _, port = authority.partition(":")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, int(port or 80), limit=_MOST_BYTES)
            try:
                # 1.0, so that the answer ends with the connection and is not chunked.
                writer.write(f"GET /{path}/models HTTP/1.0\r\nhost: {authority}\r\naccept: application/json\r\n\r\n".encode())
                return _names(await _read(reader))
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ()


async def _read(reader: asyncio.StreamReader) -> bytes:
    received = bytearray()
    while len(received) < _MOST_BYTES and (data := await reader.read(65536)):
        received += data
        head, blank, body = received.partition(b"\r\n\r\n")
        if blank:
            length = _declared(bytes(head))
            if length is not None and len(body) >= length:
                break
    return bytes(received)


def _declared(head: bytes) -> int | None:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return int(value)
    return None


def _names(reply: bytes) -> tuple[str, ...]:
    head, _, body = reply.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] != [b"200"]:
        return ()
    try:
        found = msgspec.json.decode(body, type=_List)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()
    return tuple(dict.fromkeys(model.id for model in found.data if 0 < len(model.id) <= 200 and model.id.isprintable()))[:_MOST_MODELS]
