"""Every line of the corpus of bad requests, over a socket, against the whole gateway with the simulator behind it.

After each line: the status it may have, an error in the dialect of the path, a request id, no secret and no trace in the answer, no call
upstream where the gateway had to refuse, and a good request right after it. After all of them: no money has moved and nothing was
logged that should not be. `HALLEY_CORPUS` names a further file of the same format.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from halley.serve.routes import METHODS, SERVED, find
from halley.store import keytext
from tests.gateway import corpus
from tests.gateway.corpus import Line
from tests.harness.gateway import Gateway
from tests.harness.http import Client
from tests.harness.process import ROOT, until
from tests.harness.simulator import Simulator

FIXTURE = ROOT / "fixtures" / "requests" / "bad.jsonl"
SLOWEST_S = 20.0
CANARY = "canary-upstream-credential"
# Dialects and surfaces of other versions; a path that is not served must still answer in its dialect's words.
NOT_SERVED = (404, 405)
_SERVED_BY_NOW = {"openai-route-15": "a body of chat that is one of Messages too, to the route of Messages"}


# What lines about these need. Where nothing is served it does not matter that nobody has it; elsewhere such a line is left out.
_NOT_YET = {
    **{name: "none" for name in ("TASK", "TASK_OTHER", "FILE_OTHER", "RESPONSE_OTHER", "USER_OTHER", "ORDER", "CODE", "NOW", "PW", "CSRF")},
    **{name: "none" for name in ("MODEL_EMBED", "MODEL_IMAGE", "MODEL_TTS", "MODEL_STT", "MODEL_VIDEO", "MODEL_DISABLED", "ALLOWED_IP")},
    **{name: "none" for name in ("SESSION_USER", "SESSION_ADMIN", "GOOD_SIG", "HMAC_EMPTY_KEY", "ORIGIN")},
    "DASH": "/app/api",
    "PROVIDER_CALLBACK": "/callbacks/provider",
    "PAYMENT_WEBHOOK": "/webhooks/payment",
}


class Attacked(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    values: Mapping[str, str]
    good: str


def _lines() -> list[Line]:
    lines = corpus.read(FIXTURE)
    further = os.environ.get("HALLEY_CORPUS")
    if further:
        lines += corpus.read(Path(further))
    return lines


def _configuration(url: str, keys: Mapping[str, str]) -> str:
    def key(name: str, account: str, more: str = "") -> str:
        return f'[[keys]]\nname = "{name}"\naccount = "{account}"\nkey = "{keys[name]}"\n{more}\n'

    return f"""
