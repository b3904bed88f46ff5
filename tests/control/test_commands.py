"""The admin commands, once through a running control process and once on the store itself: the same words both times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from halley.store import keytext
from tests.harness.gateway import Gateway

SRC = Path(__file__).parents[2] / "src"


# Of PostgreSQL one is enough: what commands ask control for is tested with control.
ON_BOTH = [("sqlite", True), ("sqlite", False), ("postgresql", False)]


@pytest.mark.parametrize(("url", "running"), ON_BOTH, indirect=["url"], ids=["through control", "on the store", "on PostgreSQL"])
def test_the_commands_work_with_and_without_a_running_gateway(start: Callable[..., Any], running: bool) -> None:
    control = start()
    if not running:
        assert control.stop() == 0
    made = control.cli("keys", "create", "--name", "ci", "--models", "a,b", "--rpm", "5", "--expires", "2099-01-01", "--json")
    key = json.loads(made.stdout)
    assert made.returncode == 0 and keytext.well_formed(key["key"])
    assert (key["name"], key["account"], key["models"], key["rpm"], key["expires_at"]) == ("ci", "default", ["a", "b"], 5, 4070908800.0)
    again = control.cli("keys", "create", "--name", "ci")
    assert again.returncode == 1 and again.stdout == "" and "already" in again.stderr
    listed = control.cli("keys", "list")
    assert "ci" in listed.stdout and key["key"] not in listed.stdout
    rotated = control.cli("keys", "rotate", "ci")
    assert keytext.well_formed(rotated.stdout.strip()) and rotated.stdout.strip() != key["key"]
    assert json.loads(control.cli("keys", "change", "ci", "--lift", "rpm", "--routes", "chat", "--json").stdout)["limits"]["rpm"] is None
    disabled = json.loads(control.cli("keys", "change", "ci", "--disable", "--scopes", "usage-read", "--json").stdout)
    assert disabled["disabled_at"] is not None and disabled["limits"]["models"] == ["a", "b"] and disabled["id"] == key["id"]
    assert json.loads(control.cli("keys", "change", "ci", "--enable", "--json").stdout)["disabled_at"] is None
    assert control.cli("keys", "change", "ci", "--routes", "nothing").returncode == 2
    assert control.cli("keys", "change", "ci", "--lift", "nothing").returncode == 2
    assert control.cli("keys", "change", "nobody", "--disable").returncode == 1
    assert control.cli("keys", "revoke", "ci").returncode == 0
    credited = control.cli("credit", "default", "2.5", "--json")
    assert json.loads(credited.stdout)["available_nano"] == 2_500_000_000 and "prepaid now" in credited.stderr
    assert control.cli("credit", "default", "much").returncode == 2
    assert json.loads(control.cli("credit", "default", "-1.5", "--json").stdout)["available_nano"] == 1_000_000_000
    short = control.cli("credit", "default", "-1.01")
    assert short.returncode == 1 and "has 1.00 USD that can be taken away" in short.stderr
    assert control.cli("credit", "default", "--jsonn", "1").returncode == 2
    assert json.loads(control.cli("accounts", "create", "acme", "--unlimited", "--json").stdout)["credit"] == "unlimited"
    assert "acme" in control.cli("accounts", "list").stdout
    assert control.cli("accounts", "show", "nobody").returncode == 1
    verified = control.cli("ledger", "verify", "--json")
    assert verified.returncode == 0 and json.loads(verified.stdout)["clean"] is True
    assert json.loads(control.cli("models", "--json").stdout).keys() == {"models"}
    ahead = control.cli("migrate", "--plan", "--json")
    assert ahead.returncode == 0 and json.loads(ahead.stdout)["steps"] == []
    migrated = control.cli("migrate", "--json")
    assert migrated.returncode == (1 if running else 0)


@pytest.mark.parametrize("running", [True, False], ids=["through control", "on the store"])
def test_users_and_their_tokens_are_made_listed_and_taken_away(start: Callable[..., Any], running: bool) -> None:
    control = start()
    if not running:
        assert control.stop() == 0
    assert json.loads(control.cli("users", "create", "bob", "--json").stdout)["users"][0]["roles"] == {"default": "member"}
    wide = control.cli("tokens", "create", "--name", "ci", "--user", "bob", "--scopes", "admin")
    assert wide.returncode == 1 and "usage-read" in wide.stderr
    assert control.cli("tokens", "create", "--name", "ci", "--scopes", "root").returncode == 2
    made = control.cli("tokens", "create", "--name", "ci", "--user", "bob", "--expires", "2099-01-01", "--json")
    token = json.loads(made.stdout)
    assert keytext.well_formed(token["token_text"], keytext.TOKEN) and token["expires_at"] == 4070908800.0
    assert token["scopes"] == ["usage-read"]
    mine = control.cli("tokens", "create", "--name", "mine").stdout.strip()
    assert keytext.well_formed(mine, keytext.TOKEN)
    listed = control.cli("tokens", "list")
    assert "bob" in listed.stdout and "operator" in listed.stdout and token["token_text"] not in listed.stdout and mine not in listed.stdout
    assert control.cli("users", "remove", "bob").returncode == 0
    assert [each["name"] for each in json.loads(control.cli("tokens", "list", "--json").stdout)["tokens"]] == ["mine"]
    assert control.cli("tokens", "revoke", "mine").returncode == 0 and control.cli("tokens", "revoke", "mine").returncode == 1
    assert "no account" in control.cli("users", "list").stdout


@pytest.mark.parametrize(("url", "running"), ON_BOTH, indirect=["url"], ids=["through control", "on the store", "on PostgreSQL"])
def test_the_master_key_is_rotated_with_and_without_a_running_gateway(start: Callable[..., Any], running: bool) -> None:
    control = start()
    path = control.home / "master.key"
    made = control.cli("keys", "create", "--name", "before").stdout.strip()
    if not running:
        assert control.stop() == 0
    keys = {path.read_text()}
    for flags in ((), ("--master-key", f"file:{path}")):
        done = control.cli("secrets", "rotate", *flags, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"master_key": f"file:{path}", "secrets": 1, "backups": 0}
        keys.add(path.read_text())
    assert len(keys) == 3 and path.stat().st_mode & 0o777 == 0o600
    assert not any(key.strip() in done.stdout + done.stderr for key in keys)
    elsewhere = control.cli("secrets", "rotate", "--master-key", "file:/nowhere/else")
    assert elsewhere.returncode == 1 and path.read_text() in keys
    assert ("in use here is" if running else "is missing") in elsewhere.stderr
    if running:
        assert control.stop() == 0
    again = start()
    assert again.ready and "before" in again.cli("keys", "list").stdout
    assert made not in again.cli("keys", "list").stdout


def test_a_key_in_a_variable_needs_a_step_of_the_operators(start: Callable[..., Any]) -> None:
    control = start()
    assert control.stop() == 0
    control.environ["OLD"] = (control.home / "master.key").read_text()
    refused = control.cli("secrets", "rotate", "--master-key", "env:OLD")
    assert refused.returncode == 1 and "First set OLD_NEXT to a new key" in refused.stderr
    control.environ["OLD_NEXT"] = "5a" * 32
    done = control.cli("secrets", "rotate", "--master-key", "env:OLD")
    assert done.returncode == 0 and "Move it to OLD" in done.stderr
    assert control.cli("keys", "list").returncode == 1
    control.environ["HALLEY_SECRETS_MASTER_KEY"] = "env:OLD"
    assert control.cli("keys", "list").returncode == 0


def test_verify_exits_with_one_and_names_what_differs(start: Callable[..., Any]) -> None:
    import sqlite3

    control = start()
    control.admin("credit", '{"account":"default","amount":7}')
    raw = sqlite3.connect(control.home / "halley.db", timeout=10)
    raw.execute("UPDATE balances SET amount = 8 WHERE ledger_account = 'clearing'")
    raw.commit()
    raw.close()
    verified = control.cli("ledger", "verify")
    assert verified.returncode == 1 and verified.stdout.startswith("balances_are_sums: clearing")


def test_a_command_waits_for_a_control_process_that_is_being_started_again(tmp_path: Path) -> None:
    with Gateway(tmp_path) as gateway:
        gateway.kill("control")
        assert "starter" in gateway.cli("keys", "list").stdout


def test_the_doctor_asks_the_gateway_of_this_home_whatever_port_is_configured(tmp_path: Path) -> None:
    with Gateway(tmp_path) as gateway:
        found = gateway.cli_json("doctor")["findings"]
        assert f"Halley answers at 127.0.0.1:{gateway.status()['port']}" in {each["detail"] for each in found}


@pytest.mark.parametrize("words", [["keys", "list"], ["credit", "default", "1"], ["migrate"], ["up"]], ids=" ".join)
def test_a_home_that_cannot_be_is_told_in_one_line(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").touch()
    environ = {**os.environ, "PYTHONPATH": str(SRC), "HALLEY_HOME": str(tmp_path / "file" / "home")}
    command = [sys.executable, "-m", "halley.cli.main", *words]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and "cannot be used" in line and "HALLEY_HOME" in line
