"""Alembic's entry: runs the revisions on the connection it is given, inside that connection's transaction; or writes down what they would
send to a database of the dialect that it is given."""

from __future__ import annotations

from alembic import context

from halley.store.schema import metadata

if context.is_offline_mode():
    context.configure(dialect_name=context.config.attributes["dialect"], literal_binds=True)
else:
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
