"""What a caller reads and manages of their own through a gateway of two relays: keys, usage, requests, balance."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import pytest

from halley.control.account import ENDPOINTS
from halley.serve import routes
from halley.store import keytext
from tests.gateway.account_house import CHAT, MODELS, House, open_house
from tests.harness.priced import chat
from tests.harness.process import until


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("account")) as opened:
        yield opened


def made(house: House, name: str, **limits: Any) -> Any:
    return house.json("POST", "/api/keys", {"name": name, **limits}, status=201)


def test_every_endpoint_is_reached_through_a_relay() -> None:
    assert all(routes.at_control(endpoint.path.encode()) for endpoint in ENDPOINTS)
    assert not routes.at_control(b"/api/models") and not routes.at_control(b"/api/keysmith")


def test_a_key_is_shown_once_when_it_is_made(house: House) -> None:
    key = made(house, "once", models=["sim/tokens-5"], rpm=60, ips=["127.0.0.0/8"], routes=["chat"])
    assert house.chat(key["key"]) == 200
    listed = house.ask("GET", "/api/keys")[1].decode()
    one = house.json("GET", f"/api/keys/{key['id']}")
    assert key["key"] not in listed + str(one) and key["shown"] in listed
    wanted = {
        "name": "once",
        "status": "active",
        "rpm": 60,
        "ips": ["127.0.0.0/8"],
        "routes": ["chat"],
        "scopes": ["inference", "usage-read"],
    }
    assert {name: one[name] for name in wanted} == wanted
    again = house.json("POST", "/api/keys", {"name": "once"}, status=409)
    assert again["error"]["code"] == "conflict" and again["request_id"].startswith("req_")


def test_a_key_has_its_budget_from_the_call_that_makes_it(house: House) -> None:
    key = made(house, "allowance", budget={"usd": "0.25", "reset": "day", "anchor": "2026-01-15T09:00Z"})
    wanted = {"usd": "0.25", "reset": "day", "spent_nano": 0, "left_nano": 250_000_000, "left_usd": "0.25"}
    assert {name: key["budget"][name] for name in wanted} == wanted and key["budget"]["until"] % 86400 == 9 * 3600
    assert house.chat(key["key"]) == 200
    until(lambda: house.json("GET", "/api/keys/allowance")["budget"]["spent_nano"] > 0, lambda: "what was spent is not in the store")
    (listed,) = (each for each in house.json("GET", "/api/keys?limit=100")["data"] if each["name"] == "allowance")
    assert listed["budget"]["spent_nano"] == listed["used_nano"] == 250_000_000 - listed["budget"]["left_nano"]
    assert listed["budget"]["id"] in {each["id"] for each in house.json("GET", "/api/budgets?limit=100")["data"]}
    lowered = house.json("PATCH", "/api/keys/allowance", {"budget": {"usd": "0.00000001"}})
    assert (lowered["budget"]["id"], lowered["budget"]["reset"]) == (listed["budget"]["id"], "none")
    until(lambda: house.chat(key["key"]) == 402, lambda: "the lower budget is not in force")
    assert house.json("PATCH", "/api/keys/allowance", {"rpm": 50})["budget"] == lowered["budget"]
    assert house.json("PATCH", "/api/keys/allowance", {"budget": None})["budget"] is None
    until(lambda: house.chat(key["key"]) == 200, lambda: "the budget is still in force")
    house.json("PATCH", "/api/keys/allowance", {"budget": {"usd": "1"}})
    assert house.json("POST", "/api/keys/allowance/rotate", {})["budget"]["usd"] == "1.00"
    gone = house.json("DELETE", "/api/keys/allowance")["budget"]["id"]
    assert gone not in {each["id"] for each in house.json("GET", "/api/budgets?limit=100")["data"]}
    for budget, param in (({"usd": "-1"}, "budget.usd"), ({"usd": "1", "reset": "often"}, "budget.reset"), ({"usd": 1}, "budget.usd")):
        refused = house.json("POST", "/api/keys", {"name": "odd", "budget": budget}, status=400)
        assert refused["error"]["param"] == param, refused
    house.json("GET", "/api/keys/odd", status=404)


def test_keys_are_listed_page_by_page_the_newest_first(house: House) -> None:
    names = [made(house, f"page-{number}")["name"] for number in range(5)]
    seen: list[str] = []
    more = ""
    while True:
        page = house.json("GET", f"/api/keys?limit=2{more}")
        seen += [key["name"] for key in page["data"]]
        if page["next_cursor"] is None:
            break
        more = f"&cursor={page['next_cursor']}"
    assert [name for name in seen if name.startswith("page-")] == names[::-1] and len(seen) == len(set(seen))


def test_a_change_reaches_both_relays_before_it_is_answered(house: House) -> None:
    key = made(house, "changing")
    for client in house.on_both_relays():
        with client:

            def status(client: Any = client) -> int:
                reply = client.ask("POST", CHAT, chat(MODELS[0]), key=key["key"])
                reply.body()
                return int(reply.status)

            house.json("PATCH", f"/api/keys/{key['id']}", {"disabled": False, "models": None})
            until(lambda status=status: status() == 200, lambda: "the key is not known")
            for change, refused in (
                ({"models": ["sim/none"]}, 403), ({"models": None, "routes": ["embeddings"]}, 403), ({"routes": [CHAT]}, 200),
                ({"ips": ["192.0.2.1"]}, 403), ({"ips": None, "expires_at": "2020-01-01"}, 401), ({"expires_at": None}, 200),
                ({"scopes": ["usage-read"]}, 403), ({"scopes": None, "disabled": True}, 401),
            ):  # fmt: skip
                house.json("PATCH", f"/api/keys/{key['id']}", change)
                until(lambda status=status, refused=refused: status() == refused, lambda change=change: f"{change} is not in force")


def test_a_revocation_reaches_both_relays_within_five_seconds(house: House) -> None:
    key = made(house, "going")
    clients = house.on_both_relays()

    def statuses() -> list[int]:
        replies = [client.ask("POST", CHAT, chat(MODELS[0]), key=key["key"]) for client in clients]
        return [reply.status for reply in replies if reply.body()]

    assert statuses() == [200, 200]
    assert house.json("DELETE", f"/api/keys/{key['id']}")["status"] == "revoked"
    begun = time.monotonic()
    until(lambda: statuses() == [401, 401], lambda: "a relay still takes the key")
    assert time.monotonic() - begun < 5.0
    for client in clients:
        client.close()
    assert house.json("GET", f"/api/keys/{key['id']}", status=404)["error"]["code"] == "not_found"


def test_a_rotated_key_works_with_both_texts_while_they_overlap(house: House) -> None:
    key = made(house, "turning", rpm=100)
    second = house.json("POST", f"/api/keys/{key['id']}/rotate", {"overlap_s": 600})
    assert (second["id"], second["rpm"]) == (key["id"], 100) and second["old_text_until"] > time.time() + 500
    assert [house.chat(text) for text in (key["key"], second["key"])] == [200, 200]
    third = house.json("POST", f"/api/keys/{key['id']}/rotate", {})
    assert third["old_text_until"] is None
    until(lambda: house.chat(second["key"]) == 401, lambda: "the old text is still good")
    assert [house.chat(text) for text in (key["key"], third["key"])] == [401, 200]


@pytest.mark.parametrize(
    "limits, status",
    [
        ({"rpm": 1}, 429),
        ({"tpm": 1}, 429),
        ({"expires_at": 1.5}, 401),
    ],
    ids=str,
)
def test_a_limit_that_the_api_sets_is_enforced(house: House, limits: dict[str, Any], status: int) -> None:
    # Each of the two relays has its share of a minute's requests, at least one.
    key = made(house, f"limited-{'-'.join(limits)}", **limits)
    until(lambda: house.chat(key["key"]) == status, lambda: f"{limits} is not enforced")


def test_a_key_runs_no_more_at_once_than_it_may(house: House) -> None:
    key = made(house, "one-by-one", concurrency=1)
    first, second = house.on_both_relays()
    second.close()
    with first:
        assert first.ask("POST", CHAT, chat(MODELS[2], stream=True), key=key["key"]).status == 200

        def refused() -> bool:
            # Each of the two relays has a share of one: the one that streams refuses.
            with house.gateway.client() as client:
                return client.ask("POST", CHAT, chat(MODELS[0]), key=key["key"]).status == 429

        until(refused, lambda: "nothing is refused while it runs")


# What each limit looks like in the file, as options of a command, and how a request is then refused.
LIMITS = {
    "models": ('models = ["sim/status-429"]', ("--models", "sim/status-429"), 403),
    "routes": ('routes = ["embeddings"]', ("--routes", "embeddings"), 403),
    "scopes": ('scopes = ["usage-read"]', ("--scopes", "usage-read"), 403),
    "ips": ('ips = ["192.0.2.0/24"]', ("--ips", "192.0.2.0/24"), 403),
    "rpm": ("rpm = 1", ("--rpm", "1"), 429),
    "tpm": ("tpm = 1", ("--tpm", "1"), 429),
    "expires": ("expires = 2020-01-31", ("--expires", "2020-01-31"), 401),
}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[str, str]]]:
    texts = {name: keytext.make() for name in LIMITS}
    rows = [f'[[keys]]\nname = "{name}"\nkey = "{texts[name]}"\n{line}\n' for name, (line, _, _) in LIMITS.items()]
    with open_house(tmp_path_factory.mktemp("limited"), workers=1, more="\n" + "".join(rows)) as opened:
        yield opened, texts


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_enforced_whether_the_file_or_a_command_sets_it(limited: tuple[House, dict[str, str]], name: str) -> None:
    house, texts = limited
    _, options, status = LIMITS[name]
    by_command = house.gateway.cli_json("keys", "create", "--name", f"{name}-by-command", *options)["key"]
    later = house.gateway.cli_json("keys", "create", "--name", f"{name}-later")
    assert house.chat(later["key"]) == 200
    house.gateway.cli("keys", "change", f"{name}-later", *options)
    for key in (texts[name], by_command, later["key"]):
        until(lambda key=key: house.chat(key) == status, lambda: f"{name} is not enforced")


def test_usage_requests_and_balance_are_what_was_charged(house: House) -> None:
    key = made(house, "spending")
    before = house.json("GET", "/api/usage")["total"]["requests"]
    assert [house.chat(key["key"]) for _ in range(3)] == [200, 200, 200]
    assert house.chat(key["key"], "sim/status-429") == 429
    until(lambda: house.json("GET", f"/api/keys/{key['id']}")["requests"] == 4, lambda: "the requests were not folded")
    assert house.json("GET", "/api/usage")["total"]["requests"] >= before + 4
    mine = house.json("GET", f"/api/usage?key={key['id']}&group_by=day,key,model")
    rows = {row["model"]: row for row in mine["data"]}
    assert (rows["sim/tokens-5"]["requests"], rows["sim/status-429"]["failed"], mine["total"]["requests"]) == (3, 1, 4)
    assert rows["sim/tokens-5"]["key_name"] == "spending" and rows["sim/tokens-5"]["charge_nano"] > 0
    logged = house.json("GET", f"/api/logs?key={key['id']}")["data"]
    assert (
        sum(row["charge_nano"] for row in logged)
        == mine["total"]["charge_nano"]
        == house.json("GET", f"/api/keys/{key['id']}")["used_nano"]
    )
    assert [row["status"] for row in logged] == [429, 200, 200, 200]
    one = house.json("GET", f"/api/logs/{logged[1]['id']}")
    assert (one["model"], one["provider"], one["attempts"], one["ending"], one["lost"]) == ("sim/tokens-5", "stopping", 1, "complete", [])
    assert one["usage"]["output"] == one["output_tokens"] == 5 and one["price_version"].startswith("price_") and one["first_ms"] > 0
    assert sum(line["amount_nano"] for line in one["lines"]) == one["charge_nano"] and one["cancel"] == "stops_billing"
    assert [(line["unit"], line["count"]) for line in one["lines"]] == [("input", one["input_tokens"]), ("output", 5)]
    assert house.json("GET", f"/api/logs/{logged[0]['id']}")["lines"] == []
    everything = house.json("GET", "/api/usage?group_by=key&limit=1000")
    balance = house.json("GET", "/api/balance")
    assert balance["left_nano"] == 5_000_000_000 - everything["total"]["charge_nano"] and balance["credit"] == "prepaid"
    assert key["last_used_at"] is None and house.json("GET", f"/api/keys/{key['id']}")["last_used_at"] == pytest.approx(time.time(), abs=60)


def test_usage_and_requests_can_be_had_as_csv_page_by_page(house: House) -> None:
    key = made(house, "=cmd()")
    assert [house.chat(key["key"]) for _ in range(3)] == [200] * 3
    until(lambda: len(house.json("GET", f"/api/logs?key={key['id']}&status=200")["data"]) == 3, lambda: "not folded")
    rows: list[dict[str, str]] = []
    more = ""
    while True:
        reply, text = house.ask("GET", f"/api/logs?format=csv&limit=2&key={key['id']}{more}")
        assert reply.fields["content-type"].startswith("text/csv") and "attachment" in reply.fields["content-disposition"]
        rows += csv.DictReader(io.StringIO(text.decode()))
        if "x-next-cursor" not in reply.fields:
            break
        more = f"&cursor={reply.fields['x-next-cursor']}"
    assert len({row["id"] for row in rows}) == 3 and {row["key_name"] for row in rows} == {"'=cmd()"}
    _, text = house.ask("GET", f"/api/usage?group_by=day,key&key={key['id']}", accept="text/csv")
    (row,) = csv.DictReader(io.StringIO(text.decode()))
    assert row["requests"] == "3" and row["model"] == "" and row["day"] == time.strftime("%Y-%m-%d", time.gmtime())


def test_a_key_reads_its_own_and_changes_nothing(house: House) -> None:
    key, other = made(house, "reading"), made(house, "somebody-else")
    assert house.chat(key["key"]) == house.chat(other["key"]) == 200
    for each in (key, other):  # of two relays each has a journal of its own
        until(lambda key=each: house.json("GET", "/api/usage", by=key["key"])["total"]["requests"] == 1, lambda: "not folded")
    assert [each["name"] for each in house.json("GET", "/api/keys", by=key["key"])["data"]] == ["reading"]
    assert house.json("GET", "/api/usage", by=key["key"])["total"]["requests"] == 1
    assert house.json("GET", "/api/balance", by=key["key"])["account"] == "acme"
    (theirs,) = house.json("GET", "/api/logs", by=other["key"])["data"]
    assert {row["key"] for row in house.json("GET", "/api/logs", by=key["key"])["data"]} == {key["id"]}
    house.json("GET", f"/api/logs/{theirs['id']}", by=key["key"], status=404)
    house.json("GET", f"/api/keys/{other['id']}", by=key["key"], status=404)
    house.json("GET", f"/api/usage?key={other['id']}", by=key["key"], status=403)
    refused = house.json("POST", "/api/keys", {"name": "mine"}, by=key["key"], status=403)
    assert "scope admin" in refused["error"]["message"]


def test_another_accounts_token_sees_nothing_of_it(house: House) -> None:
    other = house.gateway.cli_json("tokens", "create", "--name", "elsewhere")["token_text"]
    mine = house.json("GET", "/api/keys")["data"][0]
    assert mine["id"] not in house.ask("GET", "/api/keys", by=other)[1].decode()
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        house.json(method, f"/api/keys/{mine['id']}{path}", by=other, status=404)
    (row, *_) = house.json("GET", "/api/logs")["data"]
    house.json("GET", f"/api/logs/{row['id']}", by=other, status=404)
    assert house.json("GET", "/api/usage", by=other)["total"]["requests"] == 0


def test_what_opens_nothing_is_refused_with_the_reason(house: House) -> None:
    for credential, status in (("", 401), ("sk-wrong", 401), ("pat-wrong", 401)):
        reply, text = house.ask("GET", "/api/balance", by=credential)
        assert reply.status == status and reply.fields["www-authenticate"] == "Bearer" and b'"invalid_api_key"' in text
    raw, _ = house.ask("GET", "/api/balance", by="", authorization=house.token)
    assert raw.status == 200
    in_query, _ = house.ask("GET", f"/api/balance?key={house.key}", by="")
    assert in_query.status == 401
    house.gateway.cli("tokens", "create", "--name", "short-lived", "--user", "ada", "--account", "acme", "--scopes", "usage-read")
    gone = house.gateway.cli_json("tokens", "create", "--name", "gone", "--user", "ada", "--account", "acme")["token_text"]
    assert house.ask("GET", "/api/balance", by=gone)[0].status == 200
    house.gateway.cli("tokens", "revoke", "gone")
    assert house.ask("GET", "/api/balance", by=gone)[0].status == 401
    locked = made(house, "locked", ips=["192.0.2.0/24"])
    assert house.ask("GET", "/api/balance", by=locked["key"])[0].status == 403


@pytest.mark.parametrize(
    "method, path, body, param",
    [
        ("GET", "/api/keys?limit=0", None, "limit"),
        ("GET", "/api/keys?limit=x", None, "limit"),
        ("GET", "/api/keys?nothing=1", None, "nothing"),
        ("GET", "/api/keys?limit=1&limit=2", None, "limit"),
        ("GET", "/api/keys?cursor=nonsense", None, "cursor"),
        ("POST", "/api/keys", {}, None),
        ("POST", "/api/keys", [], None),
        ("POST", "/api/keys", {"name": "x", "rpm": 0}, "rpm"),
        ("POST", "/api/keys", {"name": "x", "rpm": "5"}, "rpm"),
        ("POST", "/api/keys", {"name": " "}, "name"),
        ("POST", "/api/keys", {"name": "x", "ips": ["all"]}, "ips"),
        ("POST", "/api/keys", {"name": "x", "routes": ["/v1/none"]}, "routes"),
        ("POST", "/api/keys", {"name": "x", "scopes": ["root"]}, "scopes"),
        ("POST", "/api/keys", {"name": "x", "expires_at": "soon"}, "expires_at"),
        ("POST", "/api/keys", {"name": "x", "budget": 1}, "budget"),
        ("GET", "/api/usage?from=yesterday", None, "from"),
        ("GET", "/api/usage?from=2026-02-02&to=2026-02-01", None, "from"),
        ("GET", "/api/usage?group_by=planet", None, "group_by"),
        ("GET", "/api/usage?group_by=day&cursor=WyJhIl0", None, "cursor"),
        ("GET", "/api/logs?from=then", None, "from"),
        ("GET", "/api/logs?from=2026-02-02&to=2026-02-01", None, "from"),
        ("GET", "/api/logs?format=xml", None, "format"),
        ("GET", "/api/usage?format=CSV", None, "format"),
        ("GET", "/api/logs?status=99999999999999999999", None, "status"),
        ("GET", "/api/logs?key=%00", None, None),
        ("GET", "/api/logs/%00", None, None),
        ("GET", "/api/usage?group_by=day&cursor=WzFlMzBd", None, "cursor"),
        ("GET", "/api/usage?group_by=day&cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ", None, "cursor"),
        ("POST", "/api/keys", {"name": "x", "rpm": 10**30}, "rpm"),
        ("POST", "/api/keys", {"name": "x", "expires_at": 1e300}, "expires_at"),
        ("POST", "/api/keys", {"name": "x", "models": ["a\0b"]}, "models"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong_with_it(house: House, method: str, path: str, body: Any, param: str | None) -> None:
    refused = house.json(method, path, body, status=400)
    assert refused["error"]["param"] == param and refused["error"]["code"] == "invalid_value"


def test_a_body_that_says_a_thing_twice_makes_no_key(house: House) -> None:
    reply, text = house.ask("POST", "/api/keys", b'{"name": "one", "name": "other"}')
    assert reply.status == 400 and b"given twice" in text
    assert all(key["name"] not in ("one", "other") for key in house.json("GET", "/api/keys?limit=100")["data"])


def test_a_wrong_method_is_told_the_right_ones(house: House) -> None:
    reply, text = house.ask("PUT", "/api/keys")
    assert (reply.status, reply.fields["allow"]) == (405, "GET, HEAD, POST") and b"GET, HEAD, POST" in text
