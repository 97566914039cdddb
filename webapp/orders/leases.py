"""Leases on paintings: every write names the attempt, and changes nothing once that is over.

This fence makes a duplicate or superseded worker harmless: one that was stopped for a minute, while
another took over, finds that its writes change no row.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from transfer.settings import Rendition
from webapp.extensions import db, get_config, write_transaction
from webapp.models import Attempt, Outcome, Painting, RenditionFile, State, now

LEASE_S = 8.0
"""Length of a lease: without a heartbeat for so long, a worker is dead and its painting freed."""
HEARTBEAT_EVERY_S = 2.0
"""Time between two heartbeats: a lease runs out after four that were missed."""


@dataclass(frozen=True)
class Lease:
    """Right of one worker to work on one painting, as long as it gives heartbeats."""

    painting_id: int
    public_id: str
    attempt_id: str
    checkpoint_attempt_id: str | None = None
    """Earlier attempt whose checkpoint this one resumes from."""


@dataclass(frozen=True)
class LeaseStatus:
    """State of a lease, as its worker has to know it while it paints."""

    is_held: bool
    """True while the painting is still this attempt's."""
    is_cancel_requested: bool


def lease_status(lease: Lease) -> LeaseStatus:
    """Return the state of a lease, without writing."""
    painting = db.session.get(Painting, lease.painting_id, populate_existing=True)
    status = LeaseStatus(
        is_held=painting is not None and painting.attempt_id == lease.attempt_id,
        is_cancel_requested=painting is not None and painting.is_cancel_requested,
    )
    db.session.rollback()
    return status


def heartbeat(lease: Lease) -> bool:
    """Record a heartbeat; return False if the painting is no longer this attempt's."""
    with write_transaction() as database:
        return _write(database, lease)


def report(
    lease: Lease, progress: float, *, has_new_preview: bool = False, has_checkpoint: bool = False
) -> bool:
    """Store the progress of a painting; return False if it is no longer this attempt's."""
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
    """List a rendition whose files are stored; return False if the lease is lost."""
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
    """List the animation, which is stored; return False if the lease is lost."""
    with write_transaction() as database:
        return _write(database, lease, animation_attempt_id=lease.attempt_id)


def add_state(lease: Lease, size_bytes: int) -> bool:
    """List the optimizer state, which is stored; return False if the lease is lost."""
    with write_transaction() as database:
        return _write(
            database, lease, optimizer_attempt_id=lease.attempt_id, optimizer_bytes=size_bytes
        )


def finish(
    lease: Lease, state: State, failure_reason: str | None = None, peak_bytes: int | None = None
) -> bool:
    """End a painting and note the memory that it took; return False if the lease is lost."""
    moment = now()
    # Only finished paintings are continued: the optimizer state of another would only take space.
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
    """Put a painting back into the queue because its worker was asked to stop."""
    with write_transaction() as database:
        if _write(database, lease, state=State.QUEUED, attempt_id=None, started_at=None):
            _end(database, lease.attempt_id, Outcome.RETURNED, now())


def interrupt(lease: Lease) -> bool:
    """Record that an attempt was interrupted; the painting is tried again, up to a limit.

    Returns:
        False if the attempt had ended before, or somebody else had recorded it.
    """
    with write_transaction() as database:
        painting = database.get(Painting, lease.painting_id)
        if painting is None or painting.attempt_id != lease.attempt_id:
            return False
        requeue_or_fail(database, painting)
    return True


def requeue_or_fail(database: Session, painting: Painting) -> None:
    """Put an interrupted painting back into the queue, or fail it after too many crashes.

    The writing transaction has checked that the painting is still held by the dead attempt.
    """
    moment = now()
    if painting.attempt_id is not None:
        _end(database, painting.attempt_id, Outcome.INTERRUPTED, moment)
    painting.attempt_id = None
    painting.started_at = None
    if painting.is_cancel_requested:
        # The worker died before it could stop; nobody wants the painting.
        painting.state = State.CANCELLED
        painting.finished_at = moment
        painting.is_cancel_requested = False
        return
    painting.state = State.QUEUED
    painting.crash_count += 1
    max_crashes = get_config().max_crashes
    if painting.crash_count >= max_crashes:
        painting.state = State.FAILED
        painting.finished_at = moment
        painting.crash_count = 0
        painting.checkpoint_attempt_id = None
        painting.failure_reason = (
            f"The worker stopped {max_crashes} times while painting this. "
            "It may need more memory than there is: try a smaller size."
        )


def changed_one(result: object) -> bool:
    """Return whether an UPDATE changed exactly one row."""
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
