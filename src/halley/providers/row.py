"""What a row of the provider table holds, and where it says that a call goes: pure arithmetic on URLs and paths.

It knows no vendor and sends nothing. A base URL names the place of the row's first dialect, with its path; where the same host speaks
others is reckoned from that.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote, urlsplit

import msgspec

Dialect = Literal["chat", "responses", "messages", "gemini"]
Cancel = Literal["stops_billing", "bills_to_end"]

# What stands behind a base path, for a whole answer and for a stream, unless a row says otherwise.
PATHS: dict[Dialect, tuple[str, str]] = {
    "chat": ("/chat/completions", "/chat/completions"),
    "responses": ("/responses", "/responses"),
    "messages": ("/messages", "/messages"),
    "gemini": ("/models/{model}:generateContent", "/models/{model}:streamGenerateContent?alt=sse"),
}


class Spoken(msgspec.Struct, frozen=True):
    """One dialect at one host. `base` is a path below the host; `call` and `stream` replace what `PATHS` puts behind it, `auth` the row's
    scheme; `tweaks` are names of `providers.tweaks`. `framing` is how a stream is cut into frames: "sse",
    or a name of `providers.framings`."""

    base: str
    call: str = ""
    stream: str = ""
    auth: str = ""
    tweaks: tuple[str, ...] = ()
    framing: Literal["sse", "aws-eventstream"] = "sse"


class ProviderKind(msgspec.Struct, frozen=True):
    """One kind of host. `base_url` is empty where each operator has an own one, and then `pattern` shows its form; `env` is the variable
    that usually holds its key; `takes_urls` whether it fetches pictures by itself, as far as its documentation says so; `exact_ids` how
    many letters and digits the id of a tool's call must have, 0 where any will do; `cancel` who pays when a stream is cut; `free` marks
    the operator's own machine."""

    title: str
    base_url: str
    docs: str
    env: str = ""
    auth: str = "bearer"
    cap_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    cancel: Cancel = "bills_to_end"
    needs_key: bool = True
    free: bool = False
    evidence: Literal["recorded", "from docs"] = "from docs"
    speaks: dict[Dialect, Spoken] = msgspec.field(default_factory=lambda: {"chat": Spoken("/v1")})
    takes_urls: bool = False
    exact_ids: int = 0
    pattern: str = ""

    @property
    def main(self) -> Dialect:
        """The dialect whose place `base_url` names."""
        return next(iter(self.speaks))

    def scheme(self, dialect: Dialect) -> str:
        return self.speaks[dialect].auth or self.auth


def bases(kind: ProviderKind, base_url: str = "") -> dict[Dialect, str]:
    """Where each dialect is spoken: URLs without a slash at the end. An operator's own `base_url` that does not end as the row's does
    names one place, and says nothing of any other."""
    url = (base_url or kind.base_url).rstrip("/")
    main = kind.speaks[kind.main].base
    if not urlsplit(url).path.endswith(main):
        return {kind.main: url}
    root = url.removesuffix(main)
    return {dialect: root + spoken.base for dialect, spoken in kind.speaks.items()}


def paths(kind: ProviderKind, dialect: Dialect) -> tuple[str, str]:
    """What follows the base for a whole answer and for a stream, with `{model}` where its name stands."""
    spoken = kind.speaks[dialect]
    call, streamed = PATHS[dialect]
    return spoken.call or call, spoken.stream or spoken.call or streamed


def beside(kind: ProviderKind, dialect: Dialect, place: str) -> str:
    """What follows the base where `place` (`/embeddings`) is served beside a dialect; empty where the row's paths have no such place."""
    own, _ = PATHS[dialect]
    call, _ = paths(kind, dialect)
    return call.replace(own, place) if own in call else ""


def filled(template: str, model: str) -> str:
    """A path with the model's name, percent-encoded, so that it cannot become another path."""
    return template.replace("{model}", quote(model, safe="@"))


def path(kind: ProviderKind, dialect: Dialect, model: str, *, stream: bool) -> str:
    """What follows the base for one model."""
    return filled(paths(kind, dialect)[stream], model)
