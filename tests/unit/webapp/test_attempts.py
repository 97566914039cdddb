"""The fence: only the attempt that holds a painting changes it."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from config import Config
from tests.unit.webapp.rows import make_painting, make_user, reread
from transfer.settings import Rendition
from webapp import attempts, create_app, orders, schedule
from webapp.attempts import Claim
from webapp.extensions import db
from webapp.models import Attempt, Outcome, RenditionFile, State


@pytest.fixture
def site(config: Config) -> Iterator[Flask]:
    app = create_app(config)
    with app.app_context():
        db.create_all()
        yield app
        db.session.remove()
        db.engine.dispose()


def claim(worker: str = "w") -> Claim:
    taken = schedule.claim(worker)
    assert taken is not None
    return taken


def test_progress_is_stored_and_cancellation_is_seen(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    held = claim()
    assert attempts.report(held, 0.25, has_new_preview=True)
    assert (reread(painting).progress, painting.preview_version) == (0.25, 1)
    assert attempts.standing(held) == attempts.Standing(is_held=True, is_cancel_requested=False)
    assert orders.cancel(painting)
    assert attempts.standing(held).is_cancel_requested
    assert attempts.report(held, 0.5)
    assert reread(painting).preview_version == 1


def test_every_sign_of_life_moves_the_beat(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    held = claim()
    beats = [reread(painting).beat]
    for sign in (
        lambda: attempts.renew(held),
        lambda: attempts.report(held, 0.1),
        lambda: attempts.add_rendition(held, Rendition.STYLED, 1, 1),
    ):
        assert sign()
        beats.append(reread(painting).beat)
    assert beats == sorted(set(beats))


def test_a_superseded_attempt_touches_no_row(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    stale = claim("stopped")
    assert attempts.interrupt(stale)
    fresh = claim("other")
    before = {c.name: getattr(reread(painting), c.name) for c in painting.__table__.columns}

    assert not attempts.renew(stale)
    assert not attempts.report(stale, 0.9, has_new_preview=True, has_checkpoint=True)
    assert not attempts.add_rendition(stale, Rendition.STYLED, 1, 1)
    assert not attempts.finish(stale, State.DONE)
    assert not attempts.interrupt(stale)
    attempts.hand_back(stale)
    assert not attempts.standing(stale).is_held

    assert {c.name: getattr(reread(painting), c.name) for c in painting.__table__.columns} == before
    assert painting.renditions == []
    assert attempts.finish(fresh, State.DONE)
    assert reread(painting).state == State.DONE
    rows = db.session.scalars(select(Attempt))
    assert {row.worker: row.outcome for row in rows} == {
        "stopped": Outcome.INTERRUPTED,
        "other": Outcome.DONE,
    }


def test_a_painting_that_takes_three_workers_down_fails_with_a_reason(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    for _ in range(attempts.MAX_INTERRUPTIONS):
        assert attempts.interrupt(claim())
    assert reread(painting).state == State.FAILED
    assert painting.failure is not None
    assert "3 times" in painting.failure
    assert schedule.claim("w") is None
    assert orders.retry(painting)
    assert reread(painting).state == State.QUEUED
    assert claim().checkpoint_id is None


def test_being_handed_back_is_not_held_against_a_painting(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    for _ in range(attempts.MAX_INTERRUPTIONS + 1):
        attempts.hand_back(claim())
    assert (reread(painting).state, painting.interruptions) == (State.QUEUED, 0)


def test_a_painting_whose_worker_died_while_it_was_cancelled_is_cancelled(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    held = claim()
    assert orders.cancel(painting)
    assert attempts.interrupt(held)
    assert reread(painting).state == State.CANCELLED
    assert not painting.is_cancel_requested


def test_a_second_attempt_replaces_the_rendition_of_the_first(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    first = claim()
    assert attempts.add_rendition(first, Rendition.STYLED, 10, 10, is_unfinished=True)
    assert attempts.interrupt(first)
    second = claim()
    assert attempts.add_rendition(second, Rendition.STYLED, 20, 20)
    rows = db.session.scalars(select(RenditionFile)).all()
    assert [(row.painting_id, row.width, row.attempt_id) for row in rows] == [
        (painting.id, 20, second.attempt_id)
    ]
