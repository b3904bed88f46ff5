"""Operations of the data plane: the routes of the exchanges, and the lists of models."""

from __future__ import annotations

import re

from halley.chat.published import Published
from halley.control.openapi.schemas import Schemas
from halley.control.openapi.words import ALWAYS, IDEMPOTENCY, READING, STRICT, Json, headers, in_path, parameter, refusals, security
from halley.dialects import Dialect
from halley.exchanges import EXCHANGES, Exchange, Route, listing

_NAMES = re.compile(r"{(\w+)}")
_AGAIN = ("idempotent-replayed", "original-request")
EVENTS = "text/event-stream"


def paths(schemas: Schemas) -> dict[str, Json]:
    """By path and method."""
    found: dict[str, Json] = {}
    for exchange in EXCHANGES:
        for route in exchange.routes:
            published = route.published or route.dialect.published
            if published is not None:
                found.setdefault(route.text, {})[route.method.decode().lower()] = _operation(schemas, exchange, route, published)
            if route.page:
                found.setdefault(route.text, {})["get"] = _page(route)
    for path in listing.PATHS:
        found[path.decode()] = {"get": _list(schemas, path, one=False)}
        found[f"{path.decode()}/{{model}}"] = {"get": _list(schemas, path, one=True)}
    return found


def named(method: str, path: str) -> str:
    """An operation's id."""
    return "_".join((method.lower(), *re.findall(r"[A-Za-z0-9]+", path)))


def ids(dialect: Dialect) -> tuple[str, ...]:
    return ("x-request-id", dialect.id_field.decode()) if dialect.id_field else ("x-request-id",)


def _operation(schemas: Schemas, exchange: Exchange, route: Route, published: Published) -> Json:
    dialect = route.dialect
    own = ids(dialect)
    canonical = route.canonical.decode() if route.canonical is not None else None
    fields = headers(
        *own,
        "x-halley-provider",
        "x-halley-attempts",
        "x-halley-lost",
        *(("link",) if canonical else ()),
        *(_AGAIN if dialect.billed else ()),
    )
    content: Json = {"application/json": {"schema": schemas.of(published.answer)}}
    if published.event is not None:
        content[EVENTS] = {"schema": _event(schemas.of(published.event), published.closing)}
    operation: Json = {
        "operationId": named(route.method.decode(), route.text),
        "tags": [exchange.name],
        "summary": published.summary,
        "security": security(route.carriers),
        "parameters": [
            *map(in_path, _NAMES.findall(route.text)),
            *(parameter(each, "query") for each in published.query),
            *(parameter(each, "header") for each in (*published.head, STRICT, *((IDEMPOTENCY,) if dialect.billed else ()))),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schemas.demanding(published.request, published.demanded)}},
        },
        "responses": {
            "200": {"description": "The answer.", "headers": fields, "content": content},
            **_refusals(schemas, dialect, published, own),
        },
    }
    return operation | ({"description": f"An alias of `{canonical}`."} if canonical else {})


def _event(data: Json, closing: str) -> Json:
    """One event of the stream, as it is taken before OpenAPI 3.2."""
    text: Json = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    if closing:
        text = {"anyOf": [text, {"const": closing}]}
    return {"type": "object", "properties": {"event": {"type": "string"}, "data": text}}


def _refusals(schemas: Schemas, dialect: Dialect, published: Published, own: tuple[str, ...]) -> Json:
    """The same for all that answer in one dialect's words, so that each stands once."""
    error = schemas.of(published.error)
    family = error["$ref"].rpartition("/")[2]
    return schemas.shared(family, refusals(dialect.write_error, ALWAYS, error, own))


def _page(route: Route) -> Json:
    content: Json = {"text/plain": {"schema": {"type": "string"}}}
    answer: Json = {"description": "The page.", "headers": headers("x-request-id", "location"), "content": content}
    return {
        "operationId": named("get", route.text),
        "tags": ["documentation"],
        "summary": "Leads to the page that explains the path",
        "security": [],
        "responses": {"308": answer},
    }


def _list(schemas: Schemas, path: bytes, *, one: bool) -> Json:
    """In the words of all who may ask there: which, the head and the query say."""
    lists = listing.spoken(path)
    dialects = tuple(each.dialect for each in lists)
    errors = [schemas.of(dialect.published.error) for dialect in dialects if dialect.published is not None]
    pages = [schemas.of(each.lister.entry if one else each.lister.page) for each in lists]
    query = () if one else tuple(parameter(each, "query") for found in lists for each in found.lister.query)
    head = tuple(parameter(each, "header") for dialect in dialects if dialect.published is not None for each in dialect.published.head)
    text = f"{path.decode()}/{{model}}" if one else path.decode()
    answer = {"description": "The models.", "headers": headers("x-request-id"), "content": {"application/json": {"schema": _any(pages)}}}
    refused: dict[str, Json] = {}
    for dialect in dialects:
        refused = refusals(dialect.write_error, READING, _any(errors), ("x-request-id",)) | refused
    return {
        "operationId": named("get", text),
        "tags": ["models"],
        "summary": "One model that this key may use" if one else "The models that this key may use",
        "security": security(listing.CARRIERS),
        "parameters": [*((in_path("model"),) if one else ()), *query, *head],
        "responses": {"200": answer, **refused},
    }


def _any(schemas: list[Json]) -> Json:
    different = [each for index, each in enumerate(schemas) if each not in schemas[:index]]
    return different[0] if len(different) == 1 else {"anyOf": different}
