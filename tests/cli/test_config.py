"""`halley config check` says what `halley up` would stumble over, and never a secret."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from halley.cli.main import halley
from halley.config import ConfigError
from halley.store import keytext


def check(tmp_path: Path, text: str, *words: str) -> Result:
    path = tmp_path / "halley.toml"
    path.write_text(text, encoding="utf-8")
    return CliRunner().invoke(halley, ["config", "check", "--config", str(path), *words])


def test_a_good_file_is_ok_and_silent_on_stdout(tmp_path: Path) -> None:
    result = check(tmp_path, "[server]\nport = 1\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("ok\n")


def test_every_mistake_is_a_line_and_the_exit_code_is_one(tmp_path: Path) -> None:
    result = check(tmp_path, "[server]\nprot = 1\nport = 'x'\n")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2


def test_the_json_form_holds_the_same(tmp_path: Path) -> None:
    result = check(tmp_path, "[server]\nprot = 1\n", "--json")
    verdict = json.loads(result.stdout)
    assert (verdict["ok"], len(verdict["problems"])) == (False, 1)


def test_a_reference_to_nothing_is_a_mistake_and_a_literal_is_not_shown(tmp_path: Path) -> None:
    canary = "sk-canarycanary"
    references = ("env:NOT_SET_AT_ALL", canary, "file:/nowhere")
    rows = [f'[[providers]]\nname = "{name}"\nkind = "openai"\napi_key = "{each}"\n' for name, each in zip("abc", references, strict=True)]
    result = check(tmp_path, "".join(rows))
    assert result.exit_code == 1
    assert "NOT_SET_AT_ALL" in result.stdout and "/nowhere" in result.stdout
    assert canary not in result.output


def test_a_kind_that_does_not_exist_is_suggested_away(tmp_path: Path) -> None:
    assert 'did you mean "openai"?' in check(tmp_path, '[[providers]]\nname = "a"\nkind = "opnai"\n').stdout


def test_what_this_machine_cannot_resolve_is_named_with_file_and_line(tmp_path: Path) -> None:
    text = '[[providers]]\nname = "a"\nkind = "openai"\napi_key = "env:NOT_SET_AT_ALL"\n[[keys]]\nname = "k"\nkey = "env:NOR_THIS"\n'
    assert check(tmp_path, text).stdout.splitlines() == [
        "halley.toml:4: [[providers]] #1 api_key: env:NOT_SET_AT_ALL: the environment variable NOT_SET_AT_ALL is not set",
        "halley.toml:7: [[keys]] #1 key: env:NOR_THIS: the environment variable NOR_THIS is not set",
    ]


def test_a_command_without_a_gateway_names_the_place_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halley.toml").write_text('[[keys]]\nname = "k"\nkey = "env:NOT_SET_AT_ALL"\n')
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(halley, ["keys", "list"], env={"HALLEY_HOME": str(tmp_path / "home")}).exception
    assert isinstance(found, ConfigError) and found.problems[0].startswith("halley.toml:3: [[keys]] #1 key: env:NOT_SET_AT_ALL")


def test_a_key_that_no_relay_would_accept_is_refused_and_not_shown(tmp_path: Path) -> None:
    mistyped = keytext.make()[:-1] + "!"
    (line,) = check(tmp_path, f'[[keys]]\nname = "k"\nkey = "{mistyped}"\n').stdout.splitlines()
    assert line.startswith("halley.toml:3: [[keys]] #1 key: is not a key of Halley") and "halley keys generate" in line
    assert mistyped not in line
    made = CliRunner().invoke(halley, ["keys", "generate"]).stdout.strip()
    assert check(tmp_path, f'[[keys]]\nname = "k"\nkey = "{made}"\n').exit_code == 0


def test_a_certificate_that_cannot_be_used_is_named_by_its_file(tmp_path: Path) -> None:
    here = tmp_path / "here.pem"
    here.write_text("no certificate")
    away = tmp_path / "away.pem"
    (gone,) = check(tmp_path, f'[server]\ntls_cert = "{here}"\ntls_key = "{away}"\n').stdout.splitlines()
    (wrong,) = check(tmp_path, f'[server]\ntls_cert = "{here}"\ntls_key = "{here}"\n').stdout.splitlines()
    (empty,) = check(tmp_path, f'[egress]\nca_file = "{here}"\n').stdout.splitlines()
    up = CliRunner().invoke(halley, ["up", "--config", str(tmp_path / "halley.toml")], env={"HALLEY_HOME": str(tmp_path / "home")})
    assert isinstance(up.exception, ConfigError) and up.exception.problems == (empty,)
    assert not (tmp_path / "home").exists()
    assert gone == f"halley.toml:3: [server] tls_key: {away}: No such file or directory"
    assert wrong.startswith(f"halley.toml:2: [server] tls_cert: {here} and {here} are not a PEM certificate chain")
    assert empty == f"halley.toml:2: [egress] ca_file: {here} holds no certificate in PEM"


def test_a_model_of_a_paid_host_without_a_price_is_refused(tmp_path: Path) -> None:
    provider = '[[providers]]\nname = "a"\nkind = "openai-compatible"\nbase_url = "https://host.test/v1"\n'
    (line,) = check(tmp_path, f'{provider}[[models]]\nid = "m"\noffers = [{{provider = "a"}}]\n').stdout.splitlines()
    assert line.startswith("halley.toml:5: [[models]] #1 price: is missing")


def test_a_file_that_is_not_there_is_the_file_that_was_checked() -> None:
    result = CliRunner().invoke(halley, ["config", "check", "--config", "nope.toml"])
    assert result.exit_code == 1
    assert "there is no file" in result.stdout and result.stderr.startswith("nope.toml: 1 to put right")


def test_a_certificate_with_its_key_is_accepted(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=60)
    files = f'tls_cert = "{tmp_path / "cert.pem"}"\ntls_key = "{tmp_path / "key.pem"}"'
    assert check(tmp_path, f'[server]\n{files}\n[egress]\nca_file = "{tmp_path / "cert.pem"}"\n').stdout == ""
