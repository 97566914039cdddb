"""Tests of the reaper, with a clock that the test moves."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.unit.webapp.rows import make_painting, make_user, reread
from webapp.extensions import db, write_transaction
from webapp.models import Painting, State, now
from webapp.orders import leases, schedule
from webapp.orders.leases import LEASE_S, Lease
from webapp.orders.queue import QueueUnreachable
from webapp.orders.workers import living_workers
from webapp.worker import reaper
from webapp.worker.reaper import TICK_EVERY_S, Reaper


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site_reaper(site: Flask, clock: Clock) -> Reaper:
    return Reaper("worker", clock)


@pytest.fixture
def held(site: Flask) -> Lease:
    make_painting(make_user("ada"))
    claim = schedule.claim("working")
    assert claim is not None
    return claim


def state_of(claim: Lease) -> str:
    painting = db.session.get_one(Painting, claim.painting_id, populate_existing=True)
    return painting.state


def tick_for(site_reaper: Reaper, clock: Clock, seconds: float) -> None:
    """Let time pass, with a tick every few seconds."""
    for _ in range(round(seconds / TICK_EVERY_S)):
        clock.seconds += TICK_EVERY_S
        try:
            site_reaper.tick()
        except QueueUnreachable:
            # There is no Redis in these tests; tickets come last in a round.
            continue


def test_a_painting_whose_worker_gives_no_heartbeat_is_queued_again(
    site_reaper: Reaper, clock: Clock, held: Lease
) -> None:
    tick_for(site_reaper, clock, TICK_EVERY_S)
    tick_for(site_reaper, clock, LEASE_S - TICK_EVERY_S)
    assert state_of(held) == State.RUNNING
    tick_for(site_reaper, clock, TICK_EVERY_S)
    assert state_of(held) == State.QUEUED


def test_a_living_worker_keeps_its_painting(site_reaper: Reaper, clock: Clock, held: Lease) -> None:
    for _ in range(20):
        tick_for(site_reaper, clock, LEASE_S - TICK_EVERY_S)
        assert leases.heartbeat(held)
    assert state_of(held) == State.RUNNING


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
def test_setting_the_clock_frees_nobodys_painting_and_keeps_no_dead_ones(
    site_reaper: Reaper, clock: Clock, held: Lease, step: timedelta
) -> None:
    tick_for(site_reaper, clock, TICK_EVERY_S)
    with write_transaction() as database:
        # As rows look to a process whose clock was set.
        database.execute(update(Painting).values(started_at=now() - step))
    tick_for(site_reaper, clock, LEASE_S - TICK_EVERY_S)
    assert state_of(held) == State.RUNNING
    tick_for(site_reaper, clock, TICK_EVERY_S)
    assert state_of(held) == State.QUEUED


def test_a_reaper_that_was_stopped_for_a_minute_frees_nothing(
    site_reaper: Reaper, clock: Clock, held: Lease
) -> None:
    tick_for(site_reaper, clock, TICK_EVERY_S)
    clock.seconds += 60
    tick_for(site_reaper, clock, TICK_EVERY_S)
    assert state_of(held) == State.RUNNING


def test_a_heartbeat_at_the_last_moment_keeps_the_painting(
    site_reaper: Reaper, clock: Clock, held: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick_for(site_reaper, clock, LEASE_S)
    dead_attempts = site_reaper._dead_attempts

    def dead_attempts_then_heartbeat(moment: float) -> list[str]:
        dead = dead_attempts(moment)
        assert leases.heartbeat(held)
        return dead

    monkeypatch.setattr(site_reaper, "_dead_attempts", dead_attempts_then_heartbeat)
    tick_for(site_reaper, clock, TICK_EVERY_S)
    assert state_of(held) == State.RUNNING


def test_the_reaper_records_heartbeats_of_its_worker(site_reaper: Reaper, clock: Clock) -> None:
    tick_for(site_reaper, clock, TICK_EVERY_S)
    assert [worker.name for worker in living_workers()] == ["worker"]


def test_old_trash_is_emptied_by_the_clock(site_reaper: Reaper, clock: Clock, site: Flask) -> None:
    old = now() - timedelta(days=31)
    gone = make_painting(make_user("ada"), state=State.DONE, trashed_at=old)
    kept = make_painting(make_user("ben"), state=State.DONE, trashed_at=now())
    tick_for(site_reaper, clock, reaper.PURGE_EVERY_S + TICK_EVERY_S)
    assert db.session.scalars(select(Painting.id)).all() == [kept.id]
    assert gone.id != kept.id
    assert reread(kept).trashed_at is not None
