"""Limits of what one person may have at once, and of the disk; each is said in a sentence."""

from flask import g
from sqlalchemy import func, select

from config import Config
from webapp.extensions import db, get_config, get_storage
from webapp.models import Painting, Picture, State


class LimitReached(Exception):
    """Refusal of an upload or order; the message is for the person who asked."""

    status = 429


class DiskNearlyFull(LimitReached):
    """Refusal because the space left on the disk is needed for what is already stored."""

    status = 507

    def __init__(self) -> None:
        super().__init__(
            "The disk of this site is nearly full, so nothing new is taken right now. "
            "Ask its owner to make room."
        )


class TooManyOpenPaintings(LimitReached):
    """Refusal because somebody has many paintings in the queue already."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} of your paintings are waiting already, which is as many as fit. "
            "Wait for one to finish, or cancel one."
        )


class TooManyPictures(LimitReached):
    """Refusal because somebody has uploaded very much."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"You have uploaded {limit:,} pictures, which is as many as fit. "
            "Use one that is here already, or ask the owner of the site."
        )


def check_upload() -> None:
    """Check that another picture may be uploaded.

    Raises:
        LimitReached: one of its children.
    """
    config = get_config()
    _check_disk(config)
    count = db.session.scalar(
        select(func.count()).select_from(Picture).where(Picture.owner_id == g.user.id)
    )
    if (count or 0) >= config.max_pictures:
        raise TooManyPictures(config.max_pictures)


def check_order() -> None:
    """Check that another painting may be ordered.

    Raises:
        LimitReached: one of its children.
    """
    config = get_config()
    _check_disk(config)
    is_open = Painting.state.in_([State.QUEUED, State.RUNNING])
    waiting = db.session.scalar(
        select(func.count()).select_from(Painting).where(Painting.owner_id == g.user.id, is_open)
    )
    if (waiting or 0) >= config.max_open_paintings:
        raise TooManyOpenPaintings(config.max_open_paintings)


def _check_disk(config: Config) -> None:
    storage = get_storage()
    if storage.free_bytes() < config.min_free_bytes:
        raise DiskNearlyFull
