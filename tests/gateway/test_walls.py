"""Tenant walls: whatever id, name or cursor of another account is given, it is answered as one that does not exist, and changes nothing.

The rows come from the table that serves the routes; an operation without one here fails. Kept answers have theirs in
`test_kept_answers.py`, Idempotency-Keys in `test_idempotency.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from halley.control.account import ENDPOINTS
from tests.gateway.account_house import House, open_house
from tests.harness.priced import customer
from tests.harness.process import until

# What stands in all names of the account behind the wall.
MARK = "behind-the-wall"
# Of each operation, the bodies or queries with which a stranger tries it; `{…}` is what stands behind the wall, or what exists nowhere.
ROWS: dict[str, tuple[Any, ...]] = {
    "GET /api/keys": ("", "?cursor={key cursor}", "?limit=100"),
    "POST /api/keys": ({"name": "with-a-team", "team": "{team}"},),
    "GET /api/keys/{key}": ("",),
    "PATCH /api/keys/{key}": ({"name": "stolen"}, {"rpm": 1}, {"budget": {"usd": "0"}}),
    "DELETE /api/keys/{key}": ("",),
    "POST /api/keys/{key}/rotate": ({}, {"overlap_s": 60}),
    "GET /api/teams": ("", "?limit=100"),
    "POST /api/teams": ({"name": "of-the-stranger"},),
    "DELETE /api/teams/{team}": ("",),
    "GET /api/budgets": ("", "?limit=100"),
    "POST /api/budgets": (
        {"level": "key", "of": "{key}", "usd": "0"},
        {"level": "team", "of": "{team}", "usd": "0"},
    ),
    "GET /api/budgets/{budget}": ("",),
    "DELETE /api/budgets/{budget}": ("",),
    "GET /api/budgets/{budget}/users": ("",),
    "GET /api/usage": ("?group_by=day,key,model", "?key={key}", "?group_by=key&format=csv"),
    "GET /api/balance": ("",),
    "GET /api/logs": ("", "?key={key}", "?cursor={log cursor}", "?format=csv"),
    "GET /api/logs/{request_id}": ("",),
    "GET /api/token/": ("", "?page_size=100"),
    "POST /api/token/": ({"name": "from-a-panel"},),
    "PUT /api/token/": ({"id": "{id}", "name": "stolen"}, {"id": "{id}", "status": 2}, {"id": "{id}", "unlimited_quota": True}),
    "GET /api/token/search": (f"?keyword={MARK}", "?token={text}"),
    "POST /api/token/batch": ({"ids": "{ids}"},),
    "GET /api/token/{id}": ("",),
    "DELETE /api/token/{id}": ("",),
    "GET /api/usage/token": ("",),
    "GET /user/quota": ("", "?start_date=2026-01-01&end_date=2026-12-31"),
    "GET /v1/dashboard/billing/subscription": ("",),
    "GET /v1/dashboard/billing/usage": ("",),
    "GET /api/user/self": ("",),
    "GET /api/user/models": ("",),
    "GET /api/log/self": ("", "?page_size=100", "?token_name={name}"),
    "GET /api/log/self/stat": ("", "?token_name={name}"),
    "GET /api/log/token": ("",),
}
# What exists nowhere, of the same form.
NOWHERE = {
    "key": "key_0000000000000000",
    "team": "no-such-team",
    "budget": "budget_0000000000000000",
    "request_id": "req_00000000000000000000000000",
    "id": 1234567890123,
    "ids": [1234567890123],
    "name": "no-such-name",
    "text": "sk-" + "a" * 38,
}


class Walls(NamedTuple):
    house: House
    behind: dict[str, Any]
    strangers: dict[str, str]


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walls]:
    with open_house(tmp_path_factory.mktemp("walls"), workers=1) as house:
        gateway = house.gateway
        house.json("POST", "/api/teams", {"name": f"{MARK}-team"}, status=201)
        for number in range(3):
            budget = {"usd": "1", "reset": "day"}
            made = house.json("POST", "/api/keys", {"name": f"{MARK}-{number}", "team": f"{MARK}-team", "budget": budget}, status=201)
            assert house.chat(made["key"]) == 200
        until(lambda: len(house.json("GET", "/api/logs")["data"]) == 3, lambda: "not folded")
        (record,) = house.json("GET", f"/api/token/search?keyword={MARK}-2")["data"]
        behind = {
            "key": made["id"],
            "name": made["name"],
            "text": made["key"],
            "team": f"{MARK}-team",
            "budget": made["budget"]["id"],
            "id": record["id"],
            "ids": [record["id"]],
            "request_id": house.json("GET", "/api/logs")["data"][0]["id"],
            "key cursor": house.json("GET", "/api/keys?limit=1")["next_cursor"],
            "log cursor": house.json("GET", "/api/logs?limit=1")["next_cursor"],
        }
        rival = customer(gateway, "rival", "5")
        gateway.cli("users", "create", "eve", "--account", "rival", "--role", "owner")
        token = gateway.cli_json("tokens", "create", "--name", "eve", "--user", "eve", "--account", "rival")["token_text"]
        admin = house.json("POST", "/api/keys", {"name": "admin", "scopes": ["usage-read", "admin"]}, by=token, status=201)["key"]
        same = house.json("POST", "/api/keys", {"name": "ordinary"}, status=201)["key"]
        yield Walls(house, behind, {"token": token, "admin key": admin, "ordinary key": rival, "other key of the account": same})


def test_every_operation_has_a_row() -> None:
    assert list(ROWS) == [f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS]


def filled(text: str, values: dict[str, Any]) -> str:
    return re.sub(r"{([a-z_ ]+)}", lambda found: quote(str(values.get(found[1], f"no-{found[1]}")), safe=""), text)


def in_body(body: Any, values: dict[str, Any]) -> Any:
    return {
        name: values[value[1:-1]] if isinstance(value, str) and value[1:-1] in values and value[0] == "{" else value
        for name, value in body.items()
    }


def said(text: bytes, values: dict[str, Any]) -> str:
    """An answer without the ids that the question named, and without its own."""
    found = re.sub(r"req_[0-9A-Z]{26}", "req", text.decode())
    for value in values.values():
        found = found.replace(str(value), "…")
    return found


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("who", ["token", "admin key", "ordinary key", "other key of the account"])
def test_what_is_behind_the_wall_is_as_what_does_not_exist(walls: Walls, row: str, who: str) -> None:
    house, behind, strangers = walls
    method, path = row.split(" ")
    before = state(house, behind)
    for each in ROWS[row]:
        answers: set[tuple[int, str]] = set()
        by_name = [behind | {"key": behind["name"]}] if "{key}" in path else []
        for values in (behind, *by_name, NOWHERE):
            query, body = (each, None) if isinstance(each, str) else ("", in_body(each, values))
            if "cursor}" in query and values is NOWHERE:
                continue
            reply, text = house.ask(method, filled(path + query, values), body, by=strangers[who])
            leaks = [name for name, value in behind.items() if value != values.get(name, "") and str(value).encode() in text]
            assert leaks == [], (each, text)
            assert MARK not in said(text, values), text
            if "{" in path:
                assert reply.status in (403, 404), text
            answers.add((reply.status, said(text, values)))
        if "{" in path or "?key=" in str(each):
            assert len(answers) == 1
    assert state(house, behind) == before


def state(house: House, behind: dict[str, Any]) -> Any:
    """All that the account behind the wall has, as its owner sees it."""
    paths = (f"/api/keys/{behind['key']}", "/api/teams", f"/api/budgets/{behind['budget']}", f"/api/logs/{behind['request_id']}")
    return [json.dumps(house.json("GET", path)) for path in (*paths, f"/api/token/{behind['id']}", "/api/balance")]
