from datetime import timedelta

import pytest
from sqlalchemy import select, update

from webapp.extensions import db, write_transaction
from webapp.models import WorkerHeartbeat, now
from webapp.orders.workers import living_workers, mark_stopped, record_heartbeat

pytestmark = pytest.mark.usefixtures("site")


def test_a_worker_lives_from_its_first_heartbeat_until_it_stops() -> None:
    assert living_workers() == []
    record_heartbeat("worker")
    assert [worker.name for worker in living_workers()] == ["worker"]
    mark_stopped("worker")
    assert living_workers() == []
    with write_transaction() as database:
        database.execute(update(WorkerHeartbeat).values(seen_at=now() - timedelta(days=2)))
    record_heartbeat("another")
    assert [worker.name for worker in db.session.scalars(select(WorkerHeartbeat))] == ["another"]


def test_a_worker_without_heartbeat_for_a_minute_counts_as_dead() -> None:
    record_heartbeat("worker")
    with write_transaction() as database:
        database.execute(update(WorkerHeartbeat).values(seen_at=now() - timedelta(minutes=1)))
    assert living_workers() == []


def test_a_worker_that_missed_one_heartbeat_counts_as_living() -> None:
    record_heartbeat("worker")
    with write_transaction() as database:
        database.execute(update(WorkerHeartbeat).values(seen_at=now() - timedelta(seconds=40)))
    assert [worker.name for worker in living_workers()] == ["worker"]
