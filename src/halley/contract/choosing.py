"""Which model a contract asks: the one that was named, else one from the endpoint's own lists, never one from here. Pure.

The public catalogue says what a model is for and what it costs; a plain list says names only, and then a name is read for what it rules
out. Each choice carries its reason. Once made it is never changed, whatever the answer is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from halley.contract.contracts import Contract, Kind
from halley.contract.evidence import Evidence, items, member, members

_FEATURES: Final[dict[str, Kind]] = {
    "text-to-text": "text", "text": "text", "chat": "text", "openai": "text", "embedding": "embeddings", "embeddings": "embeddings",
    "text-to-embedding": "embeddings", "image": "image", "text-to-image": "image", "image-generation": "image", "speech": "speech",
    "text-to-speech": "speech", "transcription": "transcription", "speech-to-text": "transcription", "video": "video",
    "text-to-video": "video", "openai-video": "video",
}  # fmt: skip
_OTHER_THAN_TEXT: Final = re.compile(
    r"embed|bge-|rerank|moderation|whisper|transcri|\btts\b|-tts|speech|audio|realtime|dall-?e|image|flux|stable-diffusion|midjourney|"
    r"video|veo|sora|kling|runway|suno|music|ocr|guard",
    re.IGNORECASE,
)
_LONGEST: Final = 256
"""Characters of an id that is taken from a list."""
_PRICES: Final = ("input", "output", "per_request", "per_second", "per_image")


class Entry(msgspec.Struct, frozen=True):
    """A model as the lists tell of it. `kinds` is empty where they say nothing; `price` is the sum of the prices told, None if none is."""

    id: str
    kinds: frozenset[Kind] = frozenset()
    price: float | None = None


class Chosen(msgspec.Struct, frozen=True):
    """`model` is empty if there is none, and `why` then says why not."""

    kind: str
    model: str
    why: str


def entries(evidence: Evidence) -> Iterator[Entry]:
    """What a model list says, whether the public catalogue or the list of a key. What no id can be, such as one that would drive a
    terminal or fill a report, is passed over."""
    value = evidence.value() if evidence.status == 200 else None
    for entry in [*items(member(value, "data")), *items(member(value, "models"))]:
        name = members(entry).get("id") or members(entry).get("name")
        if isinstance(name, str) and 0 < len(name) <= _LONGEST and name.isprintable():
            yield Entry(name.removeprefix("models/"), frozenset(_kinds(entry)), _price(members(entry).get("pricing")))


def _kinds(entry: object) -> Iterator[Kind]:
    told = members(entry)
    words = [told.get("model_type"), told.get("type"), *items(told.get("features")), *items(told.get("supported_endpoint_types"))]
    methods = items(told.get("supportedGenerationMethods"))
    for word in words:
        if isinstance(word, str) and word.lower() in _FEATURES:
            yield _FEATURES[word.lower()]
    if methods:
        yield "text" if "generateContent" in methods else "embeddings"


def _price(pricing: object) -> float | None:
    told = [_number(members(pricing).get(name)) for name in _PRICES]
    known = [price for price in told if price is not None]
    return sum(known) if known else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


class Shelf(msgspec.Struct, frozen=True):
    """All that may be chosen from: `listed` by the key, `catalogue` for everybody, `named` by the operator for a kind."""

    listed: tuple[Entry, ...] = ()
    catalogue: tuple[Entry, ...] = ()
    named: Mapping[str, str] = {}

    def choose(self, contract: Contract) -> Chosen:
        kind = contract.kind
        if kind is None:
            return Chosen("", self.named.get("text", ""), "")
        if self.named.get(kind):
            return Chosen(kind, self.named[kind], "named by the operator")
        allowed = {entry.id for entry in self.listed}
        known = [entry for entry in self.catalogue if kind in entry.kinds and (not allowed or entry.id in allowed)]
        known += [entry for entry in self.listed if kind in entry.kinds and all(entry.id != other.id for other in known)]
        if contract.paid:
            free = [entry for entry in known if entry.price == 0]
            if free:
                return Chosen(kind, free[0].id, "free in the catalogue")
            return Chosen(kind, "", f"it costs money and no free {kind} model is listed; name one with --model-for {kind}=ID")
        if known:
            cheapest = min(known, key=lambda entry: (entry.price is None, entry.price or 0.0))
            why = "the cheapest of its kind in the catalogue" if cheapest.price is not None else "listed for this kind"
            return Chosen(kind, cheapest.id, why)
        plain = [entry.id for entry in self.listed if not entry.kinds]
        found = [name for name in plain if _may_be(kind, name)]
        if found:
            return Chosen(kind, found[0], "the first of the model list whose name speaks of nothing else")
        option = "--model ID" if kind == "text" else f"--model-for {kind}=ID"
        return Chosen(kind, "", f"no {kind} model is listed; name one with {option}")


def _may_be(kind: str, name: str) -> bool:
    return "embed" in name.lower() if kind == "embeddings" else kind == "text" and not _OTHER_THAN_TEXT.search(name)