[server]
head_seconds = 3.0
body_seconds = 3.0
[[providers]]
name = "sim"
kind = "openai-compatible"
base_url = "{url}/v1"
api_key = "{CANARY}"
[[models]]
id = "sim/tokens-3"
context = 100000000
max_output = 4096
price = {{input = "1", output = "2"}}
offers = [{{provider = "sim"}}]
[[models]]
id = "sim/status-400"
max_output = 4096
price = {{input = "1", output = "2"}}
offers = [{{provider = "sim"}}]
[[models]]
id = "sim/echo"
max_output = 4096
price = {{input = "1", output = "2"}}
offers = [{{provider = "sim"}}]
[[accounts]]
name = "main"
[[accounts]]
name = "good"
[[accounts]]
name = "poor"
[[accounts]]
name = "almost"
{key("KEY", "main")}
{key("KEY_OTHER", "main")}
{key("KEY_POOR", "poor")}
{key("KEY_ALMOST", "almost")}
{key("KEY_EXPIRED", "main", 'expires = "2020-01-31"')}
{key("KEY_MODEL_DENIED", "main", 'models = ["sim/echo"]')}
{key("KEY_IPLOCK", "main", 'ips = ["192.0.2.0/24"]')}
{key("GOOD", "good")}
"""


_FILE_KEYS = ("KEY", "KEY_OTHER", "KEY_POOR", "KEY_ALMOST", "KEY_EXPIRED", "KEY_MODEL_DENIED", "KEY_IPLOCK", "GOOD")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    place = tmp_path_factory.mktemp("attacked")
    keys = {name: keytext.make() for name in _FILE_KEYS}
    with Simulator(place) as simulator, Gateway(place, _configuration(simulator.url, keys)) as gateway:
        gateway.cli("credit", "main", "1000")
        gateway.cli("credit", "good", "1000")
        gateway.cli("credit", "almost", "0.001")
        revoked = gateway.cli_json("keys", "create", "--name", "revoked", "--account", "main")["key"]
        gateway.cli("keys", "revoke", "revoked")
        good = keys.pop("GOOD")
        swapped = keys["KEY"][:-1] + ("0" if keys["KEY"][-1] != "0" else "1")
        values = {
            **keys,
            "KEY_REVOKED": revoked,
            "KEY_UNKNOWN": keytext.make(),
            "KEY_BADSUM": swapped,
            "KEY_UPPER": keys["KEY"].upper(),
            "KEY_CUT": keys["KEY"][:-3],
            "KEY_ID": "key_0123456789abcdef",
            "KEY_HASH": "0f" * 32,
            "UPSTREAM_KEY": CANARY,
            "MODEL": "sim/tokens-3",
            "MODEL_UPPER": "SIM/TOKENS-3",
            "MODEL_EXPENSIVE": "sim/echo",
            "MODEL_EMBED": "sim/tokens-3",
        }
        yield Attacked(gateway, simulator, values, good)


@pytest.mark.parametrize("line", _lines(), ids=lambda line: line["id"])
def test_a_bad_request_is_refused_in_its_dialect_and_leaves_no_trace(attacked: Attacked, line: Line) -> None:
    url = attacked.gateway.url
    if "script" in line:
        pytest.skip("slow clients have tests of their own")
    if line["id"] in _SERVED_BY_NOW:
        pytest.skip(f"it is a good request by now: {_SERVED_BY_NOW[line['id']]}")
    if line["path"] == "/metrics" and line["method"] == "GET":
        pytest.skip("loopback peers may read the metrics, and a test is one")
    expect = line["expect"]
    # What the gateway may leave to the upstream is judged there, and the verdict must come back.
    values = {**attacked.values, "MODEL": "sim/status-400"} if expect.get("by") == "either" else attacked.values
    if line.get("path") and line["path"].partition("?")[0].encode() not in METHODS:
        values = {**_NOT_YET, **values}
    try:
        sent = corpus.render(line, values, "127.0.0.1")
    except corpus.Unfilled as missing:
        pytest.skip(f"this version has no {missing}")
    served = sent.raw or _is_served(line["path"])
    before = attacked.simulator.state()["requests"]
    with Client(url, SLOWEST_S) as client:
        began = time.monotonic()
        try:
            client.send(sent.data)
        except OSError:
            assert not line["control"]  # an answer was given before all of it was read
        reply = client.reply(sent.method)
        took = time.monotonic() - began
        body = reply.body()
    assert took < 10 * expect.get("max_ms", 2000) / 1000
    if line["control"] and served:
        assert reply.status == expect["status"][0], body
    else:
        allowed = NOT_SERVED if line["control"] else expect["status"] if served else (*expect["status"], *NOT_SERVED)
        assert reply.status in allowed, body
        assert "x-request-id" in reply.fields
        if line["method"] != "HEAD":
            _check_error(expect if served else {"error_dialect": expect.get("error_dialect")}, reply.fields, body)
        if expect.get("by") == "gateway" or not served:
            assert attacked.simulator.state()["requests"] == before
    _check_secrets(body, attacked)
    with Client(url) as client:
        good = client.ask("POST", "/v1/chat/completions", _question("still there?"), key=attacked.good)
        assert good.status == 200, good.body()
        good.body()


def test_after_all_of_them_no_money_has_moved_and_no_log_has_a_secret_or_a_trace(attacked: Attacked) -> None:
    # Whatever was admitted went upstream, and nothing else was admitted.
    attempts = attacked.simulator.state()["requests"]
    assert attempts
    until(lambda: attacked.gateway.cli_json("ledger", "verify")["requests"] >= attempts, lambda: "the journal is not folded")
    verified = attacked.gateway.cli_json("ledger", "verify")
    assert (verified["clean"], verified["requests"]) == (True, attempts)
    accounts = {row["account"]: row for row in attacked.gateway.cli_json("accounts", "list")["accounts"]}
    assert float(accounts["poor"]["available_usd"]) == 0
    assert float(accounts["almost"]["available_usd"]) == 0.001
    logs = attacked.gateway.logs()
    assert "Traceback" not in logs
    for secret in (*attacked.values.values(), attacked.good):
        assert not secret.startswith(("sk-", CANARY)) or secret not in logs


def _question(text: str) -> dict[str, object]:
    return {"model": "sim/tokens-3", "messages": [{"role": "user", "content": text}], "max_tokens": 16}


def _is_served(path: str) -> bool:
    bare = path.partition("?")[0].encode()
    return (
        bare in METHODS
        or find(b"POST", bare) is not None
        or any(route == bare for _, route in SERVED)
        or not bare.startswith((b"/v1", b"/api", b"{{"))
    )


def _check_error(expect: Mapping[str, Any], fields: Mapping[str, str], body: bytes) -> None:
    assert fields["content-type"].startswith("application/json"), fields
    error = json.loads(body)
    match expect.get("error_dialect"):
        case "anthropic":
            assert error["type"] == "error"
            assert isinstance(error["error"]["message"], str)
            detail = error["error"]
        case "gemini":
            detail = error["error"]
            assert isinstance(detail["code"], int)
            assert isinstance(detail["status"], str)
        case "openai":
            detail = error["error"]
            assert set(detail) == {"message", "type", "param", "code"}
        case _:
            detail = error["error"]
    assert detail["message"]
    for name in ("type", "code", "param"):
        wanted = expect.get(f"error_{name}")
        if wanted is not None and expect.get("error_dialect") == "openai":
            assert detail[name] == wanted, error


def _check_secrets(body: bytes, attacked: Attacked) -> None:
    assert b"Traceback" not in body
    assert not re.search(rb'File "[^"]+", line \d+', body)
    for name, secret in attacked.values.items():
        assert not name.startswith(("KEY", "UPSTREAM")) or secret.encode() not in body, f"{name} is in the answer"
