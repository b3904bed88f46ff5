"""Settings from file, environment and flags; and that each mistake is named where it was made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from halley import config
from halley.config import ConfigError, Launch, Settings
from halley.config_checks import Known
from halley.pricelist import Written
from halley.secret import Secret

FULL = """
[server]
host = "0.0.0.0"
port = 8080
workers = 2
drain_seconds = 20
trusted_proxies = ["10.0.0.0/8"]
[billing]
after_break = "delivered"
markup = "1.15"
[[providers]]
name = "main"
kind = "openai"
api_key = "env:MAIN_KEY"
[[models]]
id = "gpt-small"
aliases = ["small"]
price = {input = "0.15", output = "0.60", per_request = "0.0000001"}
offers = [{provider = "main", model = "gpt-4o-mini", cost = {input = "0.15"}}]
[[accounts]]
name = "team"
[[keys]]
name = "ci"
key = "env:CI_KEY"
account = "team"
rpm = 60
expires = 2027-01-31
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "halley.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(tmp_path: Path, text: str, environ: dict[str, str] | None = None, **rest: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        config.load(written(tmp_path, text), environ or {}, {}, **rest)  # type: ignore[arg-type]
    return caught.value.problems


def test_a_whole_file_becomes_settings(tmp_path: Path) -> None:
    settings = config.load(written(tmp_path, FULL), {}, {}, known=Known(kinds=["openai"]))
    assert settings.server.port == 8080
    assert settings.server.drain_seconds == 20.0
    assert settings.billing.markup == "1.15"
    assert settings.providers[0].api_key == Secret("env:MAIN_KEY")
    assert settings.models[0].offers[0].cost == Written(input="0.15")
    assert settings.keys[0].expires == "2027-01-31"
    launch = Launch(settings, "/home", "/run")
    assert Launch.unpack(launch.pack()) == launch


def test_nothing_at_all_is_the_defaults() -> None:
    assert config.load(None, {}, {}) == Settings()


def test_flags_beat_the_environment_and_the_environment_beats_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[server]\nport = 1\nworkers = 2\nhost = 'a'\n")
    environ = {"HALLEY_SERVER_PORT": "2", "HALLEY_SERVER_WORKERS": "3"}
    settings = config.load(path, environ, {"server.port": 4, "server.workers": None})
    assert (settings.server.port, settings.server.workers, settings.server.host) == (4, 3, "a")


def test_the_environment_is_read_by_type() -> None:
    environ = {
        "HALLEY_SERVER_DRAIN_SECONDS": "2.5",
        "HALLEY_SERVER_CORS_ORIGINS": "https://a.test, https://b.test",
        "HALLEY_BILLING_DEFAULT_OUTPUT_CAP": "4096",
        "HALLEY_STORE_URL": "sqlite:///x.db",
        "HALLEY_HOME": "/x",
        "HALLEY_API_KEY": "sk-x",
        "HALLEY_DETECT": "0",
    }
    settings = config.load(None, environ, {})
    assert settings.server.drain_seconds == 2.5
    assert settings.server.cors_origins == ("https://a.test", "https://b.test")
    assert settings.billing.default_output_cap == 4096
    assert config.load(None, {"HALLEY_BILLING_DEFAULT_OUTPUT_CAP": ""}, {}).billing.default_output_cap is None


