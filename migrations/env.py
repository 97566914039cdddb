"""Alembic's connection to the application's database; `flask db ...` runs this file."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from flask import current_app
from sqlalchemy import Connection, types

from webapp.extensions import db


def render_item(kind: str, item: object, _autogen_context: object) -> str | bool:
    """Write our own column types as the plain ones below them: migrations outlive models."""
    if kind == "type" and isinstance(item, types.TypeDecorator):
        return f"sa.{type(item.impl_instance).__name__}()"
    return False


def run(connection: Connection) -> None:
    """Apply migrations over ``connection``."""
    options = current_app.extensions["migrate"].configure_args
    context.configure(
        connection=connection, target_metadata=db.metadata, render_item=render_item, **options
    )
    with context.begin_transaction():
        context.run_migrations()


@contextmanager
def foreign_keys_off(connection: Connection) -> Iterator[None]:
    """On SQLite, let tables be rebuilt without deleting what refers to them.

    A column is dropped there by copying the table and dropping the old one, and dropping a table
    deletes its rows first, which with foreign keys on takes along whatever cascades from them.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    # Below SQLAlchemy, since the pragma has no effect inside a transaction.
    driver = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
        dangling = driver.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        driver.execute("PRAGMA foreign_keys = ON")
    if dangling:
        raise SystemExit(f"After the migration some rows refer to nothing: {dangling[:5]}")


if context.is_offline_mode():
    raise SystemExit("Migrations here need a database: leave out --sql.")
with db.engine.connect() as engine_connection, foreign_keys_off(engine_connection):
    run(engine_connection)
