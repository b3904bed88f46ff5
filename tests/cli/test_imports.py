"""What another gateway is configured with becomes a configuration that this one takes; what does not fit is said."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from halley.cli import settings
from halley.cli.main import halley
from halley.config import Settings
from halley.errors import HalleyError
from halley.pricelist import Written

LITELLM = """\
# a proxy of a small team
model_list:
  - model_name: gpt-4o            # two deployments
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 60
      weight: 3
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_base: "https://proxy.example.test/v1"
      api_key: sk-literal-secret-1234567890
      order: 2
  - model_name: "claude"
    litellm_params: {model: anthropic/claude-sonnet-4-6, api_key: 'os.environ/ANTHROPIC_API_KEY'}
    model_info:
      max_output_tokens: 64000
  - model_name: mine
    litellm_params:
      model: hosted_vllm/my-model
      api_base: http://10.0.0.5:8000/v1
      input_cost_per_token: 0.00000025
      output_cost_per_token: 1e-06
  - model_name: azure-one
    litellm_params:
      model: azure/my-deployment
  - model_name: "gemini/*"
    litellm_params:
      model: gemini/*
      api_key: os.environ/GEMINI_API_KEY

router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: {"gpt-4": "gpt-4o"}
litellm_settings:
  drop_params: true
  fallbacks: [{"gpt-4o": ["claude"]}]
general_settings:
  master_key: sk-master-secret
  database_url: "postgresql://user:secret@db/litellm"
"""


def run(*words: str) -> Result:
    done = CliRunner().invoke(halley, ["import", *words])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALLEY_HOME", str(tmp_path / "home"))
    path = tmp_path / "config.yaml"
    path.write_text(LITELLM)
    return path


def taken(target: Path) -> Settings:
    assert target.stat().st_mode & 0o777 == 0o600
    return settings.read(target)


def test_a_configuration_of_litellm_becomes_one_that_is_taken(config: Path, tmp_path: Path) -> None:
    done = run("litellm", str(config), "--write", str(tmp_path / "new.toml"))
    found = taken(tmp_path / "new.toml")
    assert [(each.name, each.kind, each.base_url, each.api_key.reveal()) for each in found.providers] == [
        ("openai", "openai", "", "env:OPENAI_API_KEY"),
        ("openai-compatible", "openai-compatible", "https://proxy.example.test/v1", "sk-literal-secret-1234567890"),
        ("anthropic", "anthropic", "", "env:ANTHROPIC_API_KEY"),
        ("vllm", "vllm", "http://10.0.0.5:8000/v1", ""),
        ("gemini", "gemini", "", "env:GEMINI_API_KEY"),
    ]
    models = {model.id: model for model in found.models}
    assert set(models) == {"gpt-4o", "claude", "mine"}
    assert [(offer.provider, offer.weight, offer.priority) for offer in models["gpt-4o"].offers] == [
        ("openai", 3, 0),
        ("openai-compatible", 1, 2),
    ]
    assert models["gpt-4o"].aliases == ("gpt-4",)
    assert (models["claude"].offers[0].model, models["claude"].max_output) == ("claude-sonnet-4-6", 64000)
    # The packaged catalogue knows the model by the provider's name.
    assert models["claude"].price.input == "3"
    assert models["mine"].price == Written(input="0.25", output="1")
    lost = done.stderr
    for words in ("azure/my-deployment", "rpm", "gemini/*", "master_key", "database_url", "drop_params, fallbacks", "routing_strategy"):
        assert words in lost, words
    assert "secret" not in lost


def test_nothing_is_written_and_no_key_shown_unless_a_file_is_named(config: Path, tmp_path: Path) -> None:
    done = run("litellm", str(config))
    assert 'api_key = "…"' in done.stdout and "env:OPENAI_API_KEY" in done.stdout
    assert "secret" not in done.output
    assert "Nothing was written" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml"]


def test_a_file_that_is_there_is_not_written_over(config: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(halley, ["import", "litellm", str(config), "--write", str(config)])
    assert done.exit_code != 0
    assert config.read_text() == LITELLM


def test_json_is_taken_in_place_of_yaml(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({"model_list": [{"model_name": "gpt-4o", "litellm_params": {"model": "gpt-4o", "input_cost_per_token": 2.5e-06}}]})
    )
    assert 'id = "gpt-4o"' in run("litellm", str(path)).stdout


SCHEMA = """
CREATE TABLE channels (id INTEGER PRIMARY KEY, type INTEGER, key TEXT, status INTEGER, name TEXT, weight INTEGER, base_url TEXT,
    models TEXT, model_mapping TEXT, priority INTEGER{extra});
CREATE TABLE options (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT, status INTEGER, quota INTEGER, used_quota INTEGER);
CREATE TABLE tokens (id INTEGER PRIMARY KEY, user_id INTEGER, key TEXT, status INTEGER, name TEXT,
    remain_quota INTEGER, unlimited_quota INTEGER);
"""


TOKENS = [
    (1, 1, "k" * 48, 1, "app one", 750_000, 0),
    (2, 1, "q" * 48, 2, "old", 9, 0),
    (3, 1, "u" * 48, 1, "free", 5, 1),
]


def database(path: Path, channels: list[tuple[object, ...]], *, new_api: bool) -> Path:
    with closing(sqlite3.connect(path)) as made, made:
        made.executescript(SCHEMA.format(extra=", auto_ban INTEGER" if new_api else ""))
        rows = [(*channel, 1) if new_api else channel for channel in channels]
        few, more = (
            "INSERT INTO channels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "INSERT INTO channels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        made.executemany(more if new_api else few, rows)
        ratios = {"gpt-4o": 1.25, "my-claude": 1.5, "mistral-large-2512": "x"}
        options = {
            "ModelRatio": json.dumps(ratios),
            "CompletionRatio": '{"gpt-4o": 4, "my-claude": 5}',
            "CacheRatio": '{"gpt-4o": 0.5}',
            "ModelPrice": '{"draw": 0.04}',
            "GroupRatio": '{"default": 1, "vip": 0.8}',
        }
        made.executemany("INSERT INTO options VALUES (?, ?)", options.items())
        made.executemany("INSERT INTO users VALUES (?, ?, ?, ?, 0)", [(1, "root", 1, 12_500_000), (2, "gone", 2, 5), (3, "Zoë K", 1, 0)])
        made.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)", TOKENS)
    return path


def test_a_database_of_new_api_becomes_a_configuration_that_is_taken(config: Path, tmp_path: Path) -> None:
    channels: list[tuple[object, ...]] = [
        (1, 1, "sk-first-secret\nsk-other-secret", 1, "OpenAI main", 2, "", "gpt-4o,gpt-4o-mini", "", 10),
        (2, 14, "sk-ant-secret", 1, "claude", 0, "", "my-claude", '{"my-claude": "claude-sonnet-4-6"}', 0),
        (3, 1, "sk-proxy-secret", 2, "proxy", 0, "https://proxy.example.test", "gpt-4o,draw", "", 0),
        (4, 42, "mi-secret", 1, "mistral", 0, "", "mistral-large-2512", "", 0),
        (5, 2, "mj-secret", 1, "midjourney", 0, "", "mj_imagine", "", 0),
    ]
    path = database(tmp_path / "one-api.db", channels, new_api=True)
    before = path.read_bytes()
    done = run("new-api", str(path), "--write", str(tmp_path / "new.toml"))
    found = taken(tmp_path / "new.toml")
    assert [(each.name, each.kind, each.base_url, each.api_key.reveal(), each.enabled) for each in found.providers] == [
        ("OpenAI-main", "openai", "", "sk-first-secret", True),
        ("claude", "anthropic", "", "sk-ant-secret", True),
        ("proxy", "openai-compatible", "https://proxy.example.test/v1", "sk-proxy-secret", False),
        ("mistral", "mistral", "", "mi-secret", True),
    ]
    models = {model.id: model for model in found.models}
    assert models["gpt-4o"].price == Written(input="2.5", output="10", cache_read="1.25")
    assert [(offer.provider, offer.weight, offer.priority) for offer in models["gpt-4o"].offers] == [
        ("OpenAI-main", 2, -10),
        ("proxy", 1, 0),
    ]
    assert models["my-claude"].offers[0].model == "claude-sonnet-4-6"
    assert models["my-claude"].price == Written(input="3", output="15")
    assert models["draw"].price == Written(input="0", output="0", per_request="0.04")
    assert [account.name for account in found.accounts] == ["root", "Zo--K"]
    text = (tmp_path / "new.toml").read_text()
    assert "# halley credit root 25\n" in text and "# halley keys create --name app-one --account root\n" in text
    assert "# halley budgets set key 1.5 --of app-one --account root\n" in text and "--of free" not in text
    for words in ("midjourney", "2 keys", "vip", "2 client keys", "no number", 'user "Zoë K"'):
        assert words in done.stderr, words
    assert "secret" not in done.stderr
    assert path.read_bytes() == before


def test_types_of_one_api_are_its_own(config: Path, tmp_path: Path) -> None:
    channels: list[tuple[object, ...]] = [
        (1, 28, "k", 1, "m", 0, "", "mistral-large-2512", "", 0),
        (2, 36, "k2", 1, "d", 0, "", "x", "", 0),
    ]
    out = run("new-api", str(database(tmp_path / "one.db", channels, new_api=False))).stdout
    assert 'kind = "mistral"' in out and 'kind = "deepseek"' in out


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be looked at as one" * 20])
def test_what_is_no_such_database_is_said(config: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    done = CliRunner().invoke(halley, ["import", "new-api", str(path)])
    assert (done.exit_code == 0) is (content == b"")
    assert ("channels: there are none" in done.stderr) is (content == b"")
    done = CliRunner().invoke(halley, ["import", "new-api", str(tmp_path / "nothing")])
    assert done.exit_code != 0


PRICES = [
    ("1e300", "not a decimal"),
    ("1e9", "out of range"),
    ("-0.000001", "a price is not negative"),
    ("nan", ""),
    ("1e-19", "finer than"),
    ("1e999999999", ""),
]


@pytest.mark.parametrize("rate, why", PRICES)
def test_a_price_that_is_none_is_not_carried(config: Path, tmp_path: Path, rate: str, why: str) -> None:
    config.write_text(
        "model_list:\n- model_name: fast\n  litellm_params: {model: openai/gpt-4o, api_key: sk-1234567890123456, "
        f"input_cost_per_token: {rate}, output_cost_per_token: {rate}}}\n"
    )
    done = run("litellm", str(config), "--write", str(tmp_path / "new.toml"))
    assert "model_list entry 1" in done.stderr and why in done.stderr
    # What the packaged catalogue knows of it counts then.
    assert taken(tmp_path / "new.toml").models[0].price.input == "2.5"


def test_amounts_of_new_api_that_are_none_are_not_carried(config: Path, tmp_path: Path) -> None:
    path = database(tmp_path / "new.db", [(1, 1, "k", 1, "m", 0, "", "gpt-4o", "", 0)], new_api=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE options SET value = '{\"gpt-4o\": -1}' WHERE key = 'ModelRatio'")
        connection.execute("UPDATE users SET quota = ?", (2**63 - 1,))
        connection.commit()
    done = run("new-api", str(path))
    assert "gpt-4o): its price is none, input: a price is not negative" in done.stderr
    assert "is no amount here" in done.stderr and "halley credit" not in done.stdout


@pytest.mark.parametrize("kind", ["endless", "directory", "large", "nothing", "bytes"])
def test_a_file_that_is_no_configuration_is_said_at_once(config: Path, tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "endless" else tmp_path if kind == "directory" else tmp_path / f"{kind}.yaml"
    if kind == "large":
        path.write_text("a: b\n" * (1 << 20))
    elif kind == "bytes":
        path.write_bytes(b"\xff\xfe" * 100)
    done = CliRunner().invoke(halley, ["import", "litellm", str(path)])
    assert done.exit_code == 1 and isinstance(done.exception, HalleyError) and str(path) in str(done.exception)


def test_thousands_of_models_at_as_many_providers_are_carried_in_seconds(config: Path) -> None:
    entry = "- model_name: m{0}\n  litellm_params: {{model: openai/gpt-4o, api_key: sk-{0}}}\n"
    config.write_text("model_list:\n" + "".join(entry.format(number) for number in range(20_000)))
    began = time.monotonic()
    assert "20000 providers, 20000 models" in run("litellm", str(config)).stderr
    assert time.monotonic() - began < 30.0
