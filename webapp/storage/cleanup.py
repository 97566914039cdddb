"""Removal of files that no row names: leftovers of dead, superseded and cancelled attempts."""

from datetime import timedelta

from sqlalchemy import select, update

from webapp.extensions import db, get_config, get_storage, write_transaction
from webapp.models import Painting, State, now
from webapp.storage.files import ANIMATION, OPTIMIZER

_LATELY = timedelta(days=1)


def delete_unlisted(painting_id: int, public_id: str) -> None:
    """Delete the unlisted files of a finished or removed painting; an open one keeps all."""
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
    """Delete the unlisted files of paintings that ended lately: a worker may die before it does."""
    rows = db.session.execute(
        select(Painting.id, Painting.public_id).where(Painting.finished_at > now() - _LATELY)
    ).all()
    for painting_id, public_id in rows:
        delete_unlisted(painting_id, public_id)


def evict_states() -> None:
    """Delete the optimizer states of the oldest paintings, beyond the configured total size.

    These paintings can be continued all the same: their images are kept.
    """
    storage = get_storage()
    space = get_config().max_optimizer_state_bytes
    rows = db.session.execute(
        select(
            Painting.id, Painting.public_id, Painting.optimizer_attempt_id, Painting.optimizer_bytes
        )
        .where(Painting.optimizer_attempt_id.is_not(None))
        .order_by(Painting.id.desc())
    ).all()
    db.session.rollback()
    too_many = []
    for row in rows:
        space -= row.optimizer_bytes or 0
        if space < 0:
            too_many.append(row)
    # Files first, unlike elsewhere: a row without its file does no harm, and the next call finds
    # it again, while a file that no row names would stay for good.
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
