"""How Alembic reaches the application's database; `flask db ...` runs this file."""

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


if context.is_offline_mode():
    raise SystemExit("Migrations here need a database: leave out --sql.")
with db.engine.connect() as engine_connection:
    run(engine_connection)
