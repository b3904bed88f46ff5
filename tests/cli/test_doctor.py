"""The doctor names what is wrong and how to put it right, and its exit code says whether anything would fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from halley.cli.main import halley


def run(tmp_path: Path, *, home: Path | None = None, text: str = "[server]\nport = 1\n", **environ: str) -> Result:
    path = tmp_path / "halley.toml"
    path.write_text(text, encoding="utf-8")
    variables = {"HALLEY_HOME": str(home or tmp_path / "home"), **environ}
    return CliRunner().invoke(halley, ["doctor", "--json", "--config", str(path)], env=variables)


def states(result: Result) -> dict[str, str]:
    return {finding["check"]: finding["state"] for finding in json.loads(result.stdout)["findings"]}


def test_a_healthy_machine_is_all_ok(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    result = run(tmp_path, home=home)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["ok"] is True
    assert states(result) == {"python": "ok", "packages": "ok", "home": "ok", "disk": "ok", "configuration": "ok", "port": "ok"}


def test_a_home_that_others_can_read_fails_with_the_command_that_closes_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    result = run(tmp_path, home=home)
    assert result.exit_code == 1
    (finding,) = [each for each in json.loads(result.stdout)["findings"] if each["check"] == "home"]
    assert finding["fix"] == f"chmod 700 {home}"


def test_a_wrong_configuration_fails_with_its_line(tmp_path: Path) -> None:
    result = run(tmp_path, text="[server]\nprot = 1\n")
    assert result.exit_code == 1
    assert "halley.toml:2: [server] prot" in result.stdout


def test_a_secret_that_leads_nowhere_fails(tmp_path: Path) -> None:
    provider = 'name = "p"\nkind = "openai-compatible"\nbase_url = "http://127.0.0.1:1/v1"\napi_key = "env:NOT_SET_AT_ALL"\n'
    result = run(tmp_path, text=f"[server]\nport = 1\n[[providers]]\n{provider}")
    assert result.exit_code == 1
    assert "NOT_SET_AT_ALL" in result.stdout
    assert states(result)["provider p"] == "fail"


@pytest.mark.parametrize("words", [["--help"], ["config", "check", "--help"], ["doctor", "--help"]])
def test_help_is_there(words: list[str]) -> None:
    assert CliRunner().invoke(halley, words).exit_code == 0
