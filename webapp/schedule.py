"""Who is next, who has it, and what becomes of paintings whose worker died.

The rows are the truth. Every write of a worker names its attempt, so that one which was stopped,
superseded and continued later touches no row.
"""

import logging
import math
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from transfer.settings import Rendition
from webapp import queue
from webapp.extensions import db, writing
from webapp.models import Attempt, Outcome, Painting, RenditionFile, State, now

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=12)
"""A worker that has not renewed for this long is dead; it renews every `RENEW_EVERY_S`."""
RENEW_EVERY_S = 3.0
MAX_INTERRUPTIONS = 3
"""A painting that took this many workers down with it is not tried again."""
SHARE_DECAY = timedelta(hours=1)
"""Worker time this long ago counts 1/e."""
_SHARE_WINDOW = 6 * SHARE_DECAY
"""Older work counts less than 0.3 % and is not looked up."""


@dataclass(frozen=True)
class Claim:
    """One worker's right to work on one painting, until its lease runs out."""

    painting_id: int
    public_id: str
    attempt_id: str


@dataclass(frozen=True)
class Waiting:
    """A queued painting, as the order sees it."""

    painting_id: int
    user_id: int


@dataclass(frozen=True)
class Work:
    """Worker time that somebody used."""

    user_id: int
    seconds: float
    age_s: float
    """Since it ended."""


def usage(work: Iterable[Work]) -> dict[int, float]:
    """Worker seconds by user, recent ones counting more."""
    used: dict[int, float] = {}
    for item in work:
        weight = math.exp(-max(0.0, item.age_s) / SHARE_DECAY.total_seconds())
        used[item.user_id] = used.get(item.user_id, 0.0) + item.seconds * weight
    return used


def first_in_line(waiting: Sequence[Waiting], used: dict[int, float]) -> Waiting | None:
    """The painting that goes next: the least busy user's oldest.

    Args:
        waiting: queued paintings, oldest first.
        used: worker seconds by user; a user who is not in it used none.
    """
    return min(waiting, key=lambda item: used.get(item.user_id, 0.0), default=None)


def line(waiting: Sequence[Waiting], used: dict[int, float], seconds_each: float) -> list[Waiting]:
    """The order in which paintings will be taken if each takes ``seconds_each``."""
    left = list(waiting)
    used = dict(used)
    ordered = []
    while (following := first_in_line(left, used)) is not None:
        left.remove(following)
        ordered.append(following)
        used[following.user_id] = used.get(following.user_id, 0.0) + seconds_each
    return ordered


def ahead_of(painting: Painting) -> int:
    """How many queued paintings will be taken before this one."""
    ordered = line(_waiting(db.session()), _used(db.session(), now()), _usual_seconds())
    ids = [item.painting_id for item in ordered]
    return ids.index(painting.id) if painting.id in ids else 0


