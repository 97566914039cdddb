"""Heartbeats of worker processes, by which pages tell whether anybody paints."""

from datetime import timedelta

from sqlalchemy import delete, select

from webapp.extensions import db, write_transaction
from webapp.models import WorkerHeartbeat, now

HEARTBEAT_EVERY_S = 20.0
DEAD_AFTER_S = 48.0
"""Age of the last heartbeat from which a worker counts as dead: two missed ones, and some time for
a busy machine."""
_KEPT = timedelta(days=1)


def record_heartbeat(worker: str) -> None:
    """Record a heartbeat of a worker, and forget workers that ended long ago."""
    moment = now()
    with write_transaction() as database:
        known = database.get(WorkerHeartbeat, worker)
        if known is None:
            database.add(WorkerHeartbeat(name=worker, started_at=moment, seen_at=moment))
        else:
            known.seen_at = moment
        database.execute(delete(WorkerHeartbeat).where(WorkerHeartbeat.seen_at < moment - _KEPT))


def mark_stopped(worker: str) -> None:
    """Mark a worker as stopped, so that nobody waits for it."""
    with write_transaction() as database:
        known = database.get(WorkerHeartbeat, worker)
        if known is not None:
            known.is_stopped = True


def living_workers() -> list[WorkerHeartbeat]:
    """Return the workers whose last heartbeat is recent."""
    recent = now() - timedelta(seconds=DEAD_AFTER_S)
    return list(
        db.session.scalars(
            select(WorkerHeartbeat)
            .where(WorkerHeartbeat.seen_at > recent, WorkerHeartbeat.is_stopped.is_(False))
            .order_by(WorkerHeartbeat.started_at)
        )
    )
