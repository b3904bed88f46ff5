"""Clients of CometAPI, and panels that read a balance as OpenAI had it, find the fields that are documented for them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.account_house import House, open_house
from tests.harness.process import until

RECORD = {
    "id", "user_id", "key", "status", "name", "created_time", "accessed_time", "expired_time", "remain_quota", "unlimited_quota",
    "model_limits_enabled", "model_limits", "allow_ips", "used_quota", "group", "cross_group_retry",
}  # fmt: skip
USER = {"id", "username", "display_name", "role", "status", "email", "group", "quota", "used_quota", "request_count", "aff_code"}
LOG = {
    "id", "user_id", "created_at", "type", "content", "token_name", "model_name", "quota", "prompt_tokens", "completion_tokens", "use_time",
    "is_stream", "group", "ip", "other",
}  # fmt: skip
NANO_PER_UNIT = 2000


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("panels"), workers=1) as opened:
        yield opened


def spend(house: House, key: str, times: int = 2) -> int:
    """So many requests with the key, in the books; what they cost."""
    before = house.json("GET", "/api/usage", by=key)["total"]["requests"]
    assert [house.chat(key) for _ in range(times)] == [200] * times
    until(lambda: house.json("GET", "/api/usage", by=key)["total"]["requests"] == before + times, lambda: "not folded")
    return int(house.json("GET", "/api/usage", by=key)["total"]["charge_nano"])


def raw(house: House, method: str, path: str, body: Any = None) -> Any:
    """With the token by itself in the head, as CometAPI wants it."""
    reply, text = house.ask(method, path, body, by="", authorization=house.token)
    assert reply.status == 200, text
    return json.loads(text)


def test_a_key_is_made_found_changed_and_deleted(house: House) -> None:
    wanted = {
        "name": "panel", "expired_time": -1, "remain_quota": 500000, "unlimited_quota": True, "model_limits_enabled": True,
        "model_limits": "sim/tokens-5,sim/status-429", "allow_ips": "127.0.0.1\n10.0.0.0/8", "group": "default", "cross_group_retry": True,
    }  # fmt: skip
    made = raw(house, "POST", "/api/token/", wanted)
    record = made["data"]
    assert (made["success"], made["message"]) == (True, "") and record.keys() == RECORD
    text, number = record["key"], record["id"]
    assert text.startswith("sk-") and isinstance(number, int) and number < 1 << 53
    assert (record["status"], record["expired_time"], record["allow_ips"], record["model_limits"]) == (
        1, -1, wanted["allow_ips"], wanted["model_limits"],
    )  # fmt: skip
    charge = spend(house, text)
    page = raw(house, "GET", "/api/token/?p=1&page_size=1")["data"]
    assert (page["page"], page["page_size"], page["total"]) == (1, 1, len(raw(house, "GET", "/api/token?size=100")["data"]["items"]))
    (listed,) = page["items"]
    assert listed["id"] == number and listed["used_quota"] == charge // NANO_PER_UNIT and listed["accessed_time"] >= time.time() - 60
    assert text not in str(page) and listed["key"].startswith("sk-")
    for query in ("keyword=pane", f"token={text}", f"keyword=panel&token={listed['key'][-4:]}"):
        assert [each["id"] for each in raw(house, "GET", f"/api/token/search?{query}")["data"]] == [number]
    assert raw(house, "GET", "/api/token/search?keyword=nothing")["data"] == []
    changed = raw(house, "PUT", "/api/token/", {**listed, "name": "panel-2", "model_limits_enabled": False, "allow_ips": ""})["data"]
    assert (changed["name"], changed["model_limits"], changed["allow_ips"], changed["id"]) == ("panel-2", "", None, number)
    assert raw(house, "PUT", "/api/token/?status_only=true", {"id": number, "status": 2})["data"]["status"] == 2
    until(lambda: house.chat(text) == 401, lambda: "a disabled key works")
    assert raw(house, "PUT", "/api/token/?status_only=true", {"id": number, "status": 1})["data"]["name"] == "panel-2"
    until(lambda: house.chat(text) == 200, lambda: "an enabled key does not work")
    assert raw(house, "PUT", "/api/token/", {"id": number, "expired_time": 1})["data"]["status"] == 3
    assert raw(house, "GET", f"/api/token/{number}")["data"]["expired_time"] == 1
    assert raw(house, "DELETE", f"/api/token/{number}") == {"success": True, "message": ""}
    gone = house.json("GET", f"/api/token/{number}", status=404)
    assert gone["success"] is False and str(number) in gone["message"]


def test_a_key_of_quota_0_reads_balances_and_calls_nothing(house: House) -> None:
    made = raw(house, "POST", "/api/token/", {"name": "reader", "unlimited_quota": False, "remain_quota": 0})["data"]
    assert made["unlimited_quota"] is False and house.chat(made["key"]) == 403
    assert house.json("GET", f"/user/quota?key={made['key']}", by="")["keys"] == [{"name": "reader", "remain_quota": 0, "used_quota": 0.0}]
    assert house.json("POST", "/api/token/", {"name": "vip", "group": "vip"}, status=400)["success"] is False
    # Sent back as it was read it stays what it is, and with a quota it may call.
    read = raw(house, "GET", f"/api/token/{made['id']}")["data"]
    assert raw(house, "PUT", "/api/token/", read)["data"] == read
    assert house.chat(made["key"]) == 403
    wanted = {"id": made["id"], "unlimited_quota": False, "remain_quota": 1}
    assert raw(house, "PUT", "/api/token/", wanted)["data"]["remain_quota"] == 1
    until(lambda: house.chat(made["key"]) == 402, lambda: "the quota is not in force")


def test_a_quota_is_what_the_key_may_still_spend(house: House) -> None:
    wanted = {"name": "thrifty", "unlimited_quota": False, "remain_quota": 250_000}
    made = raw(house, "POST", "/api/token/", wanted)["data"]
    assert (made["remain_quota"], made["unlimited_quota"], made["used_quota"], made["status"]) == (250_000, False, 0, 1)
    charge = spend(house, made["key"], 3)
    one = raw(house, "GET", f"/api/token/{made['id']}")["data"]
    left = (250_000 * NANO_PER_UNIT - charge) // NANO_PER_UNIT
    assert (one["remain_quota"], one["used_quota"]) == (left, charge // NANO_PER_UNIT)
    told = house.json("GET", "/api/usage/token", by=made["key"])["data"]
    assert (told["total_available"], told["unlimited_quota"]) == (left, False)
    budget = house.json("GET", "/api/keys/thrifty")["budget"]
    assert (budget["usd"], budget["reset"], budget["spent_nano"]) == ("0.50", "none", charge)
    # A record that is sent back with another name changes nothing of its money, not by a nano-dollar.
    assert raw(house, "PUT", "/api/token/", one | {"name": "thriftier"})["data"] == one | {"name": "thriftier"}
    assert house.json("GET", "/api/keys/thriftier")["budget"] == budget
    assert raw(house, "PUT", "/api/token/", {"id": one["id"], "remain_quota": 7})["data"]["remain_quota"] == 7
    until(lambda: house.chat(made["key"]) == 402, lambda: "the lower quota is not in force")
    used_up = raw(house, "PUT", "/api/token/", {"id": one["id"], "remain_quota": 0})["data"]
    assert (used_up["remain_quota"], used_up["status"], used_up["unlimited_quota"]) == (0, 4, False)
    free = raw(house, "PUT", "/api/token/", {"id": one["id"], "unlimited_quota": True})["data"]
    assert (free["unlimited_quota"], free["status"]) == (True, 1)
    until(lambda: house.chat(made["key"]) == 200, lambda: "the quota is still in force")
    assert house.json("GET", "/api/keys/thriftier")["budget"] is None
    for units in (-1, 10**17):
        refused = house.json("POST", "/api/token/", wanted | {"name": "odd", "remain_quota": units}, status=400)
        assert refused["success"] is False and "remain_quota" in refused["message"]


def test_the_quota_of_a_key_is_its_spend_and_its_accounts_credit(house: House) -> None:
    key = house.json("POST", "/api/keys", {"name": "of-token", "models": ["sim/tokens-5"], "expires_at": 4e9}, status=201)["key"]
    charge = spend(house, key)
    answer = house.json("GET", "/api/usage/token", by=key)
    left = house.json("GET", "/api/balance", by=key)["left_nano"] // NANO_PER_UNIT
    used = charge // NANO_PER_UNIT
    assert answer == {
        "code": True,
        "message": "ok",
        "data": {
            "object": "token_usage", "name": "of-token", "total_granted": used + left, "total_used": used, "total_available": left,
            "unlimited_quota": False, "model_limits": {"sim/tokens-5": True}, "model_limits_enabled": True, "expires_at": 4_000_000_000,
        },
    }  # fmt: skip
    for credential in ("", "sk-nothing"):
        refused = house.json("GET", "/api/usage/token", by=credential, status=401)
        assert refused["success"] is False and refused["message"]


def test_the_account_is_told_in_dollars_with_days_when_both_are_named(house: House) -> None:
    key = house.json("POST", "/api/keys", {"name": "quota"}, status=201)["key"]
    charge = spend(house, key, 3)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    by_key = house.json("GET", f"/user/quota?key={key}&start_date={today}&end_date={today}", by="")
    assert (by_key["username"], by_key["request_count"], by_key["total_used_quota"]) == ("quota", 3, charge / 1e9)
    assert by_key["keys"] == [{"name": "quota", "remain_quota": -1, "used_quota": charge / 1e9}]
    assert by_key["daily_quota"] == {today: [{"token_name": "quota", "quota_used": charge / 1e9, "request_count": 3}]}
    assert by_key["total_quota"] == pytest.approx(house.json("GET", "/api/balance")["left_nano"] / 1e9)
    by_token = house.json("GET", "/user/quota")
    assert "daily_quota" not in by_token and by_token["username"] == "ada" and len(by_token["keys"]) > 1
    assert by_token["total_used_quota"] == pytest.approx(5.0 - by_token["total_quota"])
    refused = house.json("GET", f"/user/quota?key={key}&start_date=then&end_date={today}", by="", status=400)
    assert refused["success"] is False and refused["message"].startswith("start_date ")
    assert house.json("GET", f"/user/quota?key={key}", by=house.token, status=401)["success"] is False


def test_openais_old_billing_routes_say_limit_and_spend(house: House) -> None:
    key = house.json("POST", "/api/keys", {"name": "billing"}, status=201)["key"]
    charge = spend(house, key)
    left = house.json("GET", "/api/balance")["left_nano"]
    for prefix in ("/v1", ""):
        said = house.json("GET", f"{prefix}/dashboard/billing/subscription", by=key)
        limit = (left + charge) / 1e9
        assert said == {
            "object": "billing_subscription", "has_payment_method": True, "soft_limit_usd": limit, "hard_limit_usd": limit,
            "system_hard_limit_usd": limit, "access_until": 0,
        }  # fmt: skip
        used = house.json("GET", f"{prefix}/dashboard/billing/usage?start_date=2026-01-01&end_date=2026-01-02", by=key)
        assert used == {"object": "list", "total_usage": charge * 100 / 1e9}
    refused = house.json("GET", "/v1/dashboard/billing/usage", by="sk-nothing", status=401)
    assert refused["error"]["code"] == "invalid_api_key"


def test_an_account_and_its_requests_are_told_as_the_cli_of_cometapi_asks_for_them(house: House) -> None:
    key = house.json("POST", "/api/keys", {"name": "logged", "models": ["sim/tokens-5"]}, status=201)["key"]
    charge = spend(house, key, 3)
    told = raw(house, "GET", "/api/user/self")
    user = told["data"]
    assert told["success"] is True and user.keys() == USER
    assert (user["username"], user["display_name"], user["role"], user["status"]) == ("ada", "acme", 1, 1)
    balance = house.json("GET", "/api/balance")
    total = house.json("GET", "/api/usage?from=2020-01-01")["total"]
    assert user["quota"] == balance["left_nano"] // NANO_PER_UNIT
    assert (user["used_quota"], user["request_count"]) == (total["charge_nano"] // NANO_PER_UNIT, total["requests"])
    own = house.json("GET", "/api/user/self", by=key)["data"]
    assert (own["username"], own["used_quota"], own["request_count"]) == ("logged", charge // NANO_PER_UNIT, 3)
    assert house.json("GET", "/api/user/models", by=key)["data"] == ["sim/tokens-5"]
    assert len(house.json("GET", "/api/user/models")["data"]) > 1

    page = raw(house, "GET", "/api/log/self?p=1&page_size=2&token_name=logged&type=2")["data"]
    assert (page["page"], page["page_size"], page["total"], page["total_is_exact"], len(page["items"])) == (1, 2, 3, True, 2)
    rest = raw(house, "GET", "/api/log/self?p=2&page_size=2&token_name=logged")["data"]["items"]
    items = [*page["items"], *rest]
    assert all(item.keys() >= LOG for item in items) and [item["id"] for item in items] == [1, 2, 3]
    assert len({item["request_id"] for item in items}) == 3
    one = house.json("GET", f"/api/logs/{items[0]['request_id']}")
    assert (items[0]["model_name"], items[0]["type"], items[0]["is_stream"]) == ("sim/tokens-5", 2, False)
    assert items[0]["quota"] == one["charge_nano"] // NANO_PER_UNIT and items[0]["completion_tokens"] == one["output_tokens"] == 5
    assert json.loads(items[0]["other"])["ending"] == "complete"
    for query in ("token_name=nobody", "type=1", "model_name=nothing", "start_timestamp=4000000000"):
        assert raw(house, "GET", f"/api/log/self?{query}")["data"]["items"] == [], query
    assert house.json("GET", "/api/log/self?p=1001", status=400)["success"] is False

    stat = raw(house, "GET", "/api/log/self/stat?token_name=logged")["data"]
    assert stat == {"quota": charge // NANO_PER_UNIT, "rpm": 3, "tpm": sum(each["prompt_tokens"] + 5 for each in items)}
    of_key = house.json("GET", f"/api/log/token?key={key}", by="")["data"]
    assert [item["request_id"] for item in of_key] == [item["request_id"] for item in items]
    assert house.json("GET", "/api/log/token", by="sk-nothing", status=401)["success"] is False


def test_several_keys_are_revoked_at_once(house: House) -> None:
    made = [raw(house, "POST", "/api/token/", {"name": f"batch-{number}"})["data"] for number in range(3)]
    gone = [each["id"] for each in made[:2]]
    assert raw(house, "POST", "/api/token/batch", {"ids": [*gone, 1]}) == {"success": True, "message": "", "data": 2}
    assert [house.chat(each["key"]) for each in made] == [401, 401, 200]


def test_an_unlimited_account_has_the_limit_that_these_clients_know(house: House) -> None:
    starter = house.gateway.key()
    assert house.json("GET", "/v1/dashboard/billing/subscription", by=starter)["hard_limit_usd"] == 100_000_000
    assert house.json("GET", "/api/usage/token", by=starter)["data"]["unlimited_quota"] is True
    assert house.json("GET", "/user/quota", by=starter)["total_quota"] == -1
    assert house.json("GET", "/api/user/self", by=starter)["data"]["quota"] == 100_000_000 * 500_000


def test_a_key_in_a_query_reaches_no_log_and_no_refusal(house: House) -> None:
    key = house.json("POST", "/api/keys", {"name": "in-a-query"}, status=201)["key"]
    unknown = "sk-" + "a" * 38
    for secret in (key, unknown):
        for method, path in (
            ("GET", f"/user/quota?key={secret}"),
            ("GET", f"/user/quota?key={secret}&start_date=x&end_date=y"),
            ("POST", f"/user/quota?key={secret}"),
            ("GET", f"/user/quota/{secret}?key={secret}"),
            ("GET", f"/api/token/search?token={secret}"),
            ("GET", f"/api/usage/token?key={secret}"),
            ("GET", f"/api/log/token?key={secret}"),
            ("GET", f"/api/keys/{secret}"),
            ("GET", f"/nowhere?key={secret}"),
        ):
            _, text = house.ask(method, path)
            assert secret.encode() not in text, path
    assert key not in house.gateway.logs() and unknown not in house.gateway.logs()
