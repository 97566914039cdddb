from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from config import Config
from transfer.settings import Rendition
from webapp import create_app, orders, schedule
from webapp.extensions import db, writing
from webapp.models import (
    Attempt,
    Outcome,
    Painting,
    PaintingStyle,
    Picture,
    RenditionFile,
    State,
    User,
    new_public_id,
    now,
)
from webapp.schedule import Waiting, Work


@pytest.fixture
def site(config: Config) -> Iterator[Flask]:
    app = create_app(config)
    with app.app_context():
        db.create_all()
        yield app


def make_user(name: str) -> int:
    with writing() as database:
        user = User(name=name, name_key=name, password_hash="none")
        database.add(user)
        database.flush()
        database.add(
            Picture(owner_id=user.id, title="p", width=9, height=9, sha256=name, is_style=False)
        )
    return user.id


def make_painting(user_id: int, **values: object) -> Painting:
    with writing() as database:
        picture_id = database.scalar(select(Picture.id).where(Picture.owner_id == user_id))
        assert picture_id is not None
        painting = Painting(
            owner_id=user_id,
            form_token=new_public_id(),
            content_id=picture_id,
            style_links=[PaintingStyle(position=0, picture_id=picture_id)],
            long_edge_px=256,
            strength=0.5,
            effort="draft",
            backbone="auto",
            colors=["styled"],
            seed=0,
            **values,
        )
        database.add(painting)
    return painting


def reread(painting: Painting) -> Painting:
    db.session.rollback()
    return db.session.get_one(Painting, painting.id, populate_existing=True)


A, B, C = 1, 2, 3
HOUR = 3600.0


@pytest.mark.parametrize(
    ("waiting", "work", "order"),
    [
        pytest.param([], [], "", id="nobody waits"),
        pytest.param([A], [], "A1", id="one alone"),
        pytest.param([A, A, A], [], "A1 A2 A3", id="within a user, oldest first"),
        pytest.param([A, B], [], "A1 B2", id="between equals, oldest first"),
        pytest.param([A, A, A, B], [], "A1 B4 A2 A3", id="a batch lets others in between"),
        pytest.param([A, A, B, B], [], "A1 B3 A2 B4", id="two batches take turns"),
        pytest.param([A, B, C, C], [], "A1 B2 C3 C4", id="three people"),
        pytest.param([A, B], [Work(A, 60, 0)], "B2 A1", id="who used less goes first"),
        pytest.param(
            [A, A, B], [Work(B, 25, 0)], "A1 A2 B3", id="and stays first until it is even"
        ),
        pytest.param(
            [A, B], [Work(A, 60, 3 * HOUR), Work(B, 10, 0)], "A1 B2", id="old work is forgiven"
        ),
        pytest.param(
            [A, B], [Work(A, 60, HOUR), Work(B, 10, 0)], "B2 A1", id="but not within the hour"
        ),
        pytest.param([A, B], [Work(C, 999, 0)], "A1 B2", id="others' work does not matter"),
        pytest.param(
            [A, B], [Work(A, 5, 0), Work(A, 5, 0), Work(B, 9, 0)], "B2 A1", id="work adds up"
        ),
        pytest.param(
            [A, B], [Work(A, 60, -HOUR)], "B2 A1", id="a clock that was set back changes nothing"
        ),
    ],
)
def test_the_least_busy_users_oldest_painting_goes_next(
    waiting: list[int], work: list[Work], order: str
) -> None:
    queued = [Waiting(number, user) for number, user in enumerate(waiting, 1)]
    ordered = schedule.line(queued, schedule.usage(work), seconds_each=20.0)
    assert " ".join(f"{'?ABC'[item.user_id]}{item.painting_id}" for item in ordered) == order


def test_a_claim_takes_each_painting_once(site: Flask) -> None:
    user_id = make_user("ada")
    first, second = make_painting(user_id), make_painting(user_id)
    claims = [schedule.claim("w1"), schedule.claim("w2"), schedule.claim("w3")]
    assert [claim.painting_id if claim else None for claim in claims] == [
        first.id,
        second.id,
        None,
    ]
    assert reread(first).state == State.RUNNING
    attempts = db.session.scalars(select(Attempt).order_by(Attempt.worker)).all()
    assert [(attempt.worker, attempt.painting_id) for attempt in attempts] == [
        ("w1", first.id),
        ("w2", second.id),
    ]


