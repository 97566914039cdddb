"""Tests of the fence: only the attempt that holds a painting changes it."""

from collections.abc import Callable

from flask import Flask
from sqlalchemy import select

from tests.unit.webapp.rows import make_painting, make_user, reread
from transfer.settings import Rendition
from webapp.extensions import db, get_config
from webapp.models import Attempt, Outcome, RenditionFile, State
from webapp.orders import leases, place, schedule
from webapp.orders.leases import Lease


def claim(worker: str = "w") -> Lease:
    taken = schedule.claim(worker)
    assert taken is not None
    return taken


def test_progress_is_stored_and_a_lease_tells_of_cancellation(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    held = claim()
    assert leases.report(held, 0.25, has_new_preview=True)
    assert (reread(painting).progress, painting.preview_version) == (0.25, 1)
    assert leases.lease_status(held) == leases.LeaseStatus(is_held=True, is_cancel_requested=False)
    assert place.cancel(painting)
    assert leases.lease_status(held).is_cancel_requested
    assert leases.report(held, 0.5)
    assert reread(painting).preview_version == 1


def test_every_write_counts_as_a_heartbeat(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    held = claim()
    counts = [reread(painting).heartbeat]
    writes: list[Callable[[], bool]] = [
        lambda: leases.heartbeat(held),
        lambda: leases.report(held, 0.1),
        lambda: leases.add_rendition(held, Rendition.STYLED, 1, 1),
    ]
    for write in writes:
        assert write()
        counts.append(reread(painting).heartbeat)
    assert counts == sorted(set(counts))


def test_a_superseded_attempt_changes_no_row(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    stale = claim("stopped")
    assert leases.interrupt(stale)
    fresh = claim("other")
    before = {c.name: getattr(reread(painting), c.name) for c in painting.__table__.columns}

    assert not leases.heartbeat(stale)
    assert not leases.report(stale, 0.9, has_new_preview=True, has_checkpoint=True)
    assert not leases.add_rendition(stale, Rendition.STYLED, 1, 1)
    assert not leases.finish(stale, State.DONE)
    assert not leases.interrupt(stale)
    leases.release(stale)
    assert not leases.lease_status(stale).is_held

    assert {c.name: getattr(reread(painting), c.name) for c in painting.__table__.columns} == before
    assert painting.renditions == []
    assert leases.finish(fresh, State.DONE)
    assert reread(painting).state == State.DONE
    rows = db.session.scalars(select(Attempt))
    assert {row.worker: row.outcome for row in rows} == {
        "stopped": Outcome.INTERRUPTED,
        "other": Outcome.DONE,
    }


def test_a_painting_that_takes_three_workers_down_fails_with_a_reason(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    for _ in range(get_config().max_crashes):
        assert leases.interrupt(claim())
    assert reread(painting).state == State.FAILED
    assert painting.failure_reason is not None
    assert "3 times" in painting.failure_reason
    assert schedule.claim("w") is None
    assert place.retry(painting)
    assert reread(painting).state == State.QUEUED
    assert claim().checkpoint_attempt_id is None


def test_a_returned_painting_counts_no_crash(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    for _ in range(get_config().max_crashes + 1):
        leases.release(claim())
    assert (reread(painting).state, painting.crash_count) == (State.QUEUED, 0)


def test_a_painting_whose_worker_died_while_it_was_cancelled_is_cancelled(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    held = claim()
    assert place.cancel(painting)
    assert leases.interrupt(held)
    assert reread(painting).state == State.CANCELLED
    assert not painting.is_cancel_requested


def test_a_second_attempt_replaces_the_rendition_of_the_first(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    first = claim()
    assert leases.add_rendition(first, Rendition.STYLED, 10, 10, is_partial=True)
    assert leases.interrupt(first)
    second = claim()
    assert leases.add_rendition(second, Rendition.STYLED, 20, 20)
    rows = db.session.scalars(select(RenditionFile)).all()
    assert [(row.painting_id, row.width, row.attempt_id) for row in rows] == [
        (painting.id, 20, second.attempt_id)
    ]