def test_every_mistake_is_named_with_its_line_and_a_suggestion(tmp_path: Path) -> None:
    text = """[server]
prot = 80
port = "80"
workers = 0
[[providers]]
name = "a"
kind = "opnai"
[[providers]]
name = "a"
kind = "openai"
base_url = "ftp://x.test"
[[models]]
id = "m"
price = {input = "1", outputs = "2", output = 1.5}
offers = [
  {provider = "b"},
  {provider = "a", cost = {input = "1e"}},
]
[billing]
after_break = "deliverd"
[servr]
"""
    assert problems(tmp_path, text, known=Known(kinds=["openai", "gemini"])) == (
        'halley.toml:2: [server] prot: is not a setting; did you mean "port"?',
        'halley.toml:3: [server] port: must be a whole number, not "80"',
        "halley.toml:4: [server] workers: must be at least 1, not 0",
        'halley.toml:7: [[providers]] #1 kind: "opnai" is not a known kind; did you mean "openai"?',
        'halley.toml:9: [[providers]] #2 name: "a" is used twice',
        'halley.toml:11: [[providers]] #2 base_url: "ftp://x.test" must begin with https:// or http://',
        'halley.toml:14: [[models]] #1 price.outputs: is not a setting; did you mean "output"?',
        'halley.toml:14: [[models]] #1 price.output: must be a string, not 1.5; write it in quotes: "1.5"',
        'halley.toml:16: [[models]] #1 offers[0].provider: no provider is named "b"',
        "halley.toml:17: [[models]] #1 offers[1].cost.input: '1e' is not a decimal number",
        'halley.toml:20: [billing] after_break: must be "delivered" or "nothing", not "deliverd"; did you mean "delivered"?',
        'halley.toml:21: [servr]: is not a setting; did you mean "server"?',
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[server]\nport = 65536", "halley.toml:2: [server] port: must be at most 65535, not 65536"),
        ("[server]\nport = true", "halley.toml:2: [server] port: must be a whole number, not true"),
        ("server = 1", "halley.toml:1: [server]: must be a table, not 1"),
        ("[providers]\nname = 'x'", "halley.toml:1: [providers]: must be a list, not a table"),
        ("[[providers]]\nname = 'x'", "halley.toml:1: [[providers]] #1 kind: is missing"),
        ("[[models]]\nid = 'a'\naliases = ['a']", 'halley.toml:3: [[models]] #1 aliases[0]: "a" is used twice'),
        ("[server]\ntls_cert = 'x'", "halley.toml:2: [server] tls_cert: tls_cert and tls_key go together; one of them is missing"),
        ("[[keys]]\nkey = 'x'\nname = 'a b'", '[[keys]] #1 name: "a b" is not a name: letters'),
        ("[[keys]]\nkey = 'x'\nname = 'k'\nips = ['10.0.0.300']", '[[keys]] #1 ips[0]: "10.0.0.300" is not an IP address'),
        ("[[keys]]\nkey = 'x'\nname = 'k'\nexpires = 'soon'", '[[keys]] #1 expires: "soon" is not a date'),
        ("[secrets]\nmaster_key = 'abc'", '[secrets] master_key: must be "env:NAME" or "file:PATH"'),
        ("[[keys]]\nkey = 'x'\nname = 'a'\nbudget = {usd = '1', reset = 'monthly'}", "[[keys]] #1 budget.reset: 'monthly' is no reset"),
        ("[[teams]]\nname = 'a'\nbudget = {usd = '1', anchor = '2026-01-01'}", "[[teams]] #1 budget.anchor: says when periods begin"),
        ("[[teams]]\nname = 'a'\n[[teams]]\nname = 'a'", '[[teams]] #2 name: "default/a" is used twice'),
        ("[[accounts]]\nname = 'a'\nbudget = {usd = '-1'}", '[[accounts]] #1 budget.usd: "-1" is negative'),
        ("[egress]\nproxy = 'http://u:p@proxy.test'", "[egress] proxy: a URL must not hold credentials"),
        ("[[keys]]\nname = 'k'", "halley.toml:1: [[keys]] #1 key: is missing"),
        ("[[keys]]\nname = 'k'\nkey = ''", "halley.toml:3: [[keys]] #1 key: is empty"),
        ("[egress]\nproxy = 'http://proxy.test'", "halley.toml:2: [egress] proxy: proxies towards providers are not supported"),
        (
            "[[providers]]\nname = 'a'\nkind = 'b'\napi_key = 'x'\napi_keys = ['y']",
            "halley.toml:5: [[providers]] #1 api_keys: this version uses one key per provider",
        ),
        ("a = ", "halley.toml:1: invalid value"),
        ("\n[server]\nport = 1\nport = 2", "halley.toml:4: cannot overwrite a value"),
    ],
)
def test_one_mistake_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)
    assert problem in found


