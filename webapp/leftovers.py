"""Files that nobody needs any more: what attempts left that died, were superseded or cancelled."""

from datetime import timedelta

from flask import current_app
from sqlalchemy import select

from webapp.extensions import db
from webapp.models import Painting, State, now
from webapp.storage import ANIMATION, Storage

_LATELY = timedelta(days=1)


def clear(painting_id: int, public_id: str) -> None:
    """Delete what a painting that is over does not list; nothing happens while it is not over."""
    storage: Storage = current_app.extensions["pic2paint-storage"]
    painting = db.session.get(Painting, painting_id, populate_existing=True)
    is_over = painting is None or State(painting.state).is_final
    listed = [] if painting is None else [(m.kind, m.attempt_id) for m in painting.renditions]
    if painting is not None and painting.animation_id is not None:
        listed.append((ANIMATION, painting.animation_id))
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
