"""Scheduler: fair shares of worker time, and the claim by which a worker takes a painting."""

import math
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from webapp.extensions import db, write_transaction
from webapp.models import Attempt, Painting, SiteFlag, State, now
from webapp.orders.leases import Lease, changed_one

SHARE_DECAY = timedelta(hours=1)
"""Age at which used worker time counts 1/e."""
_SHARE_WINDOW = 6 * SHARE_DECAY
"""Age from which used worker time, counting less than 0.3 %, is not looked up."""
PAUSE = "pause"
"""Name of the flag that keeps workers from taking new paintings."""


@dataclass(frozen=True)
class QueuedPainting:
    """Queued painting, as the scheduler needs it."""

    painting_id: int
    user_id: int
    seconds: float = 0.0
    """Time that it is expected to take; decides whose turn comes next."""


@dataclass(frozen=True)
class Usage:
    """Worker time that one person used."""

    user_id: int
    seconds: float
    age_s: float
    """Time since the work ended."""


def decayed_usage(work: Iterable[Usage]) -> dict[int, float]:
    """Return worker seconds by user, recent ones counting more."""
    used: dict[int, float] = {}
    for item in work:
        weight = math.exp(-max(0.0, item.age_s) / SHARE_DECAY.total_seconds())
        used[item.user_id] = used.get(item.user_id, 0.0) + item.seconds * weight
    return used


def next_painting(
    queued_paintings: Sequence[QueuedPainting], used: dict[int, float]
) -> QueuedPainting | None:
    """Return the painting that is next: the oldest of the user who used the least worker time.

    Args:
        queued_paintings: queued paintings, oldest first.
        used: worker seconds by user; a user who is not in it used none.
    """
    return min(queued_paintings, key=lambda item: used.get(item.user_id, 0.0), default=None)


def queue_order(
    queued_paintings: Sequence[QueuedPainting], used: dict[int, float]
) -> list[QueuedPainting]:
    """Return the paintings in the order in which they will be taken if forecasts hold."""
    # Users stay few while paintings may be many: one queue each keeps this linear.
    queues: dict[int, list[QueuedPainting]] = {}
    for item in reversed(queued_paintings):
        queues.setdefault(item.user_id, []).append(item)
    place = {item.painting_id: number for number, item in enumerate(queued_paintings)}
    used = dict(used)
    ordered = []
    while queues:
        heads = sorted((queue[-1] for queue in queues.values()), key=lambda i: place[i.painting_id])
        following = next_painting(heads, used)
        if following is None:
            break
        queues[following.user_id].pop()
        if not queues[following.user_id]:
            del queues[following.user_id]
        ordered.append(following)
        used[following.user_id] = used.get(following.user_id, 0.0) + following.seconds
    return ordered


def is_paused() -> bool:
    """Return whether workers are kept from taking new paintings."""
    return db.session.get(SiteFlag, PAUSE) is not None


def set_paused(*, paused: bool) -> None:
    """Keep workers from taking new paintings, or let them again; running ones go on."""
    with write_transaction() as database:
        flag = database.get(SiteFlag, PAUSE)
        if paused and flag is None:
            database.add(SiteFlag(name=PAUSE))
        elif not paused and flag is not None:
            database.delete(flag)


def claim(worker: str) -> Lease | None:
    """Lease the next painting; return None if nothing waits or the site is paused."""
    moment = now()
    with write_transaction() as database:
        if database.get(SiteFlag, PAUSE) is not None:
            return None
        following = next_painting(queued_paintings(database), recent_usage(database, moment))
        if following is None:
            return None
        attempt_id = uuid.uuid4().hex
        public_id, checkpoint_attempt_id, progress = database.execute(
            select(Painting.public_id, Painting.checkpoint_attempt_id, Painting.progress).where(
                Painting.id == following.painting_id
            )
        ).one()
        resumed_at = 0.0 if checkpoint_attempt_id is None else progress
        # The condition makes it a claim on any database: the worker that changes the row has it.
        if not changed_one(
            database.execute(
                update(Painting)
                .where(Painting.id == following.painting_id, Painting.state == State.QUEUED)
                .values(
                    state=State.RUNNING,
                    attempt_id=attempt_id,
                    heartbeat=Painting.heartbeat + 1,
                    started_at=moment,
                    finished_at=None,
                    failure_reason=None,
                    progress=resumed_at,
                    resume_progress=resumed_at,
                )
            )
        ):
            return None
        database.add(
            Attempt(
                id=attempt_id,
                painting_id=following.painting_id,
                user_id=following.user_id,
                worker=worker,
                started_at=moment,
                is_resumed=checkpoint_attempt_id is not None,
            )
        )
    return Lease(following.painting_id, public_id, attempt_id, checkpoint_attempt_id)


def queued_paintings(database: Session) -> list[QueuedPainting]:
    """Return the queued paintings, oldest first."""
    rows = database.execute(
        select(Painting.id, Painting.owner_id)
        .where(Painting.state == State.QUEUED)
        .order_by(Painting.queued_at, Painting.id)
    )
    return [QueuedPainting(painting_id, user_id) for painting_id, user_id in rows]


def recent_usage(database: Session, moment: datetime) -> dict[int, float]:
    """Return worker seconds by user, from the attempts of the last hours."""
    rows = database.execute(
        select(Attempt.user_id, Attempt.started_at, Attempt.ended_at).where(
            (Attempt.ended_at > moment - _SHARE_WINDOW) | Attempt.ended_at.is_(None)
        )
    )
    return decayed_usage(
        Usage(
            user_id,
            seconds=max(0.0, ((ended_at or moment) - started_at).total_seconds()),
            age_s=(moment - (ended_at or moment)).total_seconds(),
        )
        for user_id, started_at, ended_at in rows
    )
