"""What an attempt may write: every change names the attempt and touches nothing once it is over.

This is the fence that makes a doubled or superseded worker harmless: one that was stopped for a
minute, while another took over, finds that its writes change no row.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from transfer.settings import Rendition
from webapp.extensions import db, write_transaction
from webapp.models import Attempt, Outcome, Painting, RenditionFile, State, now

MAX_CRASHES = 3
"""A painting that took this many workers down with it is not tried again."""


@dataclass(frozen=True)
class Lease:
    """One worker's right to work on one painting, as long as it shows signs of life."""

    painting_id: int
    public_id: str
    attempt_id: str
    checkpoint_attempt_id: str | None = None
    """The earlier attempt whose checkpoint this one goes on from."""


@dataclass(frozen=True)
class LeaseStatus:
    """What a worker needs to know while it paints."""

    is_held: bool
    """Whether the painting is still this attempt's."""
    is_cancel_requested: bool


def lease_status(lease: Lease) -> LeaseStatus:
    """Look, without writing."""
    painting = db.session.get(Painting, lease.painting_id, populate_existing=True)
    found = LeaseStatus(
        is_held=painting is not None and painting.attempt_id == lease.attempt_id,
        is_cancel_requested=painting is not None and painting.is_cancel_requested,
    )
    db.session.rollback()
    return found


def heartbeat(lease: Lease) -> bool:
    """Give a sign of life; False if the painting is no longer this attempt's."""
    with write_transaction() as database:
        return _write(database, lease)


def report(
    lease: Lease, progress: float, *, has_new_preview: bool = False, has_checkpoint: bool = False
) -> bool:
    """Store how far a painting is; False if it is no longer this attempt's."""
    values: dict[str, object] = {"progress": progress}
    if has_new_preview:
        values["preview_version"] = Painting.preview_version + 1
    if has_checkpoint:
        values["checkpoint_attempt_id"] = lease.attempt_id
    with write_transaction() as database:
        return _write(database, lease, **values)


def add_rendition(
    lease: Lease, kind: Rendition, width: int, height: int, *, is_partial: bool = False
) -> bool:
    """List a rendition whose files are stored; False if the painting is no longer ours."""
    with write_transaction() as database:
        if not _write(database, lease):
            return False
        database.execute(
            delete(RenditionFile).where(
                RenditionFile.painting_id == lease.painting_id, RenditionFile.kind == kind
            )
        )
        database.add(
            RenditionFile(
                painting_id=lease.painting_id,
                kind=kind,
                attempt_id=lease.attempt_id,
                width=width,
                height=height,
                is_partial=is_partial,
            )
        )
    return True


def add_animation(lease: Lease) -> bool:
    """List the animation, which is stored; False if the painting is no longer ours."""
    with write_transaction() as database:
        return _write(database, lease, animation_attempt_id=lease.attempt_id)


def add_state(lease: Lease, size_bytes: int) -> bool:
    """List what the optimizer knew, which is stored; False if the painting is no longer ours."""
    with write_transaction() as database:
        return _write(
            database, lease, optimizer_attempt_id=lease.attempt_id, optimizer_bytes=size_bytes
        )


def finish(
    lease: Lease, state: State, failure_reason: str | None = None, peak_bytes: int | None = None
) -> bool:
    """End a painting, and note the memory that it took; False if it is no longer this attempt's."""
    moment = now()
    # What is not finished is not gone on from: its optimizer's state would only take room.
    values: dict[str, object] = (
        {"progress": 1.0}
        if state is State.DONE
        else {"optimizer_attempt_id": None, "optimizer_bytes": None}
    )
    with write_transaction() as database:
        is_held = _write(
            database,
            lease,
            state=state,
            failure_reason=failure_reason,
            finished_at=moment,
            attempt_id=None,
            checkpoint_attempt_id=None,
            crash_count=0,
            is_cancel_requested=False,
            **values,
        )
        _end(database, lease.attempt_id, Outcome(state.value), moment, peak_bytes)
    return is_held


def release(lease: Lease) -> None:
    """Return a painting to the line because its worker was asked to stop."""
    with write_transaction() as database:
        if _write(database, lease, state=State.QUEUED, attempt_id=None, started_at=None):
            _end(database, lease.attempt_id, Outcome.RETURNED, now())


def interrupt(lease: Lease) -> bool:
    """Record that an attempt broke off; the painting is tried again, up to a limit.

    Returns:
        False if somebody else had recorded it, or the attempt had ended, before.
    """
    with write_transaction() as database:
        painting = database.get(Painting, lease.painting_id)
        if painting is None or painting.attempt_id != lease.attempt_id:
            return False
        requeue_or_fail(database, painting)
    return True


def requeue_or_fail(database: Session, painting: Painting) -> None:
    """The same, inside a writing transaction that has checked whose painting it is."""
    moment = now()
    if painting.attempt_id is not None:
        _end(database, painting.attempt_id, Outcome.INTERRUPTED, moment)
    painting.attempt_id = None
    painting.started_at = None
    if painting.is_cancel_requested:
        # Its worker died before it could stop; nobody wants it painted.
        painting.state = State.CANCELLED
        painting.finished_at = moment
        painting.is_cancel_requested = False
        return
    painting.state = State.QUEUED
    painting.crash_count += 1
    if painting.crash_count >= MAX_CRASHES:
        painting.state = State.FAILED
        painting.finished_at = moment
        painting.crash_count = 0
        painting.checkpoint_attempt_id = None
        painting.failure_reason = (
            f"The worker stopped {MAX_CRASHES} times while painting this. "
            "It may need more memory than there is: try a smaller size."
        )


def changed_one(result: object) -> bool:
    """Whether an UPDATE changed exactly one row."""
    if not isinstance(result, CursorResult):
        raise TypeError(f"an UPDATE was expected, not {result!r}")
    return result.rowcount == 1


def _write(database: Session, lease: Lease, **values: object) -> bool:
    """Change the painting only while this attempt holds it."""
    return changed_one(
        database.execute(
            update(Painting)
            .where(Painting.id == lease.painting_id, Painting.attempt_id == lease.attempt_id)
            .values(heartbeat=Painting.heartbeat + 1, **values)
            .execution_options(synchronize_session=False)
        )
    )


def _end(
    database: Session,
    attempt_id: str,
    outcome: Outcome,
    moment: datetime,
    peak_bytes: int | None = None,
) -> None:
    database.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.ended_at.is_(None))
        .values(ended_at=moment, outcome=outcome, peak_bytes=peak_bytes)
    )
