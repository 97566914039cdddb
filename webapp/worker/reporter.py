"""What a running painting tells the world, off the painting's own thread.

The painting thread only hands over what it has; this one encodes, writes and commits. So a slow
disk or a locked database delays previews, never the painting.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from flask import Flask
from PIL import Image
from sqlalchemy.exc import OperationalError

from transfer.engine import Progress
from transfer.errors import Cancelled
from webapp.orders import leases
from webapp.orders.leases import Lease
from webapp.storage.encoding import encode
from webapp.storage.files import Storage

logger = logging.getLogger(__name__)

BEAT_EVERY_S = 2.0
REPORT_EVERY_S = 1.0
"""Progress and a preview are stored at most this often."""
CHECKPOINT_EVERY_S = 3.0
"""What a worker's death can cost at least, besides the time to notice it."""
_CHECKPOINT_EVERY_MOST_S = 30.0
_CHECKPOINT_SHARE = 0.03
"""Of the painting's time that checkpoints may take; where they are large, they become rarer."""
_WRITING_SHARE = 0.3
"""Of the disk's time that they may take."""
LOOK_EVERY_S = 0.25
"""How soon a request to cancel is seen."""
PREVIEW_EDGE_PX = 320


class CancelRequested(Cancelled):
    """The owner asked for it."""


class Superseded(Cancelled):
    """Somebody else has the painting now."""


class WorkerStopping(Cancelled):
    """The worker is asked to end."""


class TimeUp(Cancelled):
    """The painting takes longer than a painting may."""


@dataclass(frozen=True)
class _News:
    """What the painting thread hands over."""

    progress: float
    preview: Image.Image
    checkpoint: bytes | None


class Reporter:
    """Keeps an attempt's signs of life going and stores its progress, in a thread of its own.

    Args:
        app: gives the thread its context.
        lease: whose painting it is.
        storage: where previews and checkpoints go.
        is_stopping: whether this process has been asked to end.
        max_seconds: how long the painting may take; 0: no limit.
    """

    def __init__(
        self,
        app: Flask,
        lease: Lease,
        storage: Storage,
        is_stopping: Callable[[], bool],
        max_seconds: float = 0.0,
    ) -> None:
        self._app = app
        self._lease = lease
        self._storage = storage
        self._is_stopping = is_stopping
        self._max_seconds = max_seconds
        self._began_at = time.monotonic()
        self._reported_at = self._checkpointed_at = -CHECKPOINT_EVERY_S
        self._checkpoint_every_s = CHECKPOINT_EVERY_S
        self._writing_s = 0.0
        self._beaten_at = time.monotonic()
        self._news: _News | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_lost = threading.Event()
        self._is_cancel_requested = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"reporter-{lease.attempt_id[:8]}", daemon=True
        )
        self.latest: Progress | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def on_progress(self, progress: Progress) -> None:
        """Called by the painting after each evaluation.

        Raises:
            Cancelled: one of its children, if the painting is to stop.
        """
        self.latest = progress
        if self._is_lost.is_set():
            raise Superseded
        moment = time.monotonic()
        if self._is_cancel_requested.is_set():
            raise CancelRequested
        if self._is_stopping():
            # The next attempt, here or elsewhere, goes on from exactly this point.
            self._hand_over(progress, moment, has_checkpoint=True)
            raise WorkerStopping
        if self._max_seconds and moment - self._began_at > self._max_seconds:
            raise TimeUp
        if moment - self._reported_at >= REPORT_EVERY_S:
            is_due = moment - self._checkpointed_at >= self._checkpoint_every_s
            self._hand_over(progress, moment, has_checkpoint=is_due)

    def _hand_over(self, progress: Progress, moment: float, *, has_checkpoint: bool) -> None:
        self._reported_at = moment
        checkpoint = None
        if has_checkpoint:
            self._checkpointed_at = moment
            began = time.monotonic()
            try:
                checkpoint = progress.checkpoint()
            except MemoryError:
                logger.warning("painting %s: no room for a checkpoint", self._lease.public_id)
            making_s = time.monotonic() - began
            wanted_s = max(making_s / _CHECKPOINT_SHARE, self._writing_s / _WRITING_SHARE)
            self._checkpoint_every_s = min(
                max(CHECKPOINT_EVERY_S, wanted_s), _CHECKPOINT_EVERY_MOST_S
            )
        news = _News(progress.fraction, progress.preview(PREVIEW_EDGE_PX), checkpoint)
        with self._lock:
            if self._news is not None and news.checkpoint is None:
                # A checkpoint that is still waiting to be written is not dropped.
                news = _News(news.progress, news.preview, self._news.checkpoint)
            self._news = news

    def _run(self) -> None:
        while True:
            is_last = self._ended.wait(LOOK_EVERY_S)
            with self._lock:
                news, self._news = self._news, None
            with self._app.app_context():
                try:
                    if news is not None:
                        self._store(news)
                        self._beaten_at = time.monotonic()
                    elif not self._heartbeat():
                        self._check_lease()
                except OperationalError as error:
                    logger.warning("painting %s: not reported: %s", self._lease.public_id, error)
                except OSError as error:
                    # The painting itself may still be stored: room may be made until then.
                    logger.warning("painting %s: not stored: %s", self._lease.public_id, error)
            if is_last:
                return

    def _heartbeat(self) -> bool:
        """Give a sign of life if it is time for one; whether it was."""
        if time.monotonic() - self._beaten_at < BEAT_EVERY_S:
            return False
        self._beaten_at = time.monotonic()
        if not leases.heartbeat(self._lease):
            self._is_lost.set()
        return True

    def _check_lease(self) -> None:
        found = leases.lease_status(self._lease)
        if not found.is_held:
            self._is_lost.set()
        if found.is_cancel_requested:
            self._is_cancel_requested.set()

    def _store(self, news: _News) -> None:
        public_id = self._lease.public_id
        if not leases.lease_status(self._lease).is_held:
            # This process may have been stopped for a minute: the files are another's now.
            self._is_lost.set()
            return
        preview = encode(news.preview, "JPEG", quality=85)
        self._storage.write(self._storage.preview(public_id), preview)
        if news.checkpoint is not None:
            path = self._storage.checkpoint(public_id, self._lease.attempt_id)
            began = time.monotonic()
            # A large one on a slow disk takes longer than others wait for a sign of life.
            self._storage.write(path, news.checkpoint, self._heartbeat)
            self._writing_s = time.monotonic() - began
        is_held = leases.report(
            self._lease,
            news.progress,
            has_new_preview=True,
            has_checkpoint=news.checkpoint is not None,
        )
        if not is_held:
            self._is_lost.set()