def test_progress_is_stored_and_tells_of_cancellation(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    claim = schedule.claim("w")
    assert claim is not None
    standing = schedule.report(claim, 0.25, has_new_preview=True)
    assert (standing.is_held, standing.is_cancel_requested) == (True, False)
    assert (reread(painting).progress, painting.preview_version) == (0.25, 1)
    assert orders.cancel(painting)
    assert schedule.report(claim, 0.5, has_new_preview=False).is_cancel_requested
    assert reread(painting).preview_version == 1


def test_a_superseded_attempt_touches_no_row(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    stale = schedule.claim("stopped")
    assert stale is not None
    with writing() as database:
        database.execute(update(Painting).values(lease_until=now() - timedelta(seconds=1)))
    with pytest.raises(schedule.queue.QueueUnreachable):
        schedule.reconcile()  # frees the painting; only its ticket has to wait for the queue
    fresh = schedule.claim("other")
    assert fresh is not None
    before = reread(painting).progress, painting.attempt_id, painting.lease_until

    assert not schedule.renew(stale)
    assert not schedule.report(stale, 0.9, has_new_preview=True).is_held
    assert not schedule.add_rendition(stale, Rendition.STYLED, 1, 1)
    assert not schedule.finish(stale, State.DONE)
    schedule.hand_back(stale)
    schedule.interrupt(stale)

    after = reread(painting)
    assert (after.progress, after.attempt_id, after.lease_until) == before
    assert (after.state, after.preview_version, after.renditions) == (State.RUNNING, 0, [])
    assert schedule.renew(fresh)
    assert schedule.finish(fresh, State.DONE)
    assert reread(painting).state == State.DONE
    attempts = db.session.scalars(select(Attempt))
    outcomes = {attempt.worker: attempt.outcome for attempt in attempts}
    assert outcomes == {"stopped": Outcome.INTERRUPTED, "other": Outcome.DONE}


def test_a_painting_that_takes_three_workers_down_fails_with_a_reason(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    for _ in range(schedule.MAX_INTERRUPTIONS):
        claim = schedule.claim("w")
        assert claim is not None
        schedule.interrupt(claim)
    assert reread(painting).state == State.FAILED
    assert painting.failure is not None
    assert "3 times" in painting.failure
    assert schedule.claim("w") is None
    assert orders.retry(painting)
    assert reread(painting).state == State.QUEUED
    assert schedule.claim("w") is not None


def test_being_handed_back_is_not_held_against_a_painting(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    for _ in range(schedule.MAX_INTERRUPTIONS + 1):
        claim = schedule.claim("w")
        assert claim is not None
        schedule.hand_back(claim)
    assert (reread(painting).state, painting.interruptions) == (State.QUEUED, 0)


def test_a_live_lease_is_left_alone(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    assert schedule.claim("w") is not None
    schedule.reconcile()  # needs no queue either, since nothing waits
    assert reread(painting).state == State.RUNNING


def test_a_second_attempt_replaces_the_rendition_of_the_first(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    claim = schedule.claim("w")
    assert claim is not None
    assert schedule.add_rendition(claim, Rendition.STYLED, 10, 10, is_unfinished=True)
    schedule.interrupt(claim)
    again = schedule.claim("w")
    assert again is not None
    assert schedule.add_rendition(again, Rendition.STYLED, 20, 20)
    rows = db.session.scalars(select(RenditionFile)).all()
    assert [(row.painting_id, row.width, row.attempt_id) for row in rows] == [
        (painting.id, 20, again.attempt_id)
    ]


def test_the_position_counts_only_those_who_go_first(site: Flask) -> None:
    ada, ben = make_user("ada"), make_user("ben")
    batch = [make_painting(ada) for _ in range(5)]
    single = make_painting(ben)
    assert [schedule.ahead_of(painting) for painting in batch[:2]] == [0, 2]
    assert schedule.ahead_of(single) == 1


def test_two_processes_cannot_claim_the_same_row(config: Config, tmp_path: Path) -> None:
    # Two applications, as two workers have: the second one's claim waits for the first's commit.
    first, second = create_app(config), create_app(replace(config))
    with first.app_context():
        db.create_all()
        make_painting(make_user("ada"))
        mine = schedule.claim("one")
    with second.app_context():
        theirs = schedule.claim("two")
    assert mine is not None
    assert theirs is None
