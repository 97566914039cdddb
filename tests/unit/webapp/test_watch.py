"""The watchman, with a clock that the test moves."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from config import Config
from tests.unit.webapp.rows import make_painting, make_user, reread
from webapp import attempts, create_app, schedule, watch
from webapp.attempts import Claim
from webapp.extensions import db, writing
from webapp.models import Painting, State, now
from webapp.queue import QueueUnreachable
from webapp.watch import DEAD_AFTER_S, LOOK_EVERY_S, Watchman
from webapp.workers import living_workers


@pytest.fixture
def site(config: Config) -> Iterator[Flask]:
    app = create_app(config)
    with app.app_context():
        db.create_all()
        yield app
        db.session.remove()
        db.engine.dispose()


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watchman(site: Flask, clock: Clock) -> Watchman:
    return Watchman("watching", clock)


@pytest.fixture
def held(site: Flask) -> Claim:
    make_painting(make_user("ada"))
    claim = schedule.claim("working")
    assert claim is not None
    return claim


def state_of(claim: Claim) -> str:
    painting = db.session.get_one(Painting, claim.painting_id, populate_existing=True)
    return painting.state


def look(watchman: Watchman, clock: Clock, seconds: float) -> None:
    """Let time pass as it does: one look every few seconds."""
    for _ in range(round(seconds / LOOK_EVERY_S)):
        clock.seconds += LOOK_EVERY_S
        try:
            watchman.look()
        except QueueUnreachable:
            # There is no Redis in these tests; tickets come last in a round.
            continue


def test_a_painting_whose_worker_is_silent_goes_back_into_the_line(
    watchman: Watchman, clock: Clock, held: Claim
) -> None:
    look(watchman, clock, LOOK_EVERY_S)
    look(watchman, clock, DEAD_AFTER_S - LOOK_EVERY_S)
    assert state_of(held) == State.RUNNING
    look(watchman, clock, LOOK_EVERY_S)
    assert state_of(held) == State.QUEUED


def test_a_living_worker_keeps_its_painting(watchman: Watchman, clock: Clock, held: Claim) -> None:
    for _ in range(20):
        look(watchman, clock, DEAD_AFTER_S - LOOK_EVERY_S)
        assert attempts.renew(held)
    assert state_of(held) == State.RUNNING


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
def test_setting_the_clock_frees_nobodys_painting_and_keeps_no_dead_ones(
    watchman: Watchman, clock: Clock, held: Claim, step: timedelta
) -> None:
    look(watchman, clock, LOOK_EVERY_S)
    with writing() as database:
        # As rows look to a process whose clock was set.
        database.execute(update(Painting).values(started_at=now() - step))
    look(watchman, clock, DEAD_AFTER_S - LOOK_EVERY_S)
    assert state_of(held) == State.RUNNING
    look(watchman, clock, LOOK_EVERY_S)
    assert state_of(held) == State.QUEUED


def test_a_watchman_that_was_stopped_himself_begins_anew(
    watchman: Watchman, clock: Clock, held: Claim
) -> None:
    look(watchman, clock, LOOK_EVERY_S)
    clock.seconds += 60
    look(watchman, clock, LOOK_EVERY_S)
    assert state_of(held) == State.RUNNING


def test_a_beat_at_the_last_moment_counts(
    watchman: Watchman, clock: Clock, held: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(watchman, clock, DEAD_AFTER_S)
    judged = watchman._dead

    def judged_then_beaten(moment: float) -> list[str]:
        dead = judged(moment)
        assert attempts.renew(held)
        return dead

    monkeypatch.setattr(watchman, "_dead", judged_then_beaten)
    look(watchman, clock, LOOK_EVERY_S)
    assert state_of(held) == State.RUNNING


def test_each_worker_is_seen_to_live(watchman: Watchman, clock: Clock) -> None:
    look(watchman, clock, LOOK_EVERY_S)
    assert [worker.name for worker in living_workers()] == ["watching"]


def test_old_trash_is_emptied_by_the_clock(watchman: Watchman, clock: Clock, site: Flask) -> None:
    old = now() - timedelta(days=31)
    gone = make_painting(make_user("ada"), state=State.DONE, trashed_at=old)
    kept = make_painting(make_user("ben"), state=State.DONE, trashed_at=now())
    look(watchman, clock, watch.PURGE_EVERY_S + LOOK_EVERY_S)
    assert db.session.scalars(select(Painting.id)).all() == [kept.id]
    assert gone.id != kept.id
    assert reread(kept).trashed_at is not None
