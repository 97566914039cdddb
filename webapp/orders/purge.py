"""Removal of paintings for good: rows and files."""

from datetime import timedelta

from sqlalchemy import select

from webapp.extensions import db, get_config, get_storage, write_transaction
from webapp.models import Painting, now


def purge_expired() -> int:
    """Remove paintings that have been in the trash for longer than the configured days.

    Returns:
        Number of paintings removed.
    """
    limit = now() - timedelta(days=get_config().trash_days)
    ids = list(db.session.scalars(select(Painting.id).where(Painting.trashed_at < limit)))
    db.session.rollback()
    return delete_paintings(ids)


def delete_paintings(ids: list[int]) -> int:
    """Remove for good those of the paintings that are in the trash; return their number.

    Rows first: a file without a row wastes space, a row without its file breaks a page.
    """
    storage = get_storage()
    with write_transaction() as database:
        paintings = database.scalars(
            # Asked again under the lock: one may have been restored in the meantime.
            select(Painting).where(Painting.id.in_(ids), Painting.trashed_at.is_not(None))
        ).all()
        removed = [painting.public_id for painting in paintings]
        for painting in paintings:
            database.delete(painting)
    for public_id in removed:
        storage.remove_painting(public_id)
    return len(removed)
