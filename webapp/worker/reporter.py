"""Reporter thread of a running painting: progress, previews, checkpoints, heartbeats.

The painting thread only hands over its data; the reporter encodes, writes and commits. So a slow
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
from webapp.orders.leases import HEARTBEAT_EVERY_S, Lease
from webapp.storage.files import Storage
from webapp.worker.preview import PREVIEW_EDGE_PX, encode_preview

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0
"""Shortest time between two stored previews."""
CHECKPOINT_EVERY_S = 3.0
"""Shortest time between two checkpoints: a worker's death can cost as much."""
_CHECKPOINT_EVERY_MOST_S = 30.0
_CHECKPOINT_SHARE = 0.03
"""Share of the painting's time that checkpoints may take; large ones become rarer."""
_WRITING_SHARE = 0.3
"""Share of the disk's time that checkpoints may take."""
LOOK_EVERY_S = 0.25
"""Time between two looks at the row: a request to cancel is noticed within it."""


class CancelRequested(Cancelled):
    """The painting's owner has cancelled it."""


class Superseded(Cancelled):
    """Another attempt has the painting now."""


class WorkerStopping(Cancelled):
    """The worker has been asked to end."""


class TimeUp(Cancelled):
    """The painting has taken longer than the site allows."""


@dataclass(frozen=True)
class _Report:
    """Data that the painting thread hands over."""

    progress: float
    preview: Image.Image
    checkpoint: bytes | None


class Reporter:
    """Gives an attempt's heartbeats and stores its progress, in a thread of its own.

    Args:
        app: application that gives the thread its context.
        lease: lease on the painting.
        storage: store of previews and checkpoints.
        is_stopping: returns whether this process has been asked to end.
        max_seconds: longest time of the painting; 0: no limit.
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
        self._heartbeat_at = time.monotonic()
        self._waiting: _Report | None = None
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
        """Take the state after an evaluation; the painting thread calls this.

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
            # The next attempt, here or elsewhere, resumes at exactly this point.
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
                logger.warning(
                    "painting %s: not enough memory for a checkpoint", self._lease.public_id
                )
            encoding_s = time.monotonic() - began
            wanted_s = max(encoding_s / _CHECKPOINT_SHARE, self._writing_s / _WRITING_SHARE)
            self._checkpoint_every_s = min(
                max(CHECKPOINT_EVERY_S, wanted_s), _CHECKPOINT_EVERY_MOST_S
            )
        report = _Report(progress.fraction, progress.preview(PREVIEW_EDGE_PX), checkpoint)
        with self._lock:
            if self._waiting is not None and report.checkpoint is None:
                # A checkpoint that is still waiting to be written is not dropped.
                report = _Report(report.progress, report.preview, self._waiting.checkpoint)
            self._waiting = report

    def _run(self) -> None:
        while True:
            is_last = self._ended.wait(LOOK_EVERY_S)
            with self._lock:
                report, self._waiting = self._waiting, None
            with self._app.app_context():
                try:
                    if report is not None:
                        self._store(report)
                        self._heartbeat_at = time.monotonic()
                    elif not self._heartbeat():
                        self._check_lease()
                except OperationalError as error:
                    logger.warning("painting %s: not reported: %s", self._lease.public_id, error)
                except OSError as error:
                    # The painting itself may still be stored: there may be space again by then.
                    logger.warning("painting %s: not stored: %s", self._lease.public_id, error)
            if is_last:
                return

    def _heartbeat(self) -> bool:
        """Record a heartbeat if it is time for one; return whether it was."""
        if time.monotonic() - self._heartbeat_at < HEARTBEAT_EVERY_S:
            return False
        self._heartbeat_at = time.monotonic()
        if not leases.heartbeat(self._lease):
            self._is_lost.set()
        return True

    def _check_lease(self) -> None:
        status = leases.lease_status(self._lease)
        if not status.is_held:
            self._is_lost.set()
        if status.is_cancel_requested:
            self._is_cancel_requested.set()

    def _store(self, report: _Report) -> None:
        public_id = self._lease.public_id
        if not leases.lease_status(self._lease).is_held:
            # This process may have been stopped for a minute: the files are another attempt's now.
            self._is_lost.set()
            return
        preview = encode_preview(report.preview)
        self._storage.write(self._storage.preview(public_id), preview)
        if report.checkpoint is not None:
            path = self._storage.checkpoint(public_id, self._lease.attempt_id)
            began = time.monotonic()
            # A large one on a slow disk takes longer than others wait for a heartbeat.
            self._storage.write(path, report.checkpoint, self._heartbeat)
            self._writing_s = time.monotonic() - began
        is_held = leases.report(
            self._lease,
            report.progress,
            has_new_preview=True,
            has_checkpoint=report.checkpoint is not None,
        )
        if not is_held:
            self._is_lost.set()
