from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import MakeApp, make_painting
from webapp.extensions import db, get_storage, write_transaction
from webapp.models import Painting, State
from webapp.storage import cleanup

ATTEMPT, OTHER = "a" * 32, "b" * 32


def find(public_id: str) -> Painting:
    db.session.rollback()
    return db.session.scalars(select(Painting).where(Painting.public_id == public_id)).one()


def write_files(public_id: str) -> tuple[list[Path], list[Path]]:
    """Write files of attempt `ATTEMPT`, and leftovers beside them; return the paths of both."""
    storage = get_storage()
    listed = [storage.animation(public_id, ATTEMPT), storage.optimizer(public_id, ATTEMPT)]
    unlisted = [
        storage.preview(public_id),
        storage.checkpoint(public_id, ATTEMPT),
        storage.animation(public_id, OTHER),
        storage.optimizer(public_id, OTHER),
    ]
    for path in listed + unlisted:
        storage.write(path, b"data")
    return listed, unlisted


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.CANCELLED])
def test_a_painting_that_is_over_keeps_only_listed_files(
    ada: Browser, app: Flask, state: State
) -> None:
    with app.app_context():
        ended = make_painting(
            ada, state, animation_attempt_id=ATTEMPT, optimizer_attempt_id=ATTEMPT
        )
        listed, unlisted = write_files(ended)

        cleanup.delete_unlisted_of_recent()

        assert all(path.exists() for path in listed)
        assert not any(path.exists() for path in unlisted)


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_an_open_painting_keeps_all_files(ada: Browser, app: Flask, state: State) -> None:
    with app.app_context():
        open_painting = make_painting(ada, state)
        listed, unlisted = write_files(open_painting)

        cleanup.delete_unlisted(find(open_painting).id, open_painting)

        assert all(path.exists() for path in listed + unlisted)


def test_a_removed_paintings_folder_is_deleted(ada: Browser, app: Flask) -> None:
    with app.app_context():
        removed = make_painting(ada)
        write_files(removed)
        painting_id = find(removed).id
        with write_transaction() as database:
            database.delete(database.get_one(Painting, painting_id))

        cleanup.delete_unlisted(painting_id, removed)

        assert not get_storage().preview(removed).parent.exists()


def test_the_oldest_optimizer_states_beyond_the_limit_are_deleted(
    make_app: MakeApp, enter: Callable[[Flask, str], Browser]
) -> None:
    app = make_app(max_optimizer_state_bytes=250)
    ada = enter(app, "Ada")
    with app.app_context():
        paintings = [
            make_painting(ada, optimizer_attempt_id=ATTEMPT, optimizer_bytes=100) for _ in range(4)
        ]
        paths = [get_storage().optimizer(public_id, ATTEMPT) for public_id in paintings]
        for path in paths:
            get_storage().write(path, bytes(100))

        cleanup.evict_states()

        assert [path.exists() for path in paths] == [False, False, True, True]
        rows = [find(public_id) for public_id in paintings]
        assert [row.optimizer_bytes for row in rows] == [None, None, 100, 100]
        assert [row.optimizer_attempt_id for row in rows] == [None, None, ATTEMPT, ATTEMPT]
