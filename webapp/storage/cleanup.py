"""Files that nobody needs any more: what attempts left that died, were superseded or cancelled."""

from datetime import timedelta

from sqlalchemy import select, update

from webapp.extensions import db, get_config, get_storage, write_transaction
from webapp.models import Painting, State, now
from webapp.storage.files import ANIMATION, OPTIMIZER

_LATELY = timedelta(days=1)


def delete_unlisted(painting_id: int, public_id: str) -> None:
    """Delete what a painting that is over does not list; nothing happens while it is not over."""
    storage = get_storage()
    painting = db.session.get(Painting, painting_id, populate_existing=True)
    is_over = painting is None or State(painting.state).is_final
    listed = [] if painting is None else [(m.kind, m.attempt_id) for m in painting.renditions]
    if painting is not None and painting.animation_attempt_id is not None:
        listed.append((ANIMATION, painting.animation_attempt_id))
    if painting is not None and painting.optimizer_attempt_id is not None:
        listed.append((OPTIMIZER, painting.optimizer_attempt_id))
    db.session.rollback()
    if painting is None:
        storage.remove_painting(public_id)
    elif is_over:
        storage.keep_only(public_id, listed)


def delete_unlisted_of_recent() -> None:
    """The same for all that ended lately: a worker may die between the end and the clearing."""
    rows = db.session.execute(
        select(Painting.id, Painting.public_id).where(Painting.finished_at > now() - _LATELY)
    ).all()
    for painting_id, public_id in rows:
        delete_unlisted(painting_id, public_id)


def evict_states() -> None:
    """Let go of what optimizers knew, of the oldest paintings first, beyond what may be kept.

    These paintings can be gone on from all the same: their images are kept.
    """
    storage = get_storage()
    room = get_config().max_optimizer_state_bytes
    kept = db.session.execute(
        select(
            Painting.id, Painting.public_id, Painting.optimizer_attempt_id, Painting.optimizer_bytes
        )
        .where(Painting.optimizer_attempt_id.is_not(None))
        .order_by(Painting.id.desc())
    ).all()
    db.session.rollback()
    too_many = []
    for row in kept:
        room -= row.optimizer_bytes or 0
        if room < 0:
            too_many.append(row)
    # Files first, otherwise than elsewhere: a row whose file is gone does no harm, and is found
    # again by the next call, while a file that no row names would stay for good.
    for row in too_many:
        storage.optimizer(row.public_id, row.optimizer_attempt_id).unlink(missing_ok=True)
    if too_many:
        with write_transaction() as database:
            database.execute(
                update(Painting)
                .where(
                    Painting.id.in_([row.id for row in too_many]),
                    Painting.optimizer_attempt_id.in_(
                        [row.optimizer_attempt_id for row in too_many]
                    ),
                )
                .values(optimizer_attempt_id=None, optimizer_bytes=None)
                .execution_options(synchronize_session=False)
            )
