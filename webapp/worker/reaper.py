"""Reaper of each worker process: heartbeats, paintings of dead workers, missing tickets.

A worker is dead when the heartbeat count of its painting has not grown for `LEASE_S` of the
reaper's own monotonic clock. Wall-clock times are not compared, so that setting the clock neither
frees a living worker's painting nor keeps a dead one's.
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
from webapp.orders.leases import LEASE_S, requeue_or_fail
from webapp.orders.purge import purge_expired
from webapp.orders.queue import QueueUnreachable
from webapp.orders.workers import HEARTBEAT_EVERY_S, record_heartbeat
from webapp.storage import cleanup

logger = logging.getLogger(__name__)

TICK_EVERY_S = 2.0
_STALE_AFTER_S = 3 * TICK_EVERY_S
"""Time without a tick after which the reaper forgets what it saw: it was stopped, or waited for the
database, and does not know what happened meanwhile."""
_LOCK_WAIT_S = 0.1
"""Longest wait for the write lock that does not mean that somebody held it."""
PURGE_EVERY_S = 3600.0


class Reaper:
    """Frees paintings of dead workers and issues missing tickets, every few seconds.

    Args:
        worker: name of this process in its heartbeats.
        clock: monotonic clock, in seconds.
    """

    def __init__(self, worker: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.worker = worker
        self._clock = clock
        self._heartbeats: dict[str, tuple[int, float]] = {}
        self._ticked_at = clock()
        self._heartbeat_at = -HEARTBEAT_EVERY_S
        # At once: the process before this one may have died before it deleted its files.
        self._purged_at = -PURGE_EVERY_S

    def tick(self) -> None:
        """Free paintings of dead workers, issue missing tickets, record a heartbeat.

        Raises:
            OperationalError: if the database cannot be used.
            QueueUnreachable: if Redis is down; everything else is done by then.
        """
        moment = self._clock()
        if moment - self._ticked_at > _STALE_AFTER_S:
            self._heartbeats.clear()
        self._ticked_at = moment
        for attempt_id in self._dead_attempts(moment):
            if not self._free(attempt_id):
                break
        if moment - self._heartbeat_at >= HEARTBEAT_EVERY_S:
            record_heartbeat(self.worker)
            self._heartbeat_at = moment
        if moment - self._purged_at >= PURGE_EVERY_S:
            purge_expired()
            cleanup.delete_unlisted_of_recent()
            cleanup.evict_states()
            self._purged_at = moment
        ensure_tickets()

    def _dead_attempts(self, moment: float) -> list[str]:
        """Return the attempts whose heartbeat count has not grown for long."""
        counts = {
            attempt_id: count
            for attempt_id, count in db.session.execute(
                select(Painting.attempt_id, Painting.heartbeat).where(
                    Painting.state == State.RUNNING
                )
            )
            if attempt_id is not None
        }
        db.session.rollback()
        self._heartbeats = {
            attempt_id: self._heartbeats[attempt_id]
            if self._heartbeats.get(attempt_id, (None, 0.0))[0] == count
            else (count, moment)
            for attempt_id, count in counts.items()
        }
        return [
            attempt_id
            for attempt_id, (_, since) in self._heartbeats.items()
            if moment - since >= LEASE_S
        ]

    def _free(self, attempt_id: str) -> bool:
        """Queue a dead worker's painting again; return False if this tick may free nothing."""
        count, _ = self._heartbeats[attempt_id]
        asked_at = self._clock()
        with write_transaction() as database:
            # A held write lock keeps the worker from its heartbeat as well: if it lives, it has
            # given one by the next tick.
            if self._clock() - asked_at > _LOCK_WAIT_S:
                return False
            painting = database.scalar(
                select(Painting).where(
                    Painting.attempt_id == attempt_id, Painting.heartbeat == count
                )
            )
            if painting is None:
                return True
            logger.warning("painting %s: its worker is dead", painting.public_id)
            requeue_or_fail(database, painting)
            ids = painting.id, painting.public_id
        cleanup.delete_unlisted(*ids)
        return True


def ensure_tickets() -> None:
    """Issue tickets until there is one for every queued painting.

    Raises:
        QueueUnreachable: if Redis is down.
    """
    waiting = db.session.scalar(
        select(func.count()).select_from(Painting).where(Painting.state == State.QUEUED)
    )
    db.session.rollback()
    if waiting:
        queue.ensure_tickets(waiting)


def run_reaper(app: Flask, reaper: Reaper, ended: threading.Event) -> None:
    """Tick every few seconds until ``ended`` is set; the body of the reaper's thread."""
    while True:
        with app.app_context():
            try:
                reaper.tick()
            except QueueUnreachable as error:
                logger.warning("tickets not checked, the queue cannot be reached: %s", error)
            except OSError as error:
                logger.warning("files not deleted: %s", error)
            except OperationalError as error:
                logger.warning("the database cannot be used: %s", error.orig)
        if ended.wait(TICK_EVERY_S):
            return
