"""The watchman of each worker process: signs of life, orphaned paintings, missing tickets.

Whether a worker lives is judged by its painting's beat: it is dead when the beat has not moved
for `DEAD_AFTER_S` of the watchman's own monotonic clock. Nothing compares wall-clock times, so
that setting the clock neither frees a living worker's painting nor keeps a dead one's.
"""

import logging
import threading
import time
from collections.abc import Callable

from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from webapp.extensions import db, write_transaction
from webapp.models import Painting, State
from webapp.orders import queue
from webapp.orders.leases import requeue_or_fail
from webapp.orders.purge import purge_expired
from webapp.orders.queue import QueueUnreachable
from webapp.orders.workers import SIGN_EVERY_S, record_heartbeat
from webapp.storage import cleanup

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
DEAD_AFTER_S = 8.0
"""Four missed beats: workers give one every `reporter.BEAT_EVERY_S`."""
_DISTRACTED_AFTER_S = 3 * LOOK_EVERY_S
"""A watchman that did not look for this long (it was stopped, or waited for the database) does
not know what happened meanwhile, and begins to watch anew."""
_LOCK_WAIT_S = 0.1
"""Longer waits for the write lock mean that somebody held it."""
PURGE_EVERY_S = 3600.0


class Reaper:
    """Looks after open paintings every few seconds; see the module's text.

    Args:
        worker: the name under which this process gives signs of life.
        clock: seconds that only grow.
    """

    def __init__(self, worker: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.worker = worker
        self._clock = clock
        self._beats: dict[str, tuple[int, float]] = {}
        self._looked_at = clock()
        self._signed_at = -SIGN_EVERY_S
        # At once: the process before this one may have died before it had cleared up.
        self._purged_at = -PURGE_EVERY_S

    def tick(self) -> None:
        """One round: free what the dead held, issue missing tickets, give a sign of life.

        Raises:
            OperationalError: if the database cannot be used.
            QueueUnreachable: if Redis is away; everything else was done then.
        """
        moment = self._clock()
        if moment - self._looked_at > _DISTRACTED_AFTER_S:
            self._beats.clear()
        self._looked_at = moment
        for attempt_id in self._dead(moment):
            if not self._free(attempt_id):
                break
        if moment - self._signed_at >= SIGN_EVERY_S:
            record_heartbeat(self.worker)
            self._signed_at = moment
        if moment - self._purged_at >= PURGE_EVERY_S:
            purge_expired()
            cleanup.delete_unlisted_of_recent()
            cleanup.evict_states()
            self._purged_at = moment
        ensure_tickets()

    def _dead(self, moment: float) -> list[str]:
        """Attempts whose beat has not moved for long."""
        beats = {
            attempt_id: beat
            for attempt_id, beat in db.session.execute(
                select(Painting.attempt_id, Painting.heartbeat).where(
                    Painting.state == State.RUNNING
                )
            )
            if attempt_id is not None
        }
        db.session.rollback()
        self._beats = {
            attempt_id: self._beats[attempt_id]
            if self._beats.get(attempt_id, (None, 0.0))[0] == beat
            else (beat, moment)
            for attempt_id, beat in beats.items()
        }
        return [
            attempt_id
            for attempt_id, (_, since) in self._beats.items()
            if moment - since >= DEAD_AFTER_S
        ]

    def _free(self, attempt_id: str) -> bool:
        """Put a painting back into the line; False if nothing may be freed in this round."""
        beat, _ = self._beats[attempt_id]
        asked_at = self._clock()
        with write_transaction() as database:
            # Whatever kept this watchman from writing kept the worker from beating as well: if it
            # lives, it has given a sign by the next look.
            if self._clock() - asked_at > _LOCK_WAIT_S:
                return False
            painting = database.scalar(
                select(Painting).where(
                    Painting.attempt_id == attempt_id, Painting.heartbeat == beat
                )
            )
            if painting is None:
                return True
            logger.warning("painting %s: its worker is gone", painting.public_id)
            requeue_or_fail(database, painting)
            found = painting.id, painting.public_id
        cleanup.delete_unlisted(*found)
        return True


def ensure_tickets() -> None:
    """See that there is a ticket for every queued painting.

    Raises:
        QueueUnreachable: if Redis is away.
    """
    waiting = db.session.scalar(
        select(func.count()).select_from(Painting).where(Painting.state == State.QUEUED)
    )
    db.session.rollback()
    if waiting:
        queue.ensure_tickets(waiting)


def run_reaper(app: Flask, reaper: Reaper, ended: threading.Event) -> None:
    """Look every few seconds until ``ended``; the body of the watchman's thread."""
    while True:
        with app.app_context():
            try:
                reaper.tick()
            except QueueUnreachable as error:
                logger.warning("tickets not checked, the queue cannot be reached: %s", error)
            except OSError as error:
                logger.warning("files not cleared up: %s", error)
            except OperationalError as error:
                logger.warning("the database cannot be used: %s", error.orig)
        if ended.wait(LOOK_EVERY_S):
            return
