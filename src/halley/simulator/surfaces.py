"""What the simulator serves: paths, the credentials that each takes, and the words in which each refuses.

A table and its reader; nothing is answered here.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from halley.simulator.http import Request
from halley.simulator.plan import CREATED
from halley.simulator.reading import BadBody
from halley.simulator.schema import Json
from halley.simulator.speaking import CHAT, COMPLETIONS, GEMINI, MESSAGES, RESPONSES, Dialect


class Surface(NamedTuple):
    """One path. `name` is what the bill calls it, `model` and `operation` come from a Gemini path, `item` from one with an id."""

    name: str
    dialect: Dialect
    methods: tuple[str, ...] = ("POST",)
    model: str = ""
    item: str = ""
    public: bool = False
    """Answers without a key."""


_CARRIERS = {
    "chat": ("bearer",),
    "completions": ("bearer",),
    "responses": ("bearer",),
    "messages": ("x-api-key", "bearer"),
    "gemini": ("x-goog-api-key", "key", "bearer"),
}
_HINTS = {
    "bearer": "`Authorization: Bearer KEY`",
    "x-api-key": "`x-api-key: KEY`",
    "x-goog-api-key": "`x-goog-api-key: KEY`",
    "key": "`?key=KEY`",
}
_PATHS = {
    "/v1/chat/completions": Surface("chat", CHAT),
    "/v1/completions": Surface("completions", COMPLETIONS),
    "/v1/responses": Surface("responses", RESPONSES),
    "/v1/responses/input_tokens": Surface("responses.input_tokens", RESPONSES),
    "/v1/responses/compact": Surface("responses.compact", RESPONSES),
    "/v1/messages": Surface("messages", MESSAGES),
    "/v1/messages/count_tokens": Surface("messages.count_tokens", MESSAGES),
    "/v1/embeddings": Surface("embeddings", CHAT),
    "/v1/moderations": Surface("moderations", CHAT),
    "/v1/rerank": Surface("rerank", CHAT),
    "/v1/images/generations": Surface("images", CHAT),
    "/v1/audio/speech": Surface("speech", CHAT),
    "/v1/audio/transcriptions": Surface("transcription", CHAT),
    "/v1/videos": Surface("videos", CHAT),
    "/v1/dashboard/billing/subscription": Surface("allowance", CHAT, ("GET",)),
    "/v1/dashboard/billing/usage": Surface("spent", CHAT, ("GET",)),
    "/api/models": Surface("catalogue", CHAT, ("GET",), public=True),
    "/health": Surface("health", CHAT, ("GET",), public=True),  # as at vLLM, whose routers wait for it before they serve
}
_OPERATIONS = {
    "generateContent": "gemini",
    "streamGenerateContent": "gemini.stream",
    "countTokens": "gemini.countTokens",
    "embedContent": "gemini.embedContent",
    "batchEmbedContents": "gemini.batchEmbedContents",
}
_ROOTS = ("/v1beta", "/v1")


def find(request: Request) -> Surface | None:
    """The surface of a path, whatever the method. A model's name may hold slashes; the operation stands after the last colon."""
    path = request.path
    if path in _PATHS:
        return _PATHS[path]
    for root in _ROOTS:
        if path == f"{root}/models":
            return Surface("models", _listing(request, root), ("GET",))
        if path.startswith(f"{root}/models/"):
            name, colon, operation = unquote(path.removeprefix(f"{root}/models/")).rpartition(":")
            if colon and operation in _OPERATIONS:
                return Surface(_OPERATIONS[operation], GEMINI, model=name)
            return Surface("model", _listing(request, root), ("GET",), item=unquote(path.removeprefix(f"{root}/models/")))
    if path.startswith("/v1/videos/"):
        return Surface("video", CHAT, ("GET", "DELETE"), item=unquote(path.removeprefix("/v1/videos/")))
    if path.startswith("/v1/responses/"):
        return Surface("stored", RESPONSES, ("GET", "DELETE", "POST"), item=unquote(path.removeprefix("/v1/responses/")))
    if path.startswith("/v1beta/"):
        return Surface("unknown", GEMINI, ())
    return Surface("unknown", MESSAGES, ()) if path.startswith("/v1/messages/") else None


