"""The OpenAPI document: what a caller reads in it is what Halley checks, answers and refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.control import openapi
from halley.control.openapi.schemas import Schemas
from halley.dialects import SPOKEN, Dialect
from halley.errors import Condition
from halley.exchanges import EXCHANGES, Route
from halley.wire import sse

FIXTURES = Path(__file__).parents[2] / "fixtures"
DOCUMENT = openapi.build()
ROUTES = [route for exchange in EXCHANGES for route in exchange.routes]
every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.text)
every_dialect = pytest.mark.parametrize("dialect", SPOKEN.values(), ids=lambda dialect: dialect.name)


def operation(route: Route) -> Any:
    return DOCUMENT["paths"][route.text][route.method.decode().lower()]


def there(found: Any) -> Any:
    """What a reference leads to."""
    while isinstance(found, dict) and "$ref" in found:
        _, _, kind, name = found["$ref"].split("/")
        found = DOCUMENT["components"][kind][name]
    return found


def test_the_document_is_served_to_everybody(start: Callable[..., Any]) -> None:
    control = start()
    status, fields, body = control.http("web.sock", "GET", "/openapi.json", x_request_id="req_1")
    assert (status, fields["content-type"], msgspec.json.decode(body)) == (200, "application/json", msgspec.json.decode(openapi.document()))
    assert control.http("web.sock", "POST", "/openapi.json")[0] == 405


@every_route
def test_each_status_of_the_table_of_errors_is_there_in_the_words_of_the_dialect(route: Route) -> None:
    written = {}
    for condition in openapi.words.ALWAYS:
        written.setdefault(str(route.dialect.write_error(openapi.words.Refused(condition, ""), "")[0]), set()).add(condition)
    responses = operation(route)["responses"]
    assert set(responses) == {"200", *written}
    for status, conditions in written.items():
        examples = there(responses[status])["content"]["application/json"]["examples"]
        assert set(examples) == {condition.value.openai_code for condition in conditions}
    assert "x-request-id" in responses["200"]["headers"]
    assert "retry-after" in there(responses["429"])["headers"] and "www-authenticate" in there(responses["401"])["headers"]
    assert Condition.UNKNOWN_URL not in openapi.words.ALWAYS


@every_route
def test_a_key_may_come_in_each_carrier_of_the_route(route: Route) -> None:
    names = {b"authorization": "bearer", b"?key": "key", b"x-api-key": "x-api-key", b"x-goog-api-key": "x-goog-api-key"}
    assert operation(route)["security"] == [{names[carrier]: []} for carrier in route.carriers]


@every_route
def test_what_the_provider_gets_of_the_head_is_documented(route: Route) -> None:
    names = {each["name"] for each in operation(route)["parameters"] if each["in"] == "header"}
    ours = {"x-halley-strict", *(("Idempotency-Key",) if route.dialect.billed else ())}
    assert names == {*ours, *(name.decode() for name in route.dialect.carried)}


@every_dialect
def test_whole_answers_of_the_goldens_have_the_published_shape(dialect: Dialect) -> None:
    assert dialect.published is not None
    checked = 0
    for path in sorted((FIXTURES / "answers").glob(f"*/*.to-{dialect.name}.json")):
        body = msgspec.json.decode(path.read_bytes()).get("body")
        if body is not None:
            msgspec.json.decode(msgspec.json.encode(body), type=dialect.published.answer)
            checked += 1
    assert checked > 10


@every_dialect
def test_the_frames_of_the_goldens_have_the_published_shape(dialect: Dialect) -> None:
    assert dialect.published is not None
    checked = 0
    for path in sorted((FIXTURES / "streams").glob(f"*/*.to-{dialect.name}.sse")):
        for _, data in sse.named(path.read_bytes()):
            if data.startswith(b"{") and not dialect.is_error(data):
                msgspec.json.decode(data, type=dialect.published.event or dialect.published.answer)
                checked += 1
    assert checked > 100


@every_dialect
def test_each_written_error_has_the_published_shape(dialect: Dialect) -> None:
    assert dialect.published is not None
    for condition in Condition:
        _, _, body = dialect.write_error(openapi.words.Refused(condition, "no", code="a_code"), "req_1")
        msgspec.json.decode(body, type=dialect.published.error)


def test_requests_are_described_by_what_checks_them() -> None:
    request = DOCUMENT["components"]["schemas"]["openai_chat.Request"]
    assert request["required"] == ["model", "messages"]
    assert request["properties"]["messages"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/openai_chat.Message"},
        "minItems": 1,
    }
    assert {"type": "number", "minimum": 0, "maximum": 2} in request["properties"]["temperature"]["anyOf"]
    assert "tool" in DOCUMENT["components"]["schemas"]["openai_chat.Message"]["properties"]["role"]["enum"]


def test_a_field_that_its_struct_would_let_be_absent_is_demanded() -> None:
    message, response = (operation(next(route for route in ROUTES if route.path == path)) for path in (b"/v1/messages", b"/v1/responses"))
    whole, cap = message["requestBody"]["content"]["application/json"]["schema"]["allOf"]
    assert whole == {"$ref": "#/components/schemas/anthropic.Request"}
    assert cap == {"required": ["max_tokens"], "properties": {"max_tokens": {"not": {"type": "null"}}}}
    alternatives = response["requestBody"]["content"]["application/json"]["schema"]["allOf"][1]["anyOf"]
    assert [each["required"] for each in alternatives] == [["input"], ["previous_response_id"], ["conversation"], ["prompt"]]


def test_two_structs_of_one_name_are_no_component() -> None:
    schemas = Schemas()
    schemas.of(msgspec.defstruct("Twice", ["a"], module="halley.chat.one"))
    with pytest.raises(ValueError, match=r"both called one\.Twice"):
        schemas.of(msgspec.defstruct("Twice", ["b"], module="halley.chat.one"))
    with pytest.raises(ValueError, match="no schema is known"):
        schemas.of(bytes)
