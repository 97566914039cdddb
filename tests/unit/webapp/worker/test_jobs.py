"""Tests of a job that has nothing to paint; those that paint are in the integration tests."""

import pytest
from flask import Flask
from sqlalchemy import select

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import make_painting
from webapp.extensions import db
from webapp.models import Attempt, Painting, State
from webapp.orders import schedule
from webapp.worker import jobs
from webapp.worker.jobs import SignalFlag


def test_a_worker_that_was_asked_to_stop_takes_no_painting(
    ada: Browser, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_requested = SignalFlag()
    stop_requested.set()
    monkeypatch.setattr(jobs, "stop_requested", stop_requested)
    with app.app_context():
        make_painting(ada, State.QUEUED)

        jobs.paint_next()

        assert db.session.scalars(select(Painting.state)).all() == [State.QUEUED]


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_ticket_without_a_painting_makes_no_attempt(
    ada: Browser, app: Flask, *, is_paused: bool
) -> None:
    with app.app_context():
        make_painting(ada, State.QUEUED if is_paused else State.DONE)
        schedule.set_paused(paused=is_paused)

        jobs.paint_next()

        assert db.session.scalars(select(Attempt)).all() == []
