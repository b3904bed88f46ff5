"""The OpenAPI document and what is served are one: every route of every table is in it, and it has nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest

from halley.control import openapi
from halley.control.account import ENDPOINTS
from halley.exchanges import EXCHANGES, listing
from halley.exchanges.kept import KEPT
from halley.serve import routes
from tests.house.tree import SOURCE, parsed

DOCUMENT = openapi.build()
OPERATIONS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]
# Pages for people, of which the document says where they are.
PAGES = {"/", "/docs", "/docs/", "/docs/{page}"}


def control_routes() -> set[str]:
    """What control's table serves: the first argument of each `Route(…)`."""
    calls = [node for node in ast.walk(parsed(SOURCE / "control" / "web.py")) if isinstance(node, ast.Call)]
    found: set[str] = set()
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id == "Route":
            found.add(eval(ast.unparse(call.args[0]), {"standing": openapi.standing.standing}))  # noqa: S307
    return found


def test_every_route_of_the_tables_is_in_it() -> None:
    wanted = {(route.method.decode().lower(), route.text) for exchange in EXCHANGES for route in exchange.routes}
    wanted |= {("get", path.decode()) for path in (*routes.PAGES, *listing.PATHS, routes.CATALOGUE, routes.HEALTH, routes.READY)}
    wanted |= {("post", routes.QUOTE.decode()), ("post", routes.UNIT_QUOTE.decode()), ("post", f"{routes.PAYMENTS.decode()}/{{way}}")}
    wanted |= {("get", f"{path.decode()}/{{model}}") for path in listing.PATHS}
    wanted |= {("get", path) for path in control_routes() - PAGES}
    wanted |= {(method.decode().lower(), f"{KEPT.prefix.decode()}{{response}}{part.decode()}") for method, part in KEPT.deeds}
    wanted |= {(endpoint.method.lower(), endpoint.path) for endpoint in ENDPOINTS}
    assert set(OPERATIONS) == wanted


@pytest.mark.parametrize("method, path", OPERATIONS)
def test_what_is_in_it_is_what_the_relay_allows(method: str, path: str) -> None:
    concrete = re.sub(r"{\w+}", "some-name-1", path).encode()
    allowed = routes.allowed(concrete)
    if allowed is None:
        assert path in control_routes() or routes.at_control(concrete)
    else:
        assert method.upper() in allowed.decode().split(", ")


def references(found: Any) -> Iterator[str]:
    match found:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for value in found.values():
                yield from references(value)
        case list():
            for value in found:
                yield from references(value)
        case _:
            return


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    seen = set(references(DOCUMENT))
    there = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses", "headers") for name in DOCUMENT["components"][kind]}
    assert seen == there


@pytest.mark.parametrize("method, path", OPERATIONS)
def test_an_operation_names_itself_once_and_every_part_of_its_path(method: str, path: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    ids = [other["operationId"] for methods in DOCUMENT["paths"].values() for other in methods.values()]
    assert ids.count(operation["operationId"]) == 1
    named = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"]
    assert named == re.findall(r"{(\w+)}", path)
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert all(name in schemes for each in operation["security"] for name in each)
