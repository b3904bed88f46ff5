"""A store of every released schema is taken on by this version: nothing in it is lost, its keys and its holds are good, its books agree."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from halley.secret import Secret
from halley.store import database, keytext
from halley.store.database import HEAD, TAGS, StoreError, open_store
from halley.store.verify import verify
from tests.harness import books
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.priced import configuration, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator
from tests.store.tagged import MODELS, PREFIX, STORES

Table = tuple[str, list[str]]

# Tables of a tag that are others now, as what is there shows them.
NOW = {"endings": "(SELECT id AS request, ended_at, * FROM requests WHERE ending IS NOT NULL)"}
NAMES = {("endings", "at"): "ended_at"}


def facts(tag: str) -> Any:
    return json.loads((STORES / tag / "facts.json").read_text(encoding="utf-8"))


def restore(tag: str, home: Path) -> Path:
    """The tag's store and its master key in a home."""
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "master.key").write_text(facts(tag)["master_key"])
    (home / "master.key").chmod(0o600)
    path = home / "halley.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((STORES / tag / "store.sql").read_text(encoding="utf-8"))
    return path


def shape(path: Path) -> list[tuple[str, str]]:
    """Name and statement of everything that the database consists of."""
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def tables(path: Path) -> list[Table]:
    with closing(sqlite3.connect(path)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'alembic_version'")
        ]
        return [(name, [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]) for name in names]


def content(path: Path, of: list[Table]) -> dict[str, list[tuple[object, ...]]]:
    """The rows of the tables, by the columns that they had."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found: dict[str, list[tuple[object, ...]]] = {}
        for name, columns in of:
            source, renamed = (name, {}) if name in there else (NOW[name], NAMES)
            rows = connection.execute(f"SELECT * FROM {source}").fetchall()  # noqa: S608 (names of our own tables)
            found[name] = sorted((tuple(row[renamed.get((name, column), column)] for column in columns) for row in rows), key=repr)
        return found


def test_every_tag_has_its_store_and_every_store_its_tag() -> None:
    assert sorted(path.name for path in STORES.iterdir()) == sorted(TAGS)
    assert {tag: facts(tag)["revision"] for tag in TAGS} == TAGS


@pytest.mark.parametrize("tag", TAGS)
def test_the_schema_of_a_tag_does_not_change(tag: str, tmp_path: Path) -> None:
    made = tmp_path / "made.db"
    engine = create_engine(f"sqlite:///{made}")
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, TAGS[tag])
    engine.dispose()
    assert shape(made) == shape(restore(tag, tmp_path / "home"))


@pytest.mark.parametrize("tag", TAGS)
def test_a_store_of_a_tag_comes_to_the_head_with_everything_that_was_in_it(tag: str, tmp_path: Path) -> None:
    path = restore(tag, tmp_path)
    old = tables(path)
    before = content(path, old)
    assert all(before[name] for name in ("accounts", "keys", "postings", "entries", "balances", "leases", "requests", "endings", "prices"))
    store = open_store("", tmp_path, "", {})
    assert store.revision == HEAD
    with store.begin() as connection:
        found = verify(connection)
    assert found.differences == () and found.requests == len(before["requests"])
    digests = {keytext.digest(store.pepper, Secret(PREFIX + text)) for text in facts(tag)["keys"].values()}
    store.close()
    assert content(path, old) == before
    with closing(sqlite3.connect(path)) as connection:
        assert digests <= {digest for (digest,) in connection.execute("SELECT digest FROM keys")}
    backups = list(tmp_path.glob("halley.db.before-*"))
    assert len(backups) == (TAGS[tag] != HEAD)


@pytest.mark.parametrize("tag", TAGS)
def test_a_gateway_goes_on_where_the_one_of_a_tag_was_killed(tag: str, tmp_path: Path) -> None:
    known = facts(tag)
    keys = {name: PREFIX + text for name, text in known["keys"].items()}
    path = restore(tag, tmp_path / "home")
    with closing(sqlite3.connect(path)) as connection:
        (progress,) = connection.execute("SELECT progress_charge FROM requests WHERE id = ?", (known["open"],)).fetchone()
        spent = dict(connection.execute("SELECT account, SUM(charge) FROM endings JOIN requests ON id = request GROUP BY account"))
        (newest,) = connection.execute("SELECT MAX(at) FROM requests").fetchone()
    assert progress > 0
    with Simulator(tmp_path) as simulator, Gateway(tmp_path, configuration(simulator.url, MODELS)) as gateway:
        asked = {
            (name, model): ask(gateway.url, "POST", "/v1/chat/completions", encoded(model), key=key)[0]
            for name, key in keys.items()
            for model in MODELS[:2]
        }
        assert asked == {(name, model): _status(name, model) for name, model in asked}
        until(lambda: _ending(gateway, known["open"]) is not None, lambda: "the open hold was not ended")
        assert _ending(gateway, known["open"]) == ("crash", progress)
        found = audit(gateway, simulator, since=newest + 0.001)
        assert len(found.requests) == list(asked.values()).count(200)
        with books.store(gateway.home) as connection:
            balances = dict(connection.execute("SELECT ledger_account, amount FROM balances").fetchall())
        for account, credit in known["credit"].items():
            since = sum(request.charge for request in found.requests if request.account == account)
            died = progress if account == "prepaid" else 0
            left = balances[f"available:{account}"] + balances.get(f"held:{account}", 0)
            assert left == credit - spent[account] - died - since, account


def _status(name: str, model: str) -> int:
    """What a key of that name is answered for that model."""
    match name:
        case "revoked":
            return 401
        case "limited":
            return 200 if model == MODELS[0] else 403
        case _:
            return 200


def _ending(gateway: Gateway, request: str) -> tuple[str, int] | None:
    with books.store(gateway.home) as connection:
        found = connection.execute("SELECT ending, charge FROM requests WHERE id = ? AND ending IS NOT NULL", (request,)).fetchone()
    return (found["ending"], found["charge"]) if found else None


@pytest.mark.parametrize("tag", TAGS)
def test_a_start_on_a_schema_that_this_version_does_not_know_is_refused(tag: str, tmp_path: Path) -> None:
    path = restore(tag, tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer than this version"):
        open_store("", tmp_path, "", {})
    assert path.read_bytes() == before
