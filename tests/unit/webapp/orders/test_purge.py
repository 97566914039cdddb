from datetime import timedelta

from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import change, count, make_painting, stored_files
from webapp.models import Painting, State, now
from webapp.orders.purge import purge_expired


def make_old_and_young(ada: Browser, ben: Browser) -> list[str]:
    old = timedelta(days=30, minutes=1)
    make_painting(ada, trashed_at=now() - old)
    make_painting(ben, State.FAILED, trashed_at=now() - old)
    young = make_painting(ada, trashed_at=now() - old + timedelta(minutes=2))
    never = make_painting(ada)
    return [young, never]


def test_old_trash_is_removed_for_good(ada: Browser, ben: Browser, app: Flask) -> None:
    kept = make_old_and_young(ada, ben)

    with app.app_context():
        assert purge_expired() == 2
        assert purge_expired() == 0

    assert count(app, Painting) == 2
    assert {path.parts[2] for path in stored_files(app) if path.parts[0] == "paintings"} == set(
        kept
    )


def test_the_purge_command_removes_old_trash(ada: Browser, ben: Browser, app: Flask) -> None:
    make_old_and_young(ada, ben)

    result = CliRunner().invoke(FlaskGroup(create_app=lambda: app), ["purge"])

    assert result.exit_code == 0
    assert result.output == "2 paintings removed.\n"


def test_a_restored_painting_is_not_removed(ada: Browser, ben: Browser, app: Flask) -> None:
    painting = make_painting(ada, trashed_at=now() - timedelta(days=31))
    change(app, painting, trashed_at=None)

    with app.app_context():
        assert purge_expired() == 0
