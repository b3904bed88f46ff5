"""The surfaces whose answer is one document: embeddings, moderations, rerank, counting tokens. Pure.

The same text has the same vector everywhere: the sign and size of each number follow from the text's hash.
"""

from __future__ import annotations

import base64
import hashlib
import random
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from halley.simulator import gemini_ask, messages_ask, responses_ask
from halley.simulator.heard import count_words, linked
from halley.simulator.plan import CREATED
from halley.simulator.reading import Loose, Node, check, flag
from halley.simulator.schema import Json
from halley.simulator.shelf import Shelf

DIMENSIONS = 64
MOST_DIMENSIONS = 65_536
"""Numbers of a vector where the request does not say how many."""

_MOST_INPUTS = 2048
_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


Render = Callable[[int], dict[str, Json]]


class Sheet(NamedTuple):
    """`document` takes the tokens that the answer claims."""

    model: str
    tokens: int
    document: Render


def embeddings(body: bytes) -> Sheet:
    """Raises BadBody."""
    top = Node.of(body)
    model = top.need("model").text()
    texts, tokens = _inputs(top.need("input"))
    wanted, kind = top.find("dimensions"), top.find("encoding_format")
    count = wanted.whole(1, MOST_DIMENSIONS) if wanted is not None else DIMENSIONS
    packed = kind is not None and kind.text("float", "base64") == "base64"

    def document(told: int) -> dict[str, Json]:
        found: list[Json] = []
        for index, text in enumerate(texts):
            values = vector(text, count)
            shown: Json = base64.b64encode(struct.pack(f"<{count}f", *values)).decode() if packed else list[Json](values)
            found.append({"object": "embedding", "index": index, "embedding": shown})
        return {"object": "list", "data": found, "model": model, "usage": {"prompt_tokens": told, "total_tokens": told}}

    return Sheet(model, tokens, document)


def moderations(body: bytes) -> Sheet:
    """A category applies where the text holds its name. Moderation is free, as it is at OpenAI."""
    top = Node.of(body)
    name = top.find("model")
    model = name.text() if name is not None else "omni-moderation-latest"
    entries = _moderated(top.need("input"))
    results = [_judged(text, images) for text, images in entries]
    return Sheet(model, 0, _fixed({"id": "modr-of-the-simulator", "model": model, "results": list[Json](results)}))


def rerank(body: bytes) -> Sheet:
    """A document's relevance is the share of the query's words that it holds."""
    top = Node.of(body)
    model, query = top.need("model").text(), top.need("query").text()
    documents = [item.text() if isinstance(item.value, str) else item.need("text").text() for item in top.need("documents").items()]
    if not documents:
        raise top.need("documents").bad("`documents` must not be empty.")
    most = top.find("top_n")
    words = set(query.lower().split())
    scores = [len(words & set(text.lower().split())) / max(1, len(words)) for text in documents]
    order = sorted(range(len(documents)), key=lambda index: (-scores[index], index))[: most.whole(1) if most is not None else None]
    shown = flag(top, "return_documents")
    results: list[Json] = []
    for index in order:
        result: dict[str, Json] = {"index": index, "relevance_score": scores[index]}
        if shown:
            result["document"] = {"text": documents[index]}
        results.append(result)

    def document(told: int) -> dict[str, Json]:
        return {"model": model, "results": results, "usage": {"prompt_tokens": told, "total_tokens": told}}

    return Sheet(model, sum(map(count_words, (query, *documents))), document)


def anthropic_count(body: bytes, version: str) -> Sheet:
    heard = messages_ask.read(body, version, counting=True)
    return Sheet(heard.model, 0, _fixed({"input_tokens": heard.words}))


def responses_count(body: bytes, shelf: Shelf) -> Sheet:
    heard = responses_ask.read(body, shelf)
    return Sheet(heard.model, 0, _fixed({"object": "response.input_tokens", "input_tokens": heard.words}))


def responses_compact(body: bytes, shelf: Shelf) -> Sheet:
    """What the user said stays, all else goes into one item that nobody can read."""
    heard = responses_ask.read(body, shelf)
    said = [item for item in responses_ask.inputs_of(Node.of(body)) if item.find("role") is not None]
    kept: list[Json] = [_message(item, index) for index, item in enumerate(said)]
    kept.append({"id": f"cmp_{heard.words}", "type": "compaction", "encrypted_content": "sealed-by-the-simulator"})

    def document(told: int) -> dict[str, Json]:
        usage: dict[str, Json] = {
            "input_tokens": told,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": told,
        }
        shown: dict[str, Json] = {"id": "resp_compacted", "object": "response.compaction", "created_at": CREATED, "output": kept}
        return {**shown, "usage": usage}

    return Sheet(heard.model, heard.words, document)


