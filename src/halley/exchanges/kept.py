"""Kept: answers that their callers ask for again, look into, cancel or delete. It is free, and goes to whoever has the answer.

Paths: OpenAI's published schema, read 2026-11. An answer's id stands where routes of other exchanges have a model's name.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from halley.dialects import OPENAI_RESPONSES, Dialect
from halley.exchanges.record import BEARER, Carriers

Deed = Literal["show", "delete", "cancel", "inputs"]


class Kept(NamedTuple):
    """What may be done with the answers whose paths begin with `prefix`, by method and by what follows the id; and the place of each deed
    at a provider that keeps its answers itself, beside the dialect of which `beside` is the word in the provider table. Whoever may call
    one of `routes` may do it."""

    prefix: bytes
    dialect: Dialect
    deeds: dict[tuple[bytes, bytes], Deed]
    beside: str
    places: dict[Deed, str]
    routes: frozenset[str]
    carriers: Carriers = BEARER


_ONE = "/responses/{model}"

KEPT = Kept(
    b"/v1/responses/",
    OPENAI_RESPONSES,
    {(b"GET", b""): "show", (b"DELETE", b""): "delete", (b"POST", b"/cancel"): "cancel", (b"GET", b"/input_items"): "inputs"},
    "responses",
    {"show": _ONE, "delete": _ONE, "cancel": f"{_ONE}/cancel", "inputs": f"{_ONE}/input_items"},
    frozenset({"chat", "/v1/responses"}),
)
