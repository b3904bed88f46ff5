"""What a caller names by its address, fetched for a provider of another dialect that takes content inline only: pictures and PDFs.

Each address once, all of a request at the same time, through `net.egress` and nothing else. What cannot be fetched refuses the offer, not
the request: another one may take addresses. Nothing has gone upstream by then, and a client that leaves stops its fetches.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from halley.chat.model import Ask, Document, Image, Inline, Part, ToolResult, Url
from halley.errors import Condition, Refused
from halley.net.egress import Fetch, Fetched, Wanted

if TYPE_CHECKING:
    from halley.serve.relay import Run

MOST_FETCHES = 20
MOST_BYTES = 33554432
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
DOCUMENTS = frozenset({"application/pdf"})


class Addressed(Struct, frozen=True, tag=True):
    """What is to be fetched: of each address whether it is a picture or a document, and where it stands first."""

    pictures: dict[str, str]
    documents: dict[str, str]


def addressed(ask: Ask) -> Addressed | None:
    """None: it names no address."""
    found = Addressed({}, {})
    for part in _parts(ask):
        if isinstance(part.source, Url):
            (found.pictures if isinstance(part, Image) else found.documents).setdefault(part.source.url, part.at)
    return found if found.pictures or found.documents else None


def _parts(ask: Ask) -> Iterator[Image | Document]:
    for turn in ask.turns:
        for part in turn.parts:
            for each in part.parts if isinstance(part, ToolResult) else (part,):
                if isinstance(each, Image | Document):
                    yield each


def inlined(ask: Ask, contents: dict[str, Inline]) -> Ask:
    """The ask with contents in place of their addresses."""

    def inline(part: Part) -> Part:
        match part:
            case Image(source=Url(url=url)) | Document(source=Url(url=url)) if url in contents:
                return replace(part, source=contents[url])
            case ToolResult():
                return replace(part, parts=tuple(map(inline, part.parts)))
            case _:
                return part

    return replace(ask, turns=tuple(replace(turn, parts=tuple(map(inline, turn.parts))) for turn in ask.turns))


def begun(run: Run, ask: Ask) -> bool:
    """Whether addresses in this ask have to be fetched first, which has begun then. Raises Refused."""
    if all(url.startswith("data:") for url in run.seen.image_urls):
        return False
    wanted = addressed(ask)
    if wanted is None:
        return False
    offer = run.offer

    def go_on(contents: dict[str, Inline]) -> None:
        run.ask = inlined(ask, contents)
        run.attempt(offer)

    run.call = Fetching(run, wanted, go_on)
    return True


class Fetching:
    """All fetches of one request; it stands for the call until they are over. Then the attempt goes on, with all contents."""

    sent = False

    def __init__(self, run: Run, wanted: Addressed, go_on: Callable[[dict[str, Inline]], None]) -> None:
        """Raises Refused."""
        named = {url: _wanted(PICTURES, at) for url, at in wanted.pictures.items()}
        named |= {url: _wanted(DOCUMENTS, at) for url, at in wanted.documents.items() if url not in named}
        if len(named) > MOST_FETCHES:
            words = f"At most {MOST_FETCHES} different addresses of pictures and documents are fetched for one request; send the data."
            raise Refused(Condition.INVALID, words)
        self._run = run
        self._go_on = go_on
        self._contents: dict[str, Inline] = {}
        self._bytes = 0
        self._running: set[Fetch] = {run.gateway.egress.fetch(url, each, self) for url, each in named.items()}

    def fetched(self, fetch: Fetch, content: Fetched) -> None:
        self._running.discard(fetch)
        self._bytes += len(content.data)
        if self._bytes > MOST_BYTES:
            words = f"The pictures and documents of one request have more than {MOST_BYTES} bytes together."
            self.refused(fetch, Refused(Condition.INVALID, words, param=fetch.wanted.param))
            return
        self._contents[fetch.url] = Inline(content.mime, b64encode(content.data).decode("ascii"))
        if not self._running:
            self._go_on(self._contents)

    def refused(self, fetch: Fetch, refusal: Refused) -> None:
        self._running.discard(fetch)
        self.abort()
        self._run.go(refusal)

    def abort(self) -> None:
        running, self._running = self._running, set()
        for fetch in running:
            fetch.abort()

    def pause(self) -> None: ...
    def resume(self) -> None: ...


def _wanted(kinds: frozenset[str], at: str) -> Wanted:
    return Wanted(kinds, MOST_BYTES, at or None)
