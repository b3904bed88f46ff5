"""`halley config check` says what `halley up` would stumble over, and never a secret."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from halley.cli.main import halley


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
    text = f'[[providers]]\nname = "a"\nkind = "openai"\napi_key = "env:NOT_SET_AT_ALL"\napi_keys = ["{canary}", "file:/nowhere"]\n'
    result = check(tmp_path, text)
    assert result.exit_code == 1
    assert "NOT_SET_AT_ALL" in result.stdout and "/nowhere" in result.stdout
    assert canary not in result.output


def test_a_kind_that_does_not_exist_is_suggested_away(tmp_path: Path) -> None:
    assert 'did you mean "openai"?' in check(tmp_path, '[[providers]]\nname = "a"\nkind = "opnai"\n').stdout
