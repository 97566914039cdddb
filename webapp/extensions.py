"""Flask extensions, unbound; the current site's settings and files; writing transactions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import current_app
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import Engine, MetaData, event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import DeclarativeBase, Session

from config import Config
from webapp.storage.files import Storage

SQLITE_BUSY_TIMEOUT_MS = 15_000
"""Time for which a writer waits for another one before it gives up."""


class Base(DeclarativeBase):
    """Declarative base; the naming convention lets migrations address every constraint."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)
migrate = Migrate()
csrf = CSRFProtect()
limiter = Limiter(get_remote_address)


def get_config() -> Config:
    """Return the settings of the current site."""
    config: Config = current_app.config["PIC2PAINT"]
    return config


def get_storage() -> Storage:
    """Return the files of the current site."""
    storage: Storage = current_app.extensions["pic2paint-storage"]
    return storage


@contextmanager
def write_transaction() -> Iterator[Session]:
    """Open a short transaction that writes: it commits at the end, or rolls back on an exception.

    SQLite cannot promote a transaction that began by reading once somebody else has written in
    between (SQLITE_BUSY at once, whatever the busy timeout), so this one takes the write lock
    when it begins. Objects loaded earlier are refreshed when they are next touched.
    """
    session: Session = db.session()
    session.rollback()
    session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise


def configure_sqlite(engine: Engine) -> None:
    """Make every connection of ``engine`` durable and strict; no-op for other databases."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: object) -> None:
        # The driver's own BEGIN comes too late and cannot be IMMEDIATE: `begin` below does it.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # FULL keeps acknowledged commits through a power cut; 274 commits/s are ample here.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")
