import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from tests.unit.webapp.client import Browser
from webapp.extensions import db, write_transaction
from webapp.models import SiteFlag


def test_a_write_transaction_commits_at_the_end(ada: Browser, app: Flask) -> None:
    with app.app_context():
        with write_transaction() as database:
            database.add(SiteFlag(name="pause"))
        db.session.rollback()

        assert db.session.scalars(select(SiteFlag.name)).all() == ["pause"]


def test_a_write_transaction_that_fails_changes_nothing(ada: Browser, app: Flask) -> None:
    def write_and_fail() -> None:
        with write_transaction() as database:
            database.add(SiteFlag(name="pause"))
            database.flush()
            raise ZeroDivisionError

    with app.app_context():
        with pytest.raises(ZeroDivisionError):
            write_and_fail()

        assert db.session.scalars(select(SiteFlag.name)).all() == []


def test_a_write_transaction_has_the_write_lock_from_its_beginning(
    ada: Browser, app: Flask
) -> None:
    with app.app_context(), write_transaction(), db.engine.connect() as other:
        other.execute(text("PRAGMA busy_timeout = 1"))
        with pytest.raises(OperationalError, match="locked"):
            other.execute(text("DELETE FROM site_flag"))


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("foreign_keys", 1)])
def test_connections_are_durable_and_strict(
    ada: Browser, app: Flask, pragma: str, value: object
) -> None:
    with app.app_context():
        assert db.session.scalar(text(f"PRAGMA {pragma}")) == value
