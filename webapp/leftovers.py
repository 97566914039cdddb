"""Files that nobody needs any more: what attempts left that died, were superseded or cancelled."""

from datetime import timedelta

from sqlalchemy import select, update

from webapp.extensions import db, get_config, get_storage, writing
from webapp.models import Painting, State, now
from webapp.storage import ANIMATION, OPTIMIZER

_LATELY = timedelta(days=1)


def clear(painting_id: int, public_id: str) -> None:
    """Delete what a painting that is over does not list; nothing happens while it is not over."""
    storage = get_storage()
    painting = db.session.get(Painting, painting_id, populate_existing=True)
    is_over = painting is None or State(painting.state).is_final
    listed = [] if painting is None else [(m.kind, m.attempt_id) for m in painting.renditions]
    if painting is not None and painting.animation_id is not None:
        listed.append((ANIMATION, painting.animation_id))
    if painting is not None and painting.state_id is not None:
        listed.append((OPTIMIZER, painting.state_id))
    db.session.rollback()
    if painting is None:
        storage.remove_painting(public_id)
    elif is_over:
        storage.keep_only(public_id, listed)


def clear_lately_ended() -> None:
    """The same for all that ended lately: a worker may die between the end and the clearing."""
    rows = db.session.execute(
        select(Painting.id, Painting.public_id).where(Painting.finished_at > now() - _LATELY)
    ).all()
    for painting_id, public_id in rows:
        clear(painting_id, public_id)


def make_room() -> None:
    """Let go of what optimizers knew, of the oldest paintings first, beyond what may be kept.

    These paintings can be gone on from all the same: their images are kept.
    """
    storage = get_storage()
    room = get_config().max_states_bytes
    kept = db.session.execute(
        select(Painting.id, Painting.public_id, Painting.state_id, Painting.state_bytes)
        .where(Painting.state_id.is_not(None))
        .order_by(Painting.id.desc())
    ).all()
    db.session.rollback()
    too_many = []
    for row in kept:
        room -= row.state_bytes or 0
        if room < 0:
            too_many.append(row)
    # Files first, otherwise than elsewhere: a row whose file is gone does no harm, and is found
    # again by the next call, while a file that no row names would stay for good.
    for row in too_many:
        storage.optimizer(row.public_id, row.state_id).unlink(missing_ok=True)
    if too_many:
        with writing() as database:
            database.execute(
                update(Painting)
                .where(
                    Painting.id.in_([row.id for row in too_many]),
                    Painting.state_id.in_([row.state_id for row in too_many]),
                )
                .values(state_id=None, state_bytes=None)
                .execution_options(synchronize_session=False)
            )
