"""What a gateway answers of itself, without a key: whether it is well, which models there are at what price, and its OpenAPI document.

Paths, and the shapes of the answers. Of what it tells an account, the paths alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import msgspec
from msgspec import Meta

from halley.pricelist import Written

CATALOGUE = b"/api/models"
QUOTE = b"/api/quote"
UNIT_QUOTE = b"/api/quote/units"
HEALTH = b"/healthz"
READY = b"/readyz"
DOCUMENT = b"/openapi.json"
METRICS = b"/metrics"
PAYMENTS = b"/api/payments"  # and the name of a way
# Where an account reads and manages what is its own, each with all that is below it.
ACCOUNT = (
    b"/api/keys", b"/api/teams", b"/api/budgets", b"/api/usage", b"/api/logs", b"/api/balance", b"/api/token", b"/user/quota",
    b"/api/user", b"/api/log", b"/v1/dashboard/billing", b"/dashboard/billing",
)  # fmt: skip


# Where a model is served, by exchange and by the name that readers of the public list know the endpoint by.
ENDPOINTS: dict[str, dict[str, str]] = {
    "chat": {
        "openai": "/v1/chat/completions",
        "openai-response": "/v1/responses",
        "anthropic": "/v1/messages",
        "gemini": "/v1beta/models/{model}:generateContent",
    },
    "embeddings": {"embeddings": "/v1/embeddings"},
    "moderation": {"moderations": "/v1/moderations"},
    "rerank": {"jina-rerank": "/v1/rerank"},
}


def endpoints(served: Collection[str]) -> str:
    """Of a model that these exchanges serve."""
    found = {
        name: {"path": path, "method": "POST"}
        for exchange, paths in ENDPOINTS.items()
        if exchange in served
        for name, path in paths.items()
    }
    return msgspec.json.encode(found).decode()


def page(served: Collection[str]) -> str:
    """Of the documentation, about a model that these exchanges serve."""
    return "chat-completions" if "chat" in served else "beside-chat"


class Health(msgspec.Struct, frozen=True):
    status: str = "ok"


class Readiness(msgspec.Struct, frozen=True):
    """Of the relay that answers. `overloaded` is the reason, if it is."""

    ready: bool
    draining: bool
    control: bool
    journal_lag_s: float
    overloaded: str | None
    loop_lag_ms: int
    memory_bytes: int


class Pricing(msgspec.Struct, frozen=True, kw_only=True):
    """What will be charged, USD: per million tokens of input and output, per request, image (of the dearest size), second, minute,
    character or page; null of what has no price. `list` is the whole price, exact, as decimal strings."""

    currency: str = "USD / M Tokens"
    input: float | None
    output: float | None
    per_request: float | None
    per_second: float | None = None
    per_image: float | None = None
    per_minute: float | None = None
    per_character: float | None = None
    per_page: float | None = None
    ratio: int = 1
    version: str
    list: Written


class CatalogueModel(msgspec.Struct, frozen=True):
    """`status` is `active`, `retiring` within ninety days of its shutdown, and then `shut_down`; `source` says where its price was read.
    `endpoints` is JSON in a string: a path and a method by the name of the endpoint. The last five are there for readers of CometAPI's
    list: places in the order of providers and of models, and what is not known here."""

    id: str
    code: str
    provider: str
    provider_code: str
    name: str
    description: str
    model_type: str
    features: tuple[str, ...]
    pricing: Pricing
    endpoints: str
    api_doc_url: str
    context_length: str | None
    max_completion_tokens: str | None
    status: str = "active"
    shutdown_date: str | None = None
    source: str | None = None
    source_date: str | None = None
    latest_model_name: str | None = None
    published_at: str | None = None
    provider_sort: int = 0
    model_sort: int = 0
    upcoming: bool = False


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All models in one page."""

    success: bool = True
    message: str = ""
    page: int = 0
    page_size: int = 0
    total: int
    data: tuple[CatalogueModel, ...]


class QuoteLine(msgspec.Struct, frozen=True):
    """`count` units at `rate`: USD per million tokens, or per one of what is no token."""

    unit: str
    count: int
    rate: str
    usd: str
    nano_dollars: int


class QuoteCase(msgspec.Struct, frozen=True):
    input_tokens: int
    output_tokens: int
    usd: str
    nano_dollars: int
    lines: tuple[QuoteLine, ...]


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a request would cost. `worst` is what would be held: every byte a token, an answer up to `cap`, the dearest rates there are.
    `expected` is an estimate: the prompt by the bytes that a token of this model has had, an answer as long as its answers of late."""

    object: str = "quote"
    model: str
    path: str
    price_version: str
    currency: str = "USD"
    cap: int
    worst: QuoteCase
    expected: QuoteCase


_Count = Annotated[int, Meta(ge=0, le=10**12)]


class Units(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer would take, in what prices count: tokens (details are parts of `input` and `output`), `images` in all and `image` by
    size or size and quality, calls of tools and units of a vendor by name. `seconds` may have a fraction; minutes are priced from them."""

    input: _Count = 0
    output: _Count = 0
    cache_read: _Count = 0
    cache_write_5m: _Count = 0
    cache_write_1h: _Count = 0
    reasoning: _Count = 0
    audio_in: _Count = 0
    audio_out: _Count = 0
    image_in: _Count = 0
    image_out: _Count = 0
    images: _Count = 0
    image: dict[str, _Count] = {}
    seconds: Annotated[float, Meta(ge=0, le=10**9)] = 0
    characters: _Count = 0
    pages: _Count = 0
    tool: dict[str, _Count] = {}
    vendor: dict[str, _Count] = {}
    service_tier: str = ""


class UnitsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    units: Units


class UnitQuote(msgspec.Struct, frozen=True, kw_only=True):
    """What these units are charged at, line by line, by the price that is in force."""

    object: str = "quote.units"
    model: str
    price_version: str
    currency: str = "USD"
    usd: str
    nano_dollars: int
    lines: tuple[QuoteLine, ...]
