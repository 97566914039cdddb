"""Who is next: fair shares of worker time, and the one claim that makes a painting a worker's."""

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
"""Worker time this long ago counts 1/e."""
_SHARE_WINDOW = 6 * SHARE_DECAY
"""Older work counts less than 0.3 % and is not looked up."""
PAUSE = "pause"
"""Name of the switch that keeps workers from taking new paintings."""


@dataclass(frozen=True)
class QueuedPainting:
    """A queued painting, as the order sees it."""

    painting_id: int
    user_id: int
    seconds: float = 0.0
    """How long it is expected to take; decides whose turn follows its own."""


@dataclass(frozen=True)
class Usage:
    """Worker time that somebody used."""

    user_id: int
    seconds: float
    age_s: float
    """Since it ended."""


def decayed_usage(work: Iterable[Usage]) -> dict[int, float]:
    """Worker seconds by user, recent ones counting more."""
    used: dict[int, float] = {}
    for item in work:
        weight = math.exp(-max(0.0, item.age_s) / SHARE_DECAY.total_seconds())
        used[item.user_id] = used.get(item.user_id, 0.0) + item.seconds * weight
    return used


def next_painting(
    queued_paintings: Sequence[QueuedPainting], used: dict[int, float]
) -> QueuedPainting | None:
    """The painting that goes next: the least busy user's oldest.

    Args:
        queued_paintings: queued paintings, oldest first.
        used: worker seconds by user; a user who is not in it used none.
    """
    return min(queued_paintings, key=lambda item: used.get(item.user_id, 0.0), default=None)


def queue_order(
    queued_paintings: Sequence[QueuedPainting], used: dict[int, float]
) -> list[QueuedPainting]:
    """The order in which paintings will be taken if each takes as long as expected."""
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
    """Whether workers take no new paintings."""
    return db.session.get(SiteFlag, PAUSE) is not None


def set_paused(*, paused: bool) -> None:
    """Keep workers from taking new paintings, or let them again; running ones go on."""
    with write_transaction() as database:
        switch = database.get(SiteFlag, PAUSE)
        if paused and switch is None:
            database.add(SiteFlag(name=PAUSE))
        elif not paused and switch is not None:
            database.delete(switch)


def claim(worker: str) -> Lease | None:
    """Take the next painting, or None if nothing waits or the site is paused."""
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
        # The condition makes it a claim on any database: whoever changes the row has it.
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
    """Queued paintings, oldest first."""
    rows = database.execute(
        select(Painting.id, Painting.owner_id)
        .where(Painting.state == State.QUEUED)
        .order_by(Painting.queued_at, Painting.id)
    )
    return [QueuedPainting(painting_id, user_id) for painting_id, user_id in rows]


def recent_usage(database: Session, moment: datetime) -> dict[int, float]:
    """Worker seconds by user, from the attempts of the last hours."""
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
