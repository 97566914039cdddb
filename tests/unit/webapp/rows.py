"""Database rows, made directly, for tests of the queue and the schedule."""

from sqlalchemy import select

from webapp.extensions import db, write_transaction
from webapp.models import Painting, PaintingStyle, Picture, User, new_public_id


def make_user(name: str) -> int:
    with write_transaction() as database:
        user = User(name=name, name_key=name, password_hash="none")
        database.add(user)
        database.flush()
        database.add(
            Picture(owner_id=user.id, title="p", width=9, height=9, sha256=name, is_style=False)
        )
    return user.id


def make_painting(user_id: int, **values: object) -> Painting:
    with write_transaction() as database:
        picture_id = database.scalar(select(Picture.id).where(Picture.owner_id == user_id))
        assert picture_id is not None
        painting = Painting(
            owner_id=user_id,
            idempotency_key=new_public_id(),
            content_id=picture_id,
            style_links=[PaintingStyle(position=0, picture_id=picture_id)],
            long_edge_px=256,
            strength=0.5,
            effort="draft",
            backbone="auto",
            rendition_names=["styled"],
            seed=0,
            **values,
        )
        database.add(painting)
    return painting


def reread(painting: Painting) -> Painting:
    db.session.rollback()
    return db.session.get_one(Painting, painting.id, populate_existing=True)
