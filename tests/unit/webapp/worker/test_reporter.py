"""Tests of the reporter on a leased painting, with its real thread."""

from collections.abc import Iterator

import pytest
import torch
from flask import Flask
from PIL import Image
from sqlalchemy import select

from tests.servers import wait_until
from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import make_painting
from transfer.engine import Progress
from transfer.errors import Cancelled
from transfer.pipeline.checkpoints import Checkpoint
from transfer.settings import Rendition
from webapp.extensions import db, get_storage
from webapp.models import Painting, State
from webapp.orders import leases, place, schedule
from webapp.orders.leases import Lease
from webapp.worker.preview import PREVIEW_EDGE_PX
from webapp.worker.reporter import (
    CancelRequested,
    Reporter,
    Superseded,
    TimeUp,
    WorkerStopping,
)


@pytest.fixture
def lease(ada: Browser, app: Flask) -> Iterator[Lease]:
    with app.app_context():
        make_painting(ada, State.QUEUED)
        claimed = schedule.claim("worker")
        assert claimed is not None
        yield claimed


def find(lease: Lease) -> Painting:
    db.session.rollback()
    return db.session.scalars(select(Painting).where(Painting.id == lease.painting_id)).one()


def make_progress(fraction: float) -> Progress:
    checkpoint = Checkpoint("fingerprint", 0, 0, 1, torch.full((1, 3, 4, 6), fraction), {})

    def render(long_edge_px: int) -> Image.Image:
        return Image.new("RGB", (long_edge_px, long_edge_px // 2), "gold")

    return Progress(fraction, 1, 10, Rendition.STYLED, 6, 1.0, render, checkpoint)


def is_stopped_by(reporter: Reporter, kind: type[Cancelled]) -> bool:
    """Return whether the next evaluation is stopped by an exception of this kind."""
    try:
        reporter.on_progress(make_progress(0.5))
    except kind:
        return True
    return False


def test_progress_preview_and_checkpoint_are_stored(app: Flask, lease: Lease) -> None:
    with Reporter(app, lease, get_storage(), lambda: False) as reporter:
        reporter.on_progress(make_progress(0.5))

    painting = find(lease)
    assert (painting.progress, painting.preview_version) == (0.5, 1)
    assert painting.checkpoint_attempt_id == lease.attempt_id
    stored = get_storage().read_checkpoint(lease.public_id, lease.attempt_id)
    assert stored == make_progress(0.5).checkpoint()
    with Image.open(get_storage().preview(lease.public_id)) as preview:
        assert (preview.format, preview.size) == ("JPEG", (PREVIEW_EDGE_PX, PREVIEW_EDGE_PX // 2))


def test_a_request_to_cancel_stops_the_painting(app: Flask, lease: Lease) -> None:
    with Reporter(app, lease, get_storage(), lambda: False) as reporter:
        reporter.on_progress(make_progress(0.1))
        assert place.cancel(find(lease))
        wait_until(lambda: is_stopped_by(reporter, CancelRequested), 10, "painting is stopped")


def test_a_lost_lease_stops_the_painting_and_its_writes(app: Flask, lease: Lease) -> None:
    with Reporter(app, lease, get_storage(), lambda: False) as reporter:
        assert leases.interrupt(lease)
        wait_until(lambda: is_stopped_by(reporter, Superseded), 10, "painting is stopped")

    assert find(lease).progress == 0.0
    assert not get_storage().preview(lease.public_id).exists()


def test_a_stopping_worker_leaves_a_checkpoint(app: Flask, lease: Lease) -> None:
    with (
        pytest.raises(WorkerStopping),
        Reporter(app, lease, get_storage(), lambda: True) as reporter,
    ):
        reporter.on_progress(make_progress(0.3))

    assert find(lease).checkpoint_attempt_id == lease.attempt_id
    stored = get_storage().read_checkpoint(lease.public_id, lease.attempt_id)
    assert stored == make_progress(0.3).checkpoint()


def test_a_painting_that_takes_too_long_is_stopped(app: Flask, lease: Lease) -> None:
    with (
        pytest.raises(TimeUp),
        Reporter(app, lease, get_storage(), lambda: False, max_seconds=1e-9) as reporter,
    ):
        reporter.on_progress(make_progress(0.3))


def test_an_idle_painting_thread_gives_heartbeats(app: Flask, lease: Lease) -> None:
    before = find(lease).heartbeat
    with Reporter(app, lease, get_storage(), lambda: False):
        wait_until(lambda: find(lease).heartbeat > before, 10, "a heartbeat is recorded")