def _message(item: Node, index: int) -> Json:
    """A message as it was asked with, and what an answer says of it beside."""
    shown = item.value if isinstance(item.value, dict) else {}
    whole: dict[str, Json] = {"id": f"msg_{index}", "type": "message", "status": "completed", **shown}
    text = whole.get("content")
    if isinstance(text, str):
        said: dict[str, Json] = {"type": "output_text", "text": text, "annotations": []}
        asked: dict[str, Json] = {"type": "input_text", "text": text}
        whole["content"] = [said if whole.get("role") == "assistant" else asked]
    return whole


def gemini_count(body: bytes, model: str) -> Sheet:
    top = Loose.of(body)
    top.only("contents", "generateContentRequest", "systemInstruction", "tools", "generationConfig")
    nested = top.find("generateContentRequest")
    heard = gemini_ask.read(nested if nested is not None else top, model, stream=False)
    details: Json = [{"modality": "TEXT", "tokenCount": heard.words}]
    return Sheet(model, 0, _fixed({"totalTokens": heard.words, "promptTokensDetails": details}))


def gemini_embed(body: bytes, model: str) -> Sheet:
    text, count = _gemini_input(Loose.of(body))
    return Sheet(model, count_words(text), _fixed({"embedding": {"values": list[Json](vector(text, count))}}))


def gemini_embed_batch(body: bytes, model: str) -> Sheet:
    top = Loose.of(body)
    top.only("requests")
    inputs: list[tuple[str, int]] = []
    for request in top.need("requests").items():
        named = request.need("model")
        if named.text().removeprefix("models/") != model:
            raise named.bad(f"Must be the model of the path: models/{model}.")
        inputs.append(_gemini_input(request))
    values: list[Json] = [{"values": list[Json](vector(text, count))} for text, count in inputs]
    return Sheet(model, sum(count_words(text) for text, _ in inputs), _fixed({"embeddings": values}))


def vector(text: str, count: int) -> tuple[float, ...]:
    """Of length one, and exact as float32."""
    dice = random.Random(hashlib.sha256(text.encode()).digest())
    values = [dice.uniform(-1, 1) for _ in range(count)]
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return struct.unpack(f"<{count}f", struct.pack(f"<{count}f", *(value / length for value in values)))


def _fixed(document: dict[str, Json]) -> Render:
    """A document that does not say what it cost."""
    return lambda _told: dict(document)


def _inputs(given: Node) -> tuple[list[str], int]:
    if isinstance(given.value, str):
        return [given.value], count_words(given.text())
    items = given.items()
    if not 1 <= len(items) <= _MOST_INPUTS:
        raise given.bad(f"Between 1 and {_MOST_INPUTS} inputs.")
    if all(isinstance(item.value, int) for item in items):
        return [" ".join(str(item.whole(0)) for item in items)], len(items)
    texts: list[str] = []
    tokens = 0
    for item in items:
        if isinstance(item.value, str):
            texts.append(item.value)
            tokens += count_words(item.value)
        else:
            numbers = [token.whole(0) for token in item.items()]
            texts.append(" ".join(map(str, numbers)))
            tokens += len(numbers)
    if not all(texts):
        raise given.bad("An input must not be empty.")
    return texts, tokens


def _moderated(given: Node) -> list[tuple[str, int]]:
    """Text and number of images of each result; parts make one result together."""
    if isinstance(given.value, str):
        return [(given.value, 0)]
    items = given.items()
    if all(isinstance(item.value, str) for item in items):
        return [(item.text(), 0) for item in items]
    texts: list[str] = []
    images = 0
    for item in items:
        if item.need("type").text("text", "image_url") == "text":
            texts.append(item.need("text").text())
        else:
            url = item.need("image_url").need("url")
            linked(url, "image", url.text())
            images += 1
    return [(" ".join(texts), images)]


def _judged(text: str, images: int) -> Json:
    held = {name: name in text.lower() for name in _CATEGORIES}
    kinds: Sequence[Json] = ["text", "image"] if images else ["text"]
    return {
        "flagged": any(held.values()),
        "categories": dict[str, Json](held),
        "category_scores": {name: 0.9 if flagged else 0.01 for name, flagged in held.items()},
        "category_applied_input_types": {name: list(kinds) for name in _CATEGORIES},
    }


def _gemini_input(request: Loose) -> tuple[str, int]:
    request.only("model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig")
    check(request, {"taskType": lambda node: node.text(), "title": lambda node: node.text()})
    content, wanted = request.need("content"), request.find("outputDimensionality")
    content.only("role", "parts")
    text = " ".join(part.need("text").text() for part in content.need("parts").items())
    return text, wanted.whole(1, MOST_DIMENSIONS) if wanted is not None else DIMENSIONS
