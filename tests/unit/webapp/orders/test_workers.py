from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from config import Config
from webapp import create_app
from webapp.extensions import db, write_transaction
from webapp.models import WorkerHeartbeat, now
from webapp.orders.workers import living_workers, mark_stopped, record_heartbeat


@pytest.fixture(autouse=True)
def site(config: Config) -> Iterator[Flask]:
    app = create_app(config)
    with app.app_context():
        db.create_all()
        yield app


def test_workers_give_signs_of_life_and_say_goodbye() -> None:
    assert living_workers() == []
    record_heartbeat("watching")
    assert [worker.name for worker in living_workers()] == ["watching"]
    mark_stopped("watching")
    assert living_workers() == []
    with write_transaction() as database:
        database.execute(update(WorkerHeartbeat).values(seen_at=now() - timedelta(days=2)))
    record_heartbeat("another")
    assert [worker.name for worker in db.session.scalars(select(WorkerHeartbeat))] == ["another"]


def test_a_worker_that_is_not_seen_for_a_minute_does_not_count() -> None:
    record_heartbeat("watching")
    with write_transaction() as database:
        database.execute(update(WorkerHeartbeat).values(seen_at=now() - timedelta(minutes=1)))
    assert living_workers() == []


def test_a_worker_that_missed_one_sign_counts() -> None:
    record_heartbeat("watching")
    with write_transaction() as database:
        database.execute(update(WorkerHeartbeat).values(seen_at=now() - timedelta(seconds=40)))
    assert [worker.name for worker in living_workers()] == ["watching"]
