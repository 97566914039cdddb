"""What the worker runs: one painting, from its claim to its stored renditions."""

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flask import current_app
from PIL import Image

from transfer.engine import Progress, Studio
from transfer.errors import Cancelled, TransferError
from transfer.settings import Backbone, Rendition, Settings
from webapp import schedule
from webapp.extensions import db
from webapp.intake import encoded
from webapp.models import Painting, State
from webapp.schedule import RENEW_EVERY_S, Claim
from webapp.storage import THUMBNAIL_EDGES_PX, Storage

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0
"""Progress and a preview are stored at most this often."""
PREVIEW_EDGE_PX = 320
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}

stop_requested = threading.Event()
"""Set when this process is asked to end: the running painting goes back into the queue."""

_engine: Studio | None = None


class CancelRequested(Cancelled):
    """The owner asked for it."""


class Superseded(Cancelled):
    """The lease was lost; somebody else has the painting now."""


class StopRequested(Cancelled):
    """The worker is asked to end."""


def warm_up() -> Studio:
    """This process's engine, with its weights in memory; made by the first call."""
    global _engine
    if _engine is None:
        _engine = Studio(threads=current_app.config["PIC2PAINT"].threads)
        for name in (Backbone.COMPACT, Backbone.VGG19):
            _engine.backbone(name)
    return _engine


def paint_next() -> None:
    """Claim the painting whose turn it is, and paint it; nothing happens if none waits."""
    claim = schedule.claim(worker=f"{socket.gethostname()}:{os.getpid()}"[:80])
    if claim is None:
        return
    started = time.monotonic()
    logger.info("painting %s: attempt %s begins", claim.public_id, claim.attempt_id)
    try:
        with _kept_lease(claim) as lost:
            outcome = _paint(claim, lost)
    except BaseException:
        # Whatever it was, it is not known to be the painting's fault: it is tried again.
        logger.exception("painting %s: attempt broke off", claim.public_id)
        schedule.interrupt(claim)
        raise
    seconds = time.monotonic() - started
    logger.info("painting %s: %s after %.1f s", claim.public_id, outcome, seconds)


def _paint(claim: Claim, lost: threading.Event) -> str:
    storage: Storage = current_app.extensions["pic2paint-storage"]
    watcher = _Watcher(claim, storage, lost)
    try:
        content, styles, settings = _load(claim, storage)
        warm_up().paint(
            content,
            styles,
            settings,
            on_progress=watcher.on_progress,
            on_rendition=watcher.on_rendition,
        )
    except Superseded:
        return "superseded"
    except StopRequested:
        schedule.hand_back(claim)
        return "handed back"
    except CancelRequested:
        watcher.keep_unfinished()
        return _finished(claim, storage, State.CANCELLED)
    except TransferError as error:
        return _finished(claim, storage, State.FAILED, str(error))
    except MemoryError:
        return _finished(
            claim,
            storage,
            State.FAILED,
            "There was not enough memory for this painting. Try a smaller size.",
        )
    except OSError as error:
        logger.exception("painting %s: a file could not be read or written", claim.public_id)
        return _finished(claim, storage, State.FAILED, _file_trouble(error))
    return _finished(claim, storage, State.DONE)


def _load(claim: Claim, storage: Storage) -> tuple[Image.Image, list[Image.Image], Settings]:
    painting = db.session.get_one(Painting, claim.painting_id)
    content = _opened(storage, painting.content.public_id)
    styles = [_opened(storage, style.public_id) for style in painting.styles]
    settings = painting.settings
    # Painting takes a minute; a read transaction open for as long would hold back SQLite's
    # checkpoints.
    db.session.rollback()
    return content, styles, settings


def _opened(storage: Storage, picture_id: str) -> Image.Image:
    with Image.open(storage.picture(picture_id), formats=("JPEG",)) as image:
        return image.convert("RGB")


def _finished(claim: Claim, storage: Storage, state: State, failure: str | None = None) -> str:
    if not schedule.finish(claim, state, failure):
        return "superseded"
    painting = db.session.get_one(Painting, claim.painting_id)
    kept = {rendition.attempt_id for rendition in painting.renditions}
    db.session.rollback()
    storage.keep_only(claim.public_id, kept)
    return state.value


def _file_trouble(error: OSError) -> str:
    if error.errno in _FULL_DISK:
        return "The disk is full. Ask the owner of the site to make room, then try again."
    if isinstance(error, FileNotFoundError):
        return "One of its pictures is no longer there. Upload it again."
    return "A file could not be read or written. The owner of the site finds details in the log."


@contextmanager
def _kept_lease(claim: Claim) -> Iterator[threading.Event]:
    """Renew the lease from a thread while the body runs; the event says that it was lost.

    A thread, because the optimization's callback may be far apart on a large picture.
    """
    application = current_app._get_current_object()  # type: ignore[attr-defined]
    ended, lost = threading.Event(), threading.Event()

    def keep() -> None:
        while not ended.wait(RENEW_EVERY_S):
            with application.app_context():
                try:
                    if not schedule.renew(claim):
                        lost.set()
                        return
                except db.sa_exc.OperationalError:
                    logger.warning("painting %s: lease not renewed", claim.public_id)

    thread = threading.Thread(target=keep, name=f"lease-{claim.attempt_id[:8]}", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        ended.set()
        thread.join()


@dataclass
class _Watcher:
    """Carries what happens in the engine to the row and the files."""

    claim: Claim
    storage: Storage
    lost: threading.Event
    reported_at: float = field(default=-REPORT_EVERY_S, init=False)
    latest: Progress | None = field(default=None, init=False)

    def on_progress(self, progress: Progress) -> None:
        """Stop if asked to; report if it is time."""
        self.latest = progress
        if self.lost.is_set():
            raise Superseded
        if stop_requested.is_set():
            raise StopRequested
        if time.monotonic() - self.reported_at < REPORT_EVERY_S:
            return
        preview = encoded(progress.preview(PREVIEW_EDGE_PX), "JPEG", quality=85)
        self.storage.write(self.storage.preview(self.claim.public_id), preview)
        standing = schedule.report(self.claim, progress.fraction, has_new_preview=True)
        self.reported_at = time.monotonic()
        if not standing.is_held:
            raise Superseded
        if standing.is_cancel_requested:
            raise CancelRequested

    def on_rendition(
        self, kind: Rendition, image: Image.Image, *, is_unfinished: bool = False
    ) -> None:
        """Store a rendition with its thumbnails, then list it."""
        painting_id, attempt_id = self.claim.public_id, self.claim.attempt_id
        # Level 1 takes a fifth of the default's time for files 17 % larger (2048 px: 0.37 s).
        full = encoded(image, "PNG", compress_level=1)
        self.storage.write(self.storage.rendition(painting_id, kind, attempt_id), full)
        for edge_px in THUMBNAIL_EDGES_PX:
            small = image.copy()
            small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
            path = self.storage.rendition_thumbnail(painting_id, kind, attempt_id, edge_px)
            self.storage.write(path, encoded(small, "WEBP", quality=82, method=4))
        if not schedule.add_rendition(
            self.claim, kind, image.width, image.height, is_unfinished=is_unfinished
        ):
            raise Superseded

    def keep_unfinished(self) -> None:
        """List the image so far as an unfinished rendition."""
        if self.latest is not None:
            image = self.latest.preview(self.latest.long_edge_px)
            self.on_rendition(self.latest.rendition, image, is_unfinished=True)
