"""A backup is made while requests are served, holds nothing secret in plain, and a gateway serves from it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy.engine import make_url

from halley.store import dump
from halley.store.database import open_store
from halley.store.dump import save, variables
from halley.store.state import StoreError
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.postgres import Server
from tests.harness.priced import configuration, customer, encoded
from tests.harness.simulator import Simulator
from tests.store.raw import Database

MODEL, SLOW = "sim/tokens-40", "sim/tokens-600+slow-1ms"


class House(NamedTuple):
    gateway: Gateway
    key: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("house")
    with Simulator(place) as simulator:
        gateway = Gateway(place, configuration(simulator.url, (MODEL, SLOW)))
        with gateway:
            key = customer(gateway, "prepaid", "25")
            yield House(gateway, key)


def test_a_backup_under_load_is_proven_private_and_served_from(house: House, tmp_path: Path) -> None:
    gateway, key = house
    copies = [tmp_path / f"copy-{number}" for number in range(3)]
    with Crowd(gateway.url) as crowd:
        for _ in range(16):
            crowd.ask(key, encoded(SLOW, stream=True))
        crowd.until(lambda member: member.flowing)
        for copy in copies:
            done = gateway.cli_json("backup", str(copy))
            assert done["found"]["differences"] == [] and done["path"] == str(copy) and done["bytes"] == copy.stat().st_size
    assert [copy.stat().st_mode & 0o777 for copy in copies] == [0o600] * 3 and len(list(tmp_path.iterdir())) == 3
    master = (gateway.home / "master.key").read_text().strip()
    secrets = [key.encode(), gateway.key().encode(), master.encode(), bytes.fromhex(master)]
    assert not [secret for secret in secrets for copy in copies if secret in copy.read_bytes()]
    again = gateway.cli("backup", str(copies[0]), check=False)
    assert again.returncode == 1 and "nothing is overwritten" in again.stderr
    served = Gateway(tmp_path / "restored", gateway.config.read_text())
    served.home.mkdir(parents=True)
    shutil.copy(copies[-1], served.home / "halley.db")
    shutil.copy(gateway.home / "master.key", served.home / "master.key")
    with served:
        assert ask(served.url, "POST", "/v1/chat/completions", encoded(MODEL, stream=False), key=key)[0] == 200
        assert json.loads(served.cli("ledger", "verify", "--json", check=False).stdout)["postings"]


def test_a_store_that_is_none_or_of_another_schema_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no store yet"):
        save("", tmp_path, tmp_path / "copy", {})
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_does_not_agree_is_backed_up_and_told_of(tmp_path: Path) -> None:
    store = open_store("", tmp_path, "", {})
    with store.begin() as connection:
        connection.exec_driver_sql("INSERT INTO balances VALUES ('available:acme', 1)")
    store.close()
    saved = save("", tmp_path, tmp_path / "copy", {})
    assert [each.check for each in saved.found.differences] == ["balances_are_sums"] and (tmp_path / "copy").exists()


def test_postgresql_is_dumped_in_the_moment_that_was_proven_and_restored(fresh: Database, postgres: Server, tmp_path: Path) -> None:
    store = open_store(fresh.url, tmp_path, "", {})
    with store.begin() as connection:
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('acme', true, 'store', 0)")
    saved = save(fresh.url, tmp_path, tmp_path / "copy", {})
    pepper = store.pepper
    store.close()
    assert saved.kind == "postgresql" and saved.found.differences == ()
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600 and pepper.reveal() not in (tmp_path / "copy").read_bytes()
    name = postgres.create()
    url = postgres.url(name)
    restore = [dump._tool("pg_restore"), "--no-owner", f"--dbname={name}", str(tmp_path / "copy")]  # pyright: ignore[reportPrivateUsage]
    subprocess.run(restore, env=variables(make_url(url)), check=True, timeout=60)
    again = open_store(url, tmp_path, "", {})
    with again.read() as connection:
        assert connection.exec_driver_sql("SELECT id FROM accounts").all() == [("acme",)]
    assert again.pepper == pepper
    again.close()
    postgres.drop(name)


def test_a_dump_that_fails_leaves_no_file(fresh: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(fresh.url, tmp_path, "", {}).close()
    monkeypatch.setattr(dump, "_TOOLS", tmp_path)
    with pytest.raises(StoreError, match="postgresql-client"):
        monkeypatch.setenv("PATH", str(tmp_path))
        save(fresh.url, tmp_path, tmp_path / "copy", {})
    for name in ("pg_dump", "pg_restore"):
        path = tmp_path / "99" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho 'server too new' >&2; exit 1\n")
        path.chmod(0o700)
    with pytest.raises(StoreError, match="pg_dump failed: server too new"):
        save(fresh.url, tmp_path, tmp_path / "copy", {})
    assert not (tmp_path / "copy").exists()


def test_postgresqls_programs_are_told_the_same_database_and_the_password_by_environment() -> None:
    assert variables(make_url("postgresql://u:p%40ss@db:6000/halley?sslmode=verify-full&sslrootcert=/ca")) == {
        "PGHOST": "db",
        "PGPORT": "6000",
        "PGUSER": "u",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "halley",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca",
    }
    assert variables(make_url("postgresql://u@/d?unix_sock=/run/pg/.s.PGSQL.5433")) == {
        "PGHOST": "/run/pg",
        "PGPORT": "5433",
        "PGUSER": "u",
        "PGDATABASE": "d",
    }
