"""Teams and budgets over HTTP, and what panels show of them: real processes, real sockets, the real store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.account_house import House, open_house
from tests.harness.priced import chat, customer
from tests.harness.process import until

MODEL = "sim/tokens-5"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("budgets")) as found:
        yield found


def test_a_team_and_its_budget_are_made_read_used_up_and_removed(house: House) -> None:
    assert house.json("POST", "/api/teams", {"name": "crew"}, status=201)["account"] == "acme"
    assert house.json("POST", "/api/teams", {"name": "crew"}, status=409)["error"]["code"] == "conflict"
    made = house.json("POST", "/api/keys", {"name": "rower", "team": "crew"}, status=201)
    assert made["team"] == "crew"
    budget = house.json("POST", "/api/budgets", {"level": "team", "of": "crew", "usd": "0.005", "reset": "month"})
    assert (budget["amount_nano"], budget["spent_nano"], budget["left_usd"]) == (5_000_000, 0, "0.005")
    assert budget["since"] <= time.time() < budget["until"]
    assert house.chat(made["key"], MODEL) == 200
    until(
        lambda: (
            house.json("GET", f"/api/budgets/{budget['id']}")["spent_nano"] == house.json("GET", f"/api/keys/{made['id']}")["used_nano"] > 0
        ),
        lambda: "what the team spent is not in the store",
    )
    house.json("POST", "/api/budgets", {"level": "team", "of": "crew", "usd": "0.00000001", "reset": "month"})
    until(lambda: house.chat(made["key"], MODEL) == 402, lambda: "a lowered budget is not in force")
    error = house.json("POST", "/v1/chat/completions", chat(MODEL), by=made["key"], status=402)["error"]
    assert error["code"] == "insufficient_quota" and 'the budget of team "crew"' in error["message"]
    assert house.json("DELETE", "/api/teams/crew", status=409)["error"]["code"] == "conflict"
    assert house.json("DELETE", f"/api/budgets/{budget['id']}")["id"] == budget["id"]
    assert house.chat(made["key"], MODEL) == 200
    assert house.json("PATCH", f"/api/keys/{made['id']}", {"team": None})["team"] is None
    assert house.json("DELETE", "/api/teams/crew")["name"] == "crew"
    assert house.json("GET", f"/api/budgets/{budget['id']}", status=404)["error"]["type"]


def test_lists_come_in_pages_and_end_users_with_what_they_spent(house: House) -> None:
    made = house.json("POST", "/api/budgets", {"level": "user", "usd": "1", "reset": "week", "anchor": "2026-01-07"})
    named = house.json("POST", "/api/budgets", {"level": "user", "of": "vip", "usd": "2", "reset": "30d"})
    third = house.json("POST", "/api/budgets", {"level": "account", "usd": "3", "reset": "day"})
    seen = [each["id"] for each in pages(house, "/api/budgets", 3)]
    assert seen == [third["id"], made["id"], named["id"]]
    for who in ("zoe", "ada", "vip"):
        assert house.ask("POST", "/v1/chat/completions", chat(MODEL, user=who), by=house.key)[0].status == 200
    path = f"/api/budgets/{made['id']}/users"
    until(
        lambda: [each["end_user"] for each in house.json("GET", path)["data"] if each["spent_nano"]] == ["ada", "zoe"],
        lambda: "what the end users spent is not in the store",
    )
    assert [each["end_user"] for each in pages(house, path, 2)] == ["ada", "zoe"]
    for each in seen:
        house.json("DELETE", f"/api/budgets/{each}")


def pages(house: House, path: str, count: int) -> list[dict[str, Any]]:
    """What is on so many pages of one row each, the last of which says that it is the last."""
    found: list[dict[str, Any]] = []
    cursor = ""
    for number in range(count):
        page = house.json("GET", f"{path}?limit=1{cursor}")
        found += page["data"]
        assert (page["next_cursor"] is None) == (number == count - 1)
        cursor = f"&cursor={page['next_cursor']}"
    return found


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"level": "account", "usd": "-1"}, "usd"),
        ({"level": "account", "usd": "NaN"}, "usd"),
        ({"level": "account", "usd": "0.0000000001"}, "usd"),
        ({"level": "account", "usd": "1", "reset": "monthly"}, "reset"),
        ({"level": "account", "usd": "1", "reset": "day", "anchor": "soon"}, "anchor"),
        ({"level": "nobody", "usd": "1"}, "level"),
        ({"level": "user", "usd": "1", "of": "u" * 257}, "of"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_with_its_field(house: House, body: dict[str, str], param: str) -> None:
    assert house.json("POST", "/api/budgets", body, status=400)["error"]["param"] == param


def test_another_account_sees_and_changes_nothing_of_it(house: House) -> None:
    other = customer(house.gateway, "rival", "1")
    house.gateway.cli("users", "create", "eve", "--account", "rival", "--role", "owner")
    theirs = house.gateway.cli_json("tokens", "create", "--name", "t", "--user", "eve", "--account", "rival")["token_text"]
    made = house.json("POST", "/api/budgets", {"level": "account", "usd": "4"})
    house.json("POST", "/api/teams", {"name": "mine"}, status=201)
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/users")):
        assert house.json(method, f"/api/budgets/{made['id']}{path}", by=theirs, status=404)["error"]
    assert house.json("DELETE", "/api/teams/mine", by=theirs, status=404)["error"]
    for path in ("/api/budgets", "/api/teams"):
        assert house.json("GET", path, by=theirs)["data"] == []
    assert house.json("POST", "/api/budgets", {"level": "team", "of": "mine", "usd": "1"}, by=theirs, status=404)["error"]
    # An ordinary key reads its own usage, and changes no budget.
    assert house.json("GET", "/api/budgets", by=other, status=403)["error"]["code"] == "permission_denied"
    house.json("DELETE", f"/api/budgets/{made['id']}")


def test_panels_show_what_is_left_of_the_budget_of_a_key(house: House) -> None:
    made = house.json("POST", "/api/keys", {"name": "thrifty"}, status=201)
    house.json("POST", "/api/budgets", {"level": "key", "of": "thrifty", "usd": "0.5", "reset": "month"})
    token = house.json("GET", "/api/usage/token", by=made["key"])["data"]
    assert (token["total_available"], token["total_granted"], token["unlimited_quota"]) == (250_000, 250_000, False)
    quota = house.json("GET", f"/user/quota?key={made['key']}", by="")
    assert [(each["name"], each["remain_quota"]) for each in quota["keys"]] == [("thrifty", 0.5)]
    assert house.json("GET", "/v1/dashboard/billing/subscription", by=made["key"])["hard_limit_usd"] == 0.5