def query(request: Request, name: str) -> str:
    return next(iter(parse_qs(request.target.partition(b"?")[2].decode("latin-1")).get(name, ())), "")


def credential(request: Request, dialect: Dialect) -> str:
    """The key as this dialect carries it; empty without one."""
    for carrier in _CARRIERS[dialect.name]:
        match carrier:
            case "bearer":
                kind, _, key = request.fields.get(b"authorization", b"").decode("latin-1").partition(" ")
                found = key if kind.lower() == "bearer" else ""
            case "key":
                found = query(request, "key")
            case _:
                found = request.fields.get(carrier.encode(), b"").decode("latin-1")
        if found:
            return found
    return ""


def unauthorized(request: Request, dialect: Dialect, required: str | None) -> str | None:
    """Why the request is not let in. Without a required key any key will do."""
    key = credential(request, dialect)
    if not key:
        return f"You did not provide an API key: send it as {' or '.join(_HINTS[carrier] for carrier in _CARRIERS[dialect.name])}."
    if required is not None and not hmac.compare_digest(key.encode(), required.encode()):
        return "Incorrect API key provided."
    return None


def head_of(request: Request) -> Json:
    """The request's line and fields as JSON; a credential shows in which field it came, and no more."""
    hidden = (b"authorization", b"x-api-key", b"x-goog-api-key", b"cookie")
    fields: dict[str, Json] = {
        name.decode("latin-1"): "(a credential)" if name in hidden else value.decode("latin-1")
        for name, value in sorted(request.fields.items())
    }
    path, _, rest = request.target.decode("latin-1").partition("?")
    shown = "&".join("key=(a credential)" if part.startswith("key=") else part for part in rest.split("&"))
    return {"method": request.method, "target": f"{path}?{shown}" if rest else path, "fields": fields}


def check_version(request: Request) -> str:
    """The API version that every request to Anthropic must name. Raises BadBody."""
    version = request.fields.get(b"anthropic-version", b"").decode("latin-1")
    if not version:
        raise BadBody((), "anthropic-version: header is required")
    return version


def listing(dialect: Dialect, names: list[str]) -> Json:
    """The model list in the words of a dialect."""
    data: list[Json] = [entry(dialect, name) for name in names]
    match dialect.name:
        case "gemini":
            return {"models": data}
        case "messages":
            return {"data": data, "first_id": names[0] if names else None, "last_id": names[-1] if names else None, "has_more": False}
        case _:
            return {"object": "list", "data": data}


def entry(dialect: Dialect, name: str) -> Json:
    match dialect.name:
        case "gemini":
            return {
                "name": f"models/{name}",
                "version": "1",
                "displayName": name,
                "inputTokenLimit": 1_000_000,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": list[Json](_OPERATIONS),
            }
        case "messages":
            return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
        case _:
            return {"id": name, "object": "model", "created": CREATED, "owned_by": "halley"}


def catalogue(names: list[str]) -> Json:
    """The public catalogue, in which everything is free."""
    pricing: Json = {"currency": "USD / M Tokens", "input": 0, "output": 0, "per_request": None, "per_second": None}
    data: list[Json] = [
        {"id": name, "provider": "halley", "model_type": "text", "features": ["text-to-text"], "pricing": pricing} for name in names
    ]
    return {"success": True, "data": data, "page": 0, "total": len(data)}


def balance(name: str) -> Json:
    """What a key may spend, or has spent: nobody's money."""
    if name == "spent":
        return {"object": "list", "total_usage": 0.0}
    return {
        "object": "billing_subscription",
        "has_payment_method": True,
        "hard_limit_usd": 100.0,
        "soft_limit_usd": 100.0,
        "access_until": 0,
    }


def _listing(request: Request, root: str) -> Dialect:
    """Three providers list their models at the same path: the header of a client says which shape it reads."""
    if root == "/v1beta" or b"x-goog-api-key" in request.fields or query(request, "key"):
        return GEMINI
    return MESSAGES if b"anthropic-version" in request.fields else CHAT
