"""Workers' signs of life, by which pages tell whether anybody paints."""

from datetime import timedelta

from sqlalchemy import delete, select

from webapp.extensions import db, writing
from webapp.models import WorkerSign, now

SIGN_EVERY_S = 20.0
GONE_AFTER_S = 48.0
"""Two missed signs, and some time for a busy machine."""
SIGNS_KEPT = timedelta(days=1)


def sign(worker: str) -> None:
    """Give a sign of life; forget workers that are long gone."""
    moment = now()
    with writing() as database:
        known = database.get(WorkerSign, worker)
        if known is None:
            database.add(WorkerSign(name=worker, started_at=moment, seen_at=moment))
        else:
            known.seen_at = moment
        database.execute(delete(WorkerSign).where(WorkerSign.seen_at < moment - SIGNS_KEPT))


def say_goodbye(worker: str) -> None:
    """Mark this worker as gone, so that nobody waits for it."""
    with writing() as database:
        known = database.get(WorkerSign, worker)
        if known is not None:
            known.is_gone = True


def living_workers() -> list[WorkerSign]:
    """Workers whose last sign of life is recent."""
    recent = now() - timedelta(seconds=GONE_AFTER_S)
    return list(
        db.session.scalars(
            select(WorkerSign)
            .where(WorkerSign.seen_at > recent, WorkerSign.is_gone.is_(False))
            .order_by(WorkerSign.started_at)
        )
    )
