import pytest
from flask import Flask
from sqlalchemy import select

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import make_painting
from transfer.settings import Rendition
from webapp.extensions import db, get_storage, write_transaction
from webapp.models import Painting, State
from webapp.orders import place, schedule
from webapp.worker import inputs
from webapp.worker.inputs import BasePaintingRemoved, PaintInputs

ATTEMPT = "a" * 32


def find(public_id: str) -> Painting:
    db.session.rollback()
    return db.session.scalars(select(Painting).where(Painting.public_id == public_id)).one()


def load_next() -> PaintInputs:
    lease = schedule.claim("worker")
    assert lease is not None
    return inputs.load(lease, get_storage())


def make_base(ada: Browser) -> str:
    """Store a finished painting with an optimizer state, and return its public id."""
    base = make_painting(ada, optimizer_attempt_id=ATTEMPT, optimizer_bytes=5)
    get_storage().write(get_storage().optimizer(base, ATTEMPT), b"state")
    return base


def test_photo_styles_and_settings_are_loaded(ada: Browser, app: Flask) -> None:
    with app.app_context():
        queued = make_painting(ada, State.QUEUED, seed=7)
        loaded = load_next()

        assert (loaded.content.mode, loaded.content.size) == ("RGB", (96, 64))
        assert [style.size for style in loaded.styles] == [(64, 64)]
        assert loaded.settings == find(queued).settings
        assert loaded.settings.seed == 7
        assert loaded.base is None


@pytest.mark.parametrize(("long_edge_px", "state"), [(96, b"state"), (192, None)])
def test_a_base_painting_comes_with_its_state_only_at_its_size(
    ada: Browser, app: Flask, long_edge_px: int, state: bytes | None
) -> None:
    with app.app_context():
        place.continue_from(find(make_base(ada)), long_edge_px, "token")
        base = load_next().base

        assert base is not None
        assert (base.image.size, base.state) == ((96, 64), state)


def test_a_base_painting_without_stored_state_is_used_all_the_same(
    ada: Browser, app: Flask
) -> None:
    with app.app_context():
        base_id = make_base(ada)
        place.continue_from(find(base_id), 96, "token")
        get_storage().optimizer(base_id, ATTEMPT).unlink()
        base = load_next().base

        assert base is not None
        assert base.state is None


@pytest.mark.parametrize("is_row_removed", [True, False])
def test_a_removed_base_painting_is_an_error_for_people(
    ada: Browser, app: Flask, *, is_row_removed: bool
) -> None:
    with app.app_context():
        base_id = make_base(ada)
        place.continue_from(find(base_id), 192, "token")
        if is_row_removed:
            with write_transaction() as database:
                database.delete(database.get_one(Painting, find(base_id).id))
        else:
            cover = find(base_id).renditions[0]
            get_storage().rendition(base_id, Rendition(cover.kind), cover.attempt_id).unlink()

        with pytest.raises(BasePaintingRemoved, match="has been removed"):
            load_next()


def test_a_missing_photo_is_an_os_error(ada: Browser, app: Flask) -> None:
    with app.app_context():
        queued = make_painting(ada, State.QUEUED)
        get_storage().remove_picture(find(queued).content.public_id)

        with pytest.raises(FileNotFoundError):
            load_next()