def test_mistakes_of_environment_and_flags_are_named_by_variable_and_flag() -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(None, {"HALLEY_SERVER_HEAD_BYTES": "x", "HALLEY_LIMITS_JSN_BYTES": "1"}, {"server.port": 99999})
    assert set(caught.value.problems) == {
        'HALLEY_SERVER_HEAD_BYTES: must be a whole number, not "x"',
        'HALLEY_LIMITS_JSN_BYTES: is not a setting; did you mean "HALLEY_LIMITS_JSON_BYTES"?',
        "--port: must be at most 65535, not 99999",
    }


def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    canary = "sk-" + "canary" * 8
    for text in (
        f"[server]\nport = '{canary}'",
        f"[[providers]]\nname = 'x'\nkind = 'y'\ncancel = '{canary}'",
        f"[billing]\nmarkup = ['{canary}']",
    ):
        assert canary not in "".join(problems(tmp_path, text))


def test_keys_in_the_environment_become_providers_only_when_none_is_configured(tmp_path: Path) -> None:
    known = {"OPENAI_API_KEY": "openai", "COMETAPI_KEY": "cometapi", "COMET_API_KEY": "cometapi", "GROQ_API_KEY": "groq"}
    environ = {"OPENAI_API_KEY": "x", "COMET_API_KEY": "y", "GROQ_API_KEY": " "}
    found = config.load(None, environ, {}, well_known=known).providers
    assert [(each.name, each.kind, each.api_key) for each in found] == [
        ("openai", "openai", Secret("env:OPENAI_API_KEY")),
        ("cometapi", "cometapi", Secret("env:COMET_API_KEY")),
    ]
    assert [each.name for each in config.load(written(tmp_path, FULL), environ, {}, well_known=known).providers] == ["main"]


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    for explicit, environ in ((tmp_path / "no.toml", {}), (None, {"HALLEY_CONFIG": "no.toml"})):
        with pytest.raises(ConfigError, match="there is no file"):
            config.find(explicit, environ, tmp_path)


def test_the_file_is_found_by_flag_then_variable_then_directory(tmp_path: Path) -> None:
    assert config.find(None, {}, tmp_path) is None
    here = written(tmp_path, "")
    other = tmp_path / "other.toml"
    other.touch()
    assert config.find(None, {}, tmp_path) == here
    assert config.find(None, {"HALLEY_CONFIG": "other.toml"}, tmp_path) == other
    assert config.find(here, {"HALLEY_CONFIG": "other.toml"}, tmp_path) == here


def test_what_is_not_text_is_named_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "halley.toml"
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.load(path, {}, {})


def test_home_is_a_variable_or_a_place_under_the_users_home(tmp_path: Path) -> None:
    assert config.home({"HALLEY_HOME": str(tmp_path)}) == tmp_path
    assert config.home({"HOME": "/home/u"}) == Path("/home/u/.local/share/halley")
    assert config.home({"HALLEY_HOME": "relative"}).is_absolute()


def test_a_long_home_keeps_its_sockets_in_the_temporary_directory(tmp_path: Path) -> None:
    assert config.run_directory(Path("/short")) == Path("/short/run")
    long = Path("/" + "x" * 100)
    elsewhere = config.run_directory(long)
    assert elsewhere.name.startswith(f"halley-{os.getuid()}-")
    assert len(elsewhere.name.rsplit("-", 1)[1]) == 10
    assert elsewhere == config.run_directory(long) != config.run_directory(Path("/" + "y" * 100))
