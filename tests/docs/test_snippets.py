"""The snippets of the documentation, run as a reader would run them against a gateway of their own.

Shell snippets run here. The Python and JavaScript ones need an SDK and run in the environments of `script/clients`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.coding_clis import environment
from tests.clients.environments import CLIENTS, command_of
from tests.harness.gateway import Gateway

ROOT = Path(__file__).parents[2]
SNIPPET = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [body for found, body in SNIPPET.findall(text) if found == language]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("docs")) as running:
        yield running


def mine(text: str, gateway: Gateway) -> str:
    """The reader's own address, home, key and token in place of the documented ones."""
    text = text.replace("http://127.0.0.1:4100", gateway.url).replace("~/.local/share/halley", str(gateway.home))
    if "pat-..." in text:
        text = text.replace("pat-...", gateway.cli_json("tokens", "create", "--name", "mine")["token_text"])
    return text.replace("sk-...", gateway.key())


def run(command: list[str], gateway: Gateway, cwd: Path) -> str:
    environ = {**os.environ, "HALLEY_HOME": str(gateway.home), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=cwd, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page, language", [("README.md", ""), ("docs/quickstart.md", "sh")])
def test_the_curl_of_the_first_minute_streams_an_answer(page: str, language: str, gateway: Gateway, tmp_path: Path) -> None:
    (command,) = [body for body in snippets(page, language) if body.startswith("curl")]
    out = run(["sh", "-ec", mine(command, gateway)], gateway, tmp_path)
    assert out.startswith("data: {")
    assert out.rstrip().endswith("data: [DONE]")


def test_a_request_is_priced_before_it_is_sent(gateway: Gateway, tmp_path: Path) -> None:
    quotes = [body for body in snippets("docs/billing.md", "sh") if "/api/quote" in body]
    whole, units = (json.loads(run(["sh", "-ec", mine(quote, gateway)], gateway, tmp_path)) for quote in quotes)
    assert (whole["object"], whole["worst"]["nano_dollars"]) == ("quote", 0)
    assert (units["object"], units["nano_dollars"]) == ("quote.units", 0)


def test_a_payment_is_signed_as_the_page_signs_it(tmp_path: Path) -> None:
    (settings,) = snippets("docs/payments.md", "toml")
    _, command = snippets("docs/payments.md", "sh")
    secret = re.search(r"SECRET=(\S+)", command)
    assert secret is not None
    with Gateway(tmp_path, settings.replace("env:SHOP_WEBHOOK_SECRET", secret[1])) as gateway:
        for changed in (True, False):
            said = json.loads(run(["sh", "-ec", mine(command, gateway)], gateway, tmp_path))
            assert said == {"order": "order-1", "state": "paid", "changed": changed}
        assert gateway.cli_json("accounts", "show", "default")["available_nano"] == 10 * 10**9


def test_a_request_that_is_sent_twice_is_answered_once(gateway: Gateway, tmp_path: Path) -> None:
    (command,) = snippets("docs/idempotency.md", "sh")
    said = run(["sh", "-ec", mine(command, gateway)], gateway, tmp_path)
    first, second = (each.partition("\n\n") for each in said.removeprefix("HTTP/1.1 200").split("HTTP/1.1 200"))
    assert "idempotent-replayed" not in first[0] and "idempotent-replayed: true" in second[0]
    assert first[2] == second[2] and json.loads(first[2])["choices"]


def test_budgets_are_set_as_the_page_sets_them(gateway: Gateway, tmp_path: Path) -> None:
    (commands,) = snippets("docs/budgets.md", "sh")
    out = run(["sh", "-ec", commands.replace("halley ", f"{sys.executable} -m halley.cli.main ")], gateway, tmp_path)
    key, team, everyone = out.splitlines()[-3:]
    assert "default  key  key_" in key and "0.00 of 5.00 USD spent" in key
    assert "default  team  research  0.00 of 50.00 USD spent" in team
    assert "default  user  -  0.00 of 0.50 USD spent" in everyone


def test_what_stands_beside_chat_answers(gateway: Gateway, tmp_path: Path) -> None:
    count, models = snippets("docs/beside-chat.md", "sh")
    assert json.loads(run(["sh", "-ec", mine(count, gateway)], gateway, tmp_path))["input_tokens"] > 0
    listed = json.loads(run(["sh", "-ec", mine(models, gateway)], gateway, tmp_path))
    assert [model["id"] for model in listed["data"]] == ["local/docs-assistant"]


def test_a_model_answers_in_each_dialect(gateway: Gateway, tmp_path: Path) -> None:
    commands = snippets("docs/dialects.md", "sh")
    assert len(commands) == 3
    for command in commands:
        out = run(["sh", "-ec", mine(command, gateway)], gateway, tmp_path)
        assert "rotate" in out and '"error":{' not in out.replace(" ", "")


@pytest.mark.parametrize("page", ["docs/authentication.md", "docs/billing.md"])
def test_documented_commands_do_what_the_page_says(page: str, gateway: Gateway, tmp_path: Path) -> None:
    place = tmp_path / "bin"
    place.mkdir()
    (place / "halley").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m halley.cli.main "$@"\n')
    (place / "halley").chmod(0o755)
    gateway.cli("accounts", "create", "ACCOUNT", check=False)
    for body in snippets(page, "sh"):
        if "/api/quote" in body:  # its own test
            continue
        assert "halley " in body
        run(["sh", "-ec", f'PATH="{place}:$PATH"\n{body}'], gateway, tmp_path)


def test_the_account_is_read_and_managed_as_its_page_says(gateway: Gateway, tmp_path: Path) -> None:
    _, *commands = snippets("docs/account-api.md", "sh")
    answers = [run(["sh", "-ec", mine(command, gateway)], gateway, tmp_path) for command in commands]
    assert not [answer for answer in answers if '"error"' in answer]
    made, (listed, one, changed), (rotated, revoked), (usage, table), logs, balance = map(lines, answers)
    assert made[0]["key"].startswith("sk-") and made[0]["rpm"] == 60
    assert one["id"] in {each["id"] for each in listed["data"]}
    assert (changed["rpm"], changed["routes"]) == (None, ["chat"])
    assert rotated["old_text_until"] > 0 and revoked["status"] == "revoked"
    assert usage["total"]["requests"] >= 0 and table.startswith("requests,") and logs[0]["data"] is not None
    assert balance[0]["credit"] == "unlimited"


def test_balance_tools_read_what_their_page_says(gateway: Gateway, tmp_path: Path) -> None:
    page = snippets("docs/balance-tools.md", "sh")
    read, manage, requests = (run(["sh", "-ec", mine(command, gateway)], gateway, tmp_path) for command in page)
    subscription, usage, token, quota = lines(read)
    assert (subscription["object"], usage["object"], token["data"]["name"]) == ("billing_subscription", "list", "starter")
    assert quota["daily_quota"] == {} and quota["keys"][0]["name"] == "starter"
    made, listed, found = lines(manage)
    user, log, stat, token_log = lines(requests)
    assert user["data"]["display_name"] == "default" and isinstance(log["data"]["items"], list)
    assert stat["success"] and token_log["success"]
    assert made["data"]["key"].startswith("sk-") and made["data"]["id"] == found["data"][0]["id"] == listed["data"]["items"][0]["id"]


def test_the_openai_sdk_reads_balance_usage_and_its_key(gateway: Gateway, tmp_path: Path) -> None:
    if "HALLEY_CLIENTS" not in os.environ:
        pytest.skip("needs an SDK: script/clients runs it")
    (client,) = [each for each in CLIENTS if each.directory == "python-current"]
    (body,) = snippets("docs/balance-tools.md", "python")
    (tmp_path / "snippet.py").write_text(mine(body, gateway))
    out = run([command_of(client)[0], str(tmp_path / "snippet.py")], gateway, tmp_path)
    assert out == "starter has 100000000.0 USD left of an account that is unlimited\n"


def lines(answer: str) -> list[Any]:
    """What several commands printed: JSON as values, the rest of a text as it is."""
    found: list[Any] = []
    while answer:
        if not answer.startswith("{"):
            return [*found, answer]
        value, end = json.JSONDecoder().raw_decode(answer)
        found.append(value)
        answer = answer[end:].lstrip("\n")
    return found


@pytest.mark.parametrize("language, sdk", [("python", "python-current"), ("js", "node-current")])
def test_the_sdk_snippets_print_an_answer(language: str, sdk: str, gateway: Gateway, tmp_path: Path) -> None:
    if "HALLEY_CLIENTS" not in os.environ:
        pytest.skip("needs an SDK: script/clients runs it")
    (client,) = [each for each in CLIENTS if each.directory == sdk]
    runtime = command_of(client)[0]
    (body,) = snippets("docs/quickstart.md", language)
    if language == "js":
        (tmp_path / "node_modules").symlink_to(Path(os.environ["HALLEY_CLIENTS"]) / sdk / "node_modules")
    script = tmp_path / ("snippet.mjs" if language == "js" else "snippet.py")
    script.write_text(mine(body, gateway))
    assert "rotate" in run([runtime, str(script)], gateway, tmp_path)


CLIS = {
    "claude": "@anthropic-ai/claude-code/cli-wrapper.cjs",
    "codex": "@openai/codex/bin/codex.js",
    "gemini": "@google/gemini-cli/bundle/gemini.js",
}


@pytest.mark.parametrize("name", CLIS)
def test_a_coding_cli_answers_as_its_section_says(name: str, gateway: Gateway, tmp_path: Path) -> None:
    if "HALLEY_CLIENTS" not in os.environ:
        pytest.skip("needs the coding CLIs: script/clients runs it")
    runtime, packages = environment()
    for each, entry in CLIS.items():
        (tmp_path / each).write_text(f'#!/bin/sh\nexec "{runtime}" "{packages / entry}" "$@" </dev/null\n')
        (tmp_path / each).chmod(0o755)
    (body,) = [body for body in snippets("docs/clients.md", "sh") if f"\n{name} " in body]
    place = f'export HOME="{tmp_path}" PATH="{tmp_path}:{Path(runtime).parent}:$PATH"\n'
    # What they say beside the question may keep the assistant from finding the page; then it says who it is.
    assert re.search(r"rotate|I am local/docs-assistant", run(["sh", "-ec", place + mine(body, gateway)], gateway, tmp_path))


def test_the_documented_provider_is_a_valid_configuration(gateway: Gateway, tmp_path: Path) -> None:
    (body,) = snippets("docs/quickstart.md", "toml")
    (tmp_path / "halley.toml").write_text(body)
    environ = {**os.environ, "HALLEY_HOME": str(gateway.home), "OPENAI_API_KEY": "sk-of-the-reader", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "halley.cli.main", "config", "check", "--config", str(tmp_path / "halley.toml")]
    assert subprocess.run(command, env=environ, timeout=60, check=False).returncode == 0


def test_the_recipe_before_a_deployment_is_a_go_and_leaves_its_records(gateway: Gateway, tmp_path: Path) -> None:
    (body,) = snippets("docs/contract.md", "sh")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "halley").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m halley.cli.main "$@"\n')
    (tmp_path / "bin" / "halley").chmod(0o755)
    for _ in range(2):  # the second time there is a baseline to keep to
        out = run(["sh", "-ec", f'PATH="{tmp_path}/bin:$PATH"\n{mine(body, gateway)}'], gateway, tmp_path)
        assert out.endswith("verdict: go\n")
    assert gateway.key() not in "".join((tmp_path / name).read_text() for name in ("contract-baseline.json", "contract.xml", "contract.md"))
