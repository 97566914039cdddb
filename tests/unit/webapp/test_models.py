from datetime import UTC, datetime, timedelta, timezone

import pytest
from flask import Flask
from sqlalchemy import text

from tests.unit.webapp.client import Browser
from transfer.settings import Backbone, Effort, Method, Rendition, Settings, Start
from webapp.extensions import db, write_transaction
from webapp.models import Invitation, Painting, State, now


def test_times_are_stored_as_utc_and_read_with_time_zone(ada: Browser, app: Flask) -> None:
    noon_in_kabul = datetime(2026, 5, 4, 12, 0, tzinfo=timezone(timedelta(hours=4.5)))
    with app.app_context():
        with write_transaction() as database:
            invitation = Invitation(expires_at=noon_in_kabul)
            database.add(invitation)

        stored = db.session.scalar(text("SELECT expires_at FROM invitation ORDER BY id DESC"))
        assert str(stored).startswith("2026-05-04 07:30:00")
        assert invitation.expires_at == noon_in_kabul
        assert invitation.expires_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("expires_in", "is_used", "is_open"),
    [
        (timedelta(hours=1), False, True),
        (timedelta(hours=1), True, False),
        (-timedelta(1), False, False),
    ],
)
def test_an_invitation_is_open_until_it_expires_or_is_used(
    *, expires_in: timedelta, is_used: bool, is_open: bool
) -> None:
    invitation = Invitation(expires_at=now() + expires_in, used_at=now() if is_used else None)
    assert invitation.is_open is is_open


def test_a_painting_keeps_the_settings_that_it_is_made_of() -> None:
    settings = Settings(
        long_edge_px=768,
        strength=0.7,
        effort=Effort.FINE,
        backbone=Backbone.VGG19,
        method=Method.STATISTICS,
        renditions=(Rendition.STYLED, Rendition.LUMINANCE),
        seed=11,
        brush_size=1.5,
        smoothness=0.25,
        keep_faces=0.6,
        start=Start.CONTENT,
        animation=True,
    )
    assert Painting.from_settings(settings).settings == settings


def test_done_failed_and_cancelled_are_final() -> None:
    final = {state for state in State if state.is_final}
    assert final == {State.DONE, State.FAILED, State.CANCELLED}
