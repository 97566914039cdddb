"""Workers' signs of life, by which pages tell whether anybody paints."""

from datetime import timedelta

from sqlalchemy import delete, select

from webapp.extensions import db, write_transaction
from webapp.models import WorkerHeartbeat, now

SIGN_EVERY_S = 20.0
GONE_AFTER_S = 48.0
"""Two missed signs, and some time for a busy machine."""
SIGNS_KEPT = timedelta(days=1)


def record_heartbeat(worker: str) -> None:
    """Give a sign of life; forget workers that are long gone."""
    moment = now()
    with write_transaction() as database:
        known = database.get(WorkerHeartbeat, worker)
        if known is None:
            database.add(WorkerHeartbeat(name=worker, started_at=moment, seen_at=moment))
        else:
            known.seen_at = moment
        database.execute(
            delete(WorkerHeartbeat).where(WorkerHeartbeat.seen_at < moment - SIGNS_KEPT)
        )


def mark_stopped(worker: str) -> None:
    """Mark this worker as gone, so that nobody waits for it."""
    with write_transaction() as database:
        known = database.get(WorkerHeartbeat, worker)
        if known is not None:
            known.is_stopped = True


def living_workers() -> list[WorkerHeartbeat]:
    """Workers whose last sign of life is recent."""
    recent = now() - timedelta(seconds=GONE_AFTER_S)
    return list(
        db.session.scalars(
            select(WorkerHeartbeat)
            .where(WorkerHeartbeat.seen_at > recent, WorkerHeartbeat.is_stopped.is_(False))
            .order_by(WorkerHeartbeat.started_at)
        )
    )