def claim(worker: str) -> Claim | None:
    """Take the next painting, or None if nothing waits."""
    moment = now()
    with writing() as database:
        following = first_in_line(_waiting(database), _used(database, moment))
        if following is None:
            return None
        attempt_id = uuid.uuid4().hex
        # The condition makes it a claim on any database: whoever changes the row has it.
        if not _changed(
            database.execute(
                update(Painting)
                .where(Painting.id == following.painting_id, Painting.state == State.QUEUED)
                .values(
                    state=State.RUNNING,
                    attempt_id=attempt_id,
                    lease_until=moment + LEASE,
                    started_at=moment,
                    finished_at=None,
                    progress=0.0,
                    failure=None,
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
            )
        )
        public_id = database.scalar(
            select(Painting.public_id).where(Painting.id == following.painting_id)
        )
    if public_id is None:
        raise LookupError(f"painting {following.painting_id} vanished while it was claimed")
    return Claim(following.painting_id, public_id, attempt_id)


def renew(claim: Claim) -> bool:
    """Keep the lease; False if the painting is no longer this attempt's."""
    with writing() as database:
        return _write(database, claim, lease_until=now() + LEASE)


@dataclass(frozen=True)
class Standing:
    """What a worker learns when it reports."""

    is_held: bool
    """Whether the painting is still this attempt's."""
    is_cancel_requested: bool


def report(claim: Claim, progress: float, *, has_new_preview: bool) -> Standing:
    """Store how far a painting is."""
    values: dict[str, object] = {"progress": progress, "lease_until": now() + LEASE}
    if has_new_preview:
        values["preview_version"] = Painting.preview_version + 1
    with writing() as database:
        is_held = _write(database, claim, **values)
        is_cancel_requested = database.scalar(
            select(Painting.is_cancel_requested).where(Painting.id == claim.painting_id)
        )
    return Standing(is_held, bool(is_cancel_requested))


def add_rendition(
    claim: Claim, kind: Rendition, width: int, height: int, *, is_unfinished: bool = False
) -> bool:
    """List a rendition whose files are stored; False if the painting is no longer ours."""
    with writing() as database:
        if not _write(database, claim, lease_until=now() + LEASE):
            return False
        database.execute(
            delete(RenditionFile).where(
                RenditionFile.painting_id == claim.painting_id, RenditionFile.kind == kind
            )
        )
        database.add(
            RenditionFile(
                painting_id=claim.painting_id,
                kind=kind,
                attempt_id=claim.attempt_id,
                width=width,
                height=height,
                is_unfinished=is_unfinished,
            )
        )
    return True


def finish(claim: Claim, state: State, failure: str | None = None) -> bool:
    """End a painting; False if it is no longer this attempt's."""
    moment = now()
    values: dict[str, object] = {"progress": 1.0} if state is State.DONE else {}
    with writing() as database:
        is_held = _write(
            database,
            claim,
            state=state,
            failure=failure,
            finished_at=moment,
            attempt_id=None,
            lease_until=None,
            interruptions=0,
            is_cancel_requested=False,
            **values,
        )
        _end_attempt(database, claim.attempt_id, Outcome(state.value), moment)
    return is_held


def hand_back(claim: Claim) -> None:
    """Return a painting to the queue because its worker was asked to stop."""
    with writing() as database:
        if _write(database, claim, **_BACK_IN_LINE):
            _end_attempt(database, claim.attempt_id, Outcome.RETURNED, now())


def interrupt(claim: Claim) -> None:
    """Record that an attempt broke off; the painting is tried again, up to a limit."""
    with writing() as database:
        painting = database.get(Painting, claim.painting_id)
        if painting is not None and painting.attempt_id == claim.attempt_id:
            _interrupt(database, painting)


def reconcile() -> None:
    """Free paintings whose worker died, and see that every queued one has a ticket."""
    with writing() as database:
        lost = database.scalars(
            select(Painting).where(Painting.state == State.RUNNING, Painting.lease_until < now())
        ).all()
        for painting in lost:
            logger.warning("painting %s: its worker is gone", painting.public_id)
            _interrupt(database, painting)
    waiting = db.session.scalar(
        select(func.count()).select_from(Painting).where(Painting.state == State.QUEUED)
    )
    db.session.rollback()
    if waiting:
        queue.top_up(waiting)


_BACK_IN_LINE = {
    "state": State.QUEUED,
    "attempt_id": None,
    "lease_until": None,
    "started_at": None,
    "progress": 0.0,
}


def _interrupt(database: Session, painting: Painting) -> None:
    moment = now()
    if painting.attempt_id is not None:
        _end_attempt(database, painting.attempt_id, Outcome.INTERRUPTED, moment)
    for name, value in _BACK_IN_LINE.items():
        setattr(painting, name, value)
    painting.interruptions += 1
    if painting.interruptions >= MAX_INTERRUPTIONS:
        painting.state = State.FAILED
        painting.finished_at = moment
        painting.interruptions = 0
        painting.failure = (
            f"The worker stopped {MAX_INTERRUPTIONS} times while painting this. "
            "It may need more memory than there is: try a smaller size."
        )


def _end_attempt(database: Session, attempt_id: str, outcome: Outcome, moment: datetime) -> None:
    database.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.ended_at.is_(None))
        .values(ended_at=moment, outcome=outcome)
    )


def _write(database: Session, claim: Claim, **values: object) -> bool:
    """The fence: change the painting only while this attempt holds it."""
    return _changed(
        database.execute(
            update(Painting)
            .where(Painting.id == claim.painting_id, Painting.attempt_id == claim.attempt_id)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
    )


def _changed(result: object) -> bool:
    assert isinstance(result, CursorResult)  # noqa: S101  what an UPDATE returns
    return result.rowcount == 1


def _waiting(database: Session) -> list[Waiting]:
    rows = database.execute(
        select(Painting.id, Painting.owner_id)
        .where(Painting.state == State.QUEUED)
        .order_by(Painting.queued_at, Painting.id)
    )
    return [Waiting(painting_id, user_id) for painting_id, user_id in rows]


def _used(database: Session, moment: datetime) -> dict[int, float]:
    rows = database.execute(
        select(Attempt.user_id, Attempt.started_at, Attempt.ended_at).where(
            (Attempt.ended_at > moment - _SHARE_WINDOW) | Attempt.ended_at.is_(None)
        )
    )
    return usage(
        Work(
            user_id,
            seconds=((ended_at or moment) - started_at).total_seconds(),
            age_s=(moment - (ended_at or moment)).total_seconds(),
        )
        for user_id, started_at, ended_at in rows
    )


def _usual_seconds() -> float:
    """How long a painting took lately; only decides whose turn follows whose."""
    rows = db.session.execute(
        select(Attempt.started_at, Attempt.ended_at)
        .where(Attempt.outcome == Outcome.DONE)
        .order_by(Attempt.ended_at.desc())
        .limit(20)
    )
    seconds = [(ended - started).total_seconds() for started, ended in rows if ended is not None]
    return sum(seconds) / len(seconds) if seconds else 60.0
