"""What the parts of the document have in common: headers, places of keys, refusals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from halley.chat.published import Parameter
from halley.dialects import WriteError
from halley.errors import Condition, Refused
from halley.exchanges.record import AUTHORIZATION, QUERY, Carriers

Json = dict[str, Any]
_ID = "req_01JD8Q6WZ3M5T7V9XBCDEFGHJK"

# What a caller of a route that exists can meet. The other two are of paths and methods that do not.
ALWAYS = frozenset(Condition) - {Condition.UNKNOWN_URL, Condition.WRONG_METHOD, Condition.NOT_FOUND}
# Without a model there is nothing to pay for, and nobody upstream to fail.
READING = ALWAYS - {
    Condition.NO_CREDIT, Condition.CONFLICT, Condition.WRONG_TYPE, Condition.RATE_LIMIT, Condition.UPSTREAM, Condition.NO_PROVIDER,
    Condition.DEADLINE,
}  # fmt: skip
OPEN = READING - {Condition.BAD_KEY, Condition.NOT_ALLOWED, Condition.UNKNOWN_MODEL}

SCHEMES: dict[str, Json] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "token": {"type": "apiKey", "in": "header", "name": "authorization", "description": "A personal access token by itself."},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "key": {"type": "apiKey", "in": "query", "name": "key"},
}
_TEXT: Json = {"type": "string"}
HEADERS: dict[str, Json] = {
    "x-request-id": {"description": "Names the request in the log.", "required": True, "schema": {"type": "string", "pattern": "^req_"}},
    "request-id": {"description": "The same where this dialect's clients look for it.", "required": True, "schema": _TEXT},
    "x-halley-provider": {"description": "Who answered.", "schema": _TEXT},
    "x-halley-attempts": {"description": "How many providers were asked.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "x-halley-lost": {
        "description": "What of the request the provider could not be told, and of its answer the caller.",
        "schema": _TEXT,
    },
    "link": {"description": "The path of which this is an alias.", "schema": _TEXT},
    "idempotent-replayed": {"description": "`true`: the answer is an earlier request's, and nothing is charged for it.", "schema": _TEXT},
    "original-request": {"description": "The request that had this Idempotency-Key first.", "schema": _TEXT},
    "x-should-retry": {"description": "`false` tells an SDK not to try again of itself.", "schema": _TEXT},
    "location": {"description": "The page that explains the path.", "required": True, "schema": _TEXT},
    "retry-after": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "www-authenticate": {"description": "How a key is sent.", "schema": _TEXT},
}
STRICT = Parameter(
    "x-halley-strict", "`1`: a request is refused before any provider is asked, if a part of it could not be told to the provider."
)
IDEMPOTENCY = Parameter(
    "Idempotency-Key",
    "Of requests with the same key and body one alone is served and charged; the others get its answer again, or 409.",
    pattern="^[ -~]{1,255}$",
)


def plain(docstring: str) -> str:
    return " ".join(docstring.split())


def security(carriers: Carriers) -> list[Json]:
    """A key in any of these places will do."""
    names = {AUTHORIZATION: "bearer", QUERY: "key"}
    return [{names.get(carrier) or carrier.decode("ascii"): []} for carrier in carriers]


def headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def parameter(found: Parameter, place: str) -> Json:
    schema = _TEXT | {"pattern": found.pattern} if found.pattern else _TEXT
    return {"name": found.name, "in": place, "description": found.words, "schema": schema}


def in_path(name: str) -> Json:
    words = "The model's id; a slash in it may stand as it is." if name == "model" else "Which."
    return {"name": name, "in": "path", "required": True, "description": words, "schema": {"type": "string", "minLength": 1}}


def refusals(write: WriteError, conditions: Iterable[Condition], error: Json, ids: tuple[str, ...]) -> dict[str, Json]:
    """By status, each condition with the body that this dialect writes for it."""
    found: dict[str, Json] = {}
    for condition in sorted(conditions, key=lambda each: (each.status, each.name)):
        status, _, body = write(Refused(condition, "What was wrong, and what would be right."), _ID)
        code = condition.value.openai_code
        if str(status) not in found:
            content = {"schema": error, "examples": Json()}
            found[str(status)] = {"description": "", "headers": headers(*ids), "content": {"application/json": content}}
        answer = found[str(status)]
        answer["description"] += f", `{code}`" if answer["description"] else f"`{code}`"
        answer["content"]["application/json"]["examples"][code] = {"value": msgspec.json.decode(body)}
        if condition is Condition.BAD_KEY:
            answer["headers"] |= headers("www-authenticate")
        if condition is Condition.CONFLICT:
            answer["headers"] |= headers("original-request", "x-should-retry")
        if condition in _LATER:
            answer["headers"] |= headers("retry-after")
    return found


_LATER = (Condition.CONFLICT, Condition.RATE_LIMIT, Condition.NO_PROVIDER, Condition.OVERLOADED)
