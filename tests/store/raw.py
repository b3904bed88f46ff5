"""A store's database behind its back: statements that the product would never make, with neither its guards nor its locks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url

from halley.store.postgres import DRIVER


class Raw:
    """Statements with `?` for values."""

    def __init__(self, connection: Connection, is_sqlite: bool) -> None:
        self._connection = connection
        self.is_sqlite = is_sqlite

    def execute(self, statement: str, values: Sequence[Any] = ()) -> CursorResult[Any]:
        return self._connection.exec_driver_sql(statement if self.is_sqlite else statement.replace("?", "%s"), tuple(values) or None)


class Database:
    """`url` is what `[store] url` says; empty is SQLite in `home`."""

    def __init__(self, url: str, home: Path | None = None) -> None:
        self.url = url
        self._engine: Engine = create_engine(make_url(url).set(drivername=DRIVER) if url else f"sqlite:///{home}/halley.db")
        if url:
            event.listen(self._engine, "connect", _unguarded)

    @property
    def is_sqlite(self) -> bool:
        return not self.url

    @contextmanager
    def unguarded(self) -> Iterator[Raw]:
        """Every statement stands at once, whatever triggers would say."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self.is_sqlite:
                for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
            yield Raw(connection, self.is_sqlite)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """One statement, for which the guards hold as for everybody."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            Raw(connection, self.is_sqlite).execute(statement, values)

    def empty(self) -> None:
        """As it is after the migrations, for the next test. Rows are few, so that DELETE is quicker than TRUNCATE."""
        with self._engine.begin() as connection:
            tables = [name for name in inspect(connection).get_table_names() if name != "alembic_version"]
            statements = [f'DELETE FROM "{name}"' for name in tables]  # noqa: S608 (the catalogue's own names)
            statements += [f"ALTER SEQUENCE {name} RESTART" for name in inspect(connection).get_sequence_names()]
            if statements:
                connection.exec_driver_sql(f"DO $$ BEGIN {'; '.join(statements)}; END $$")

    def close(self) -> None:
        self._engine.dispose()


def _unguarded(connection: Any, record: Any) -> None:
    """Neither triggers nor foreign keys hold on this connection."""
    del record
    connection.cursor().execute("SET session_replication_role = replica")
    connection.commit()
