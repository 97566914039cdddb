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
from webapp.extensions import db, writing
from webapp.models import Attempt, Outcome, Painting, RenditionFile, State, now

MAX_INTERRUPTIONS = 3
"""A painting that took this many workers down with it is not tried again."""


@dataclass(frozen=True)
class Claim:
    """One worker's right to work on one painting, as long as it shows signs of life."""

    painting_id: int
    public_id: str
    attempt_id: str
    checkpoint_id: str | None = None
    """The earlier attempt whose checkpoint this one goes on from."""


@dataclass(frozen=True)
class Standing:
    """What a worker needs to know while it paints."""

    is_held: bool
    """Whether the painting is still this attempt's."""
    is_cancel_requested: bool


def standing(claim: Claim) -> Standing:
    """Look, without writing."""
    painting = db.session.get(Painting, claim.painting_id, populate_existing=True)
    found = Standing(
        is_held=painting is not None and painting.attempt_id == claim.attempt_id,
        is_cancel_requested=painting is not None and painting.is_cancel_requested,
    )
    db.session.rollback()
    return found


def renew(claim: Claim) -> bool:
    """Give a sign of life; False if the painting is no longer this attempt's."""
    with writing() as database:
        return _write(database, claim)


def report(
    claim: Claim, progress: float, *, has_new_preview: bool = False, has_checkpoint: bool = False
) -> bool:
    """Store how far a painting is; False if it is no longer this attempt's."""
    values: dict[str, object] = {"progress": progress}
    if has_new_preview:
        values["preview_version"] = Painting.preview_version + 1
    if has_checkpoint:
        values["checkpoint_id"] = claim.attempt_id
    with writing() as database:
        return _write(database, claim, **values)


def add_rendition(
    claim: Claim, kind: Rendition, width: int, height: int, *, is_unfinished: bool = False
) -> bool:
    """List a rendition whose files are stored; False if the painting is no longer ours."""
    with writing() as database:
        if not _write(database, claim):
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


def add_animation(claim: Claim) -> bool:
    """List the animation, which is stored; False if the painting is no longer ours."""
    with writing() as database:
        return _write(database, claim, animation_id=claim.attempt_id)


def add_state(claim: Claim, size_bytes: int) -> bool:
    """List what the optimizer knew, which is stored; False if the painting is no longer ours."""
    with writing() as database:
        return _write(database, claim, state_id=claim.attempt_id, state_bytes=size_bytes)


def finish(
    claim: Claim, state: State, failure: str | None = None, peak_bytes: int | None = None
) -> bool:
    """End a painting, and note the memory that it took; False if it is no longer this attempt's."""
    moment = now()
    # What is not finished is not gone on from: its optimizer's state would only take room.
    values: dict[str, object] = (
        {"progress": 1.0} if state is State.DONE else {"state_id": None, "state_bytes": None}
    )
    with writing() as database:
        is_held = _write(
            database,
            claim,
            state=state,
            failure=failure,
            finished_at=moment,
            attempt_id=None,
            checkpoint_id=None,
            interruptions=0,
            is_cancel_requested=False,
            **values,
        )
        _end(database, claim.attempt_id, Outcome(state.value), moment, peak_bytes)
    return is_held


def hand_back(claim: Claim) -> None:
    """Return a painting to the line because its worker was asked to stop."""
    with writing() as database:
        if _write(database, claim, state=State.QUEUED, attempt_id=None, started_at=None):
            _end(database, claim.attempt_id, Outcome.RETURNED, now())


def interrupt(claim: Claim) -> bool:
    """Record that an attempt broke off; the painting is tried again, up to a limit.

    Returns:
        False if somebody else had recorded it, or the attempt had ended, before.
    """
    with writing() as database:
        painting = database.get(Painting, claim.painting_id)
        if painting is None or painting.attempt_id != claim.attempt_id:
            return False
        break_off(database, painting)
    return True


def break_off(database: Session, painting: Painting) -> None:
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
    painting.interruptions += 1
    if painting.interruptions >= MAX_INTERRUPTIONS:
        painting.state = State.FAILED
        painting.finished_at = moment
        painting.interruptions = 0
        painting.checkpoint_id = None
        painting.failure = (
            f"The worker stopped {MAX_INTERRUPTIONS} times while painting this. "
            "It may need more memory than there is: try a smaller size."
        )


def changed_one(result: object) -> bool:
    """Whether an UPDATE changed exactly one row."""
    if not isinstance(result, CursorResult):
        raise TypeError(f"an UPDATE was expected, not {result!r}")
    return result.rowcount == 1


def _write(database: Session, claim: Claim, **values: object) -> bool:
    """Change the painting only while this attempt holds it."""
    return changed_one(
        database.execute(
            update(Painting)
            .where(Painting.id == claim.painting_id, Painting.attempt_id == claim.attempt_id)
            .values(beat=Painting.beat + 1, **values)
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
