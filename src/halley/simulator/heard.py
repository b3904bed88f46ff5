"""What the simulator has understood of a request, whichever dialect it came in: the turns, the media, the tools, the wishes.

A dialect's module reads its body into `Turn`s and a `Heard`; `plan.py` makes the answer from it. Tokens of the prompt are counted here and
only here: one a word, and a fixed number a medium.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from halley.simulator.reading import Loose, Node
from halley.simulator.schema import Json

MEDIUM_TOKENS = {"image": 85, "document": 258, "audio": 32, "video": 263}
_WORD = re.compile(r"\S+")
_URL_SAFE = str.maketrans("-_", "+/")
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?(;base64)?,(.*)", re.DOTALL)


class Medium(NamedTuple):
    """`digest` is empty for a medium that stands elsewhere: at `uri`, or under that id."""

    kind: str
    mime: str
    digest: str
    length: int
    uri: str

    def describe(self) -> str:
        what = f"{self.kind} {self.mime or 'unknown'}"
        return f"[{what} {self.length} bytes sha256:{self.digest}]" if self.digest else f"[{what} at {self.uri}]"


class Result(NamedTuple):
    """What a tool has answered."""

    id: str
    name: str
    text: str
    media: tuple[Medium, ...] = ()
    failed: bool = False


class Turn(NamedTuple):
    role: str
    texts: tuple[str, ...] = ()
    media: tuple[Medium, ...] = ()
    results: tuple[Result, ...] = ()
    called: bool = False


class Offer(NamedTuple):
    """A tool that may be called; `free` takes text and not JSON. Its namespace is empty in every dialect but one."""

    name: str
    schema: Json
    free: bool = False
    namespace: str = ""


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """How the answer should be. `chosen` is a tool's name, or auto, none, any.

    `shows_thoughts`, `thinks`, `sealed`: whether thoughts are shown, are had at all, and come back encrypted;
    `must_think`: a call is never made without one;
    `logprobs`: how many alternatives are shown with each piece, None without log probabilities.
    """

    stream: bool = False
    include_usage: bool = False
    count: int = 1
    cap: int | None = None
    stops: tuple[str, ...] = ()
    tools: tuple[Offer, ...] = ()
    chosen: str = "auto"
    parallel: bool = True
    schema: Json = None
    json: bool = False
    shows_thoughts: bool = True
    thinks: bool = True
    sealed: bool = False
    must_think: bool = False
    logprobs: int | None = None
    background: bool = False
    cites_documents: bool = False


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """`said` is the last thing a user said, `results` what came after the last turn of the assistant, `rounds` how many tool rounds
    the conversation ends with, `whole` the body as it came, `seed` what the answer follows from."""

    model: str
    said: str
    words: int
    media: tuple[Medium, ...]
    results: tuple[Result, ...]
    rounds: int
    texts: tuple[str, ...]
    wishes: Wishes
    seed: int
    whole: Json


def hear(model: str, turns: Sequence[Turn], wishes: Wishes, seeds: Sequence[Json], whole: Json) -> Heard:
    """Only `seeds` decide what is answered, so that a gateway may change stream flags and caps."""
    results, rounds = _ending(turns)
    media = tuple(medium for turn in turns for medium in (*turn.media, *(each for result in turn.results for each in result.media)))
    return Heard(
        model=model,
        said=next((" ".join(turn.texts) for turn in reversed(turns) if turn.role == "user" and (turn.texts or not turn.results)), ""),
        words=sum(map(_counted, turns)) + sum(MEDIUM_TOKENS[medium.kind] for medium in media),
        media=media,
        texts=tuple(text for turn in turns for text in turn.texts),
        results=results,
        rounds=rounds,
        wishes=wishes,
        seed=int.from_bytes(hashlib.blake2b(msgspec.json.encode((model, seeds)), digest_size=8).digest(), "big"),
        whole=whole,
    )


def decoded(node: Node, kind: str, mime: str, text: str) -> Medium:
    """A medium in Base64. Raises BadBody."""
    try:
        # Google's libraries write the URL-safe alphabet, which no other dialect's reader may take.
        raw = base64.b64decode(text.translate(_URL_SAFE) if isinstance(node, Loose) else text, validate=True)
    except ValueError as fault:
        raise node.bad("This is not Base64.") from fault
    return Medium(kind, mime, hashlib.sha256(raw).hexdigest()[:16], len(raw), "")


def plain(kind: str, mime: str, text: str) -> Medium:
    raw = text.encode()
    return Medium(kind, mime, hashlib.sha256(raw).hexdigest()[:16], len(raw), "")


def linked(node: Node, kind: str, url: str, mime: str = "") -> Medium:
    """A medium at a URL, or inside it where it is a `data:` one. Raises BadBody."""
    found = _DATA_URL.fullmatch(url)
    if found is not None:
        if not found[2]:
            raise node.bad("A data URL must be in Base64: `data:<MIME>;base64,<data>`.")
        return decoded(node, kind, found[1], found[3])
    if not url.startswith(("http://", "https://", "gs://")):
        raise node.bad("Neither an https URL nor a data URL.")
    return Medium(kind, mime, "", 0, url)


def stored(kind: str, mime: str, name: str) -> Medium:
    """A medium that the provider holds under a name."""
    return Medium(kind, mime, "", 0, name)


def of_mime(mime: str) -> str:
    """The kind of a medium."""
    kind = mime.partition("/")[0]
    return kind if kind in MEDIUM_TOKENS else "document"


def count_words(text: str) -> int:
    return len(_WORD.findall(text))


def _counted(turn: Turn) -> int:
    return sum(map(count_words, turn.texts)) + sum(count_words(result.text) for result in turn.results)


def _ending(turns: Sequence[Turn]) -> tuple[tuple[Result, ...], int]:
    """The results after the last turn of the assistant, and how many rounds of calls and results stand at the end."""
    groups = [(is_assistant, list(group)) for is_assistant, group in groupby(reversed(turns), key=lambda turn: turn.role == "assistant")]
    results: tuple[Result, ...] = ()
    if groups and not groups[0][0]:
        results = tuple(result for turn in reversed(groups[0][1]) for result in turn.results)
    rounds = 0
    for (_, heard), (_, spoken) in zip(groups[::2], groups[1::2], strict=False):
        if not any(turn.results for turn in heard) or not any(turn.called for turn in spoken):
            break
        rounds += 1
    return results, (rounds if results else 0)
