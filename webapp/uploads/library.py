"""A person's pictures: admitting them, keeping them, finding them again."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from flask import g
from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from config import Config
from webapp.auth.access import find_picture
from webapp.extensions import db, get_config, get_storage, write_transaction
from webapp.models import Picture, new_public_id
from webapp.uploads import samples, validate
from webapp.uploads.validate import Upload

SHELF_SIZE = 12
"""Pictures shown on each shelf of the studio, latest first."""


def validate_file(file: FileStorage) -> Upload:
    """Read a file of a form.

    Raises:
        UploadRefused: with a sentence that says what is wrong with it.
    """
    return validate.validate(file.stream, file.filename or "", get_config())


def find_choice(value: str) -> Upload | Picture | None:
    """What a form value stands for: one of the user's pictures, or a sample; None if neither."""
    sample = samples.find(value)
    if sample is None:
        return find_picture(value)
    # What ships with the site is fine even where uploads must be smaller.
    config = replace(
        get_config(),
        max_upload_bytes=Config.max_upload_bytes,
        max_upload_pixels=Config.max_upload_pixels,
    )
    with sample.path.open("rb") as stream:
        upload = validate.validate(stream, sample.file, config)
    return Upload(title=sample.title, image=upload.image)


def save_picture(upload: Upload, *, is_style: bool) -> Picture:
    """Store an upload for the user; the same picture again is found, not stored twice."""
    storage = get_storage()
    jpeg = upload.jpeg
    sha256 = hashlib.sha256(jpeg).hexdigest()
    owner_id = g.user.id
    same = select(Picture).where(Picture.owner_id == owner_id, Picture.sha256 == sha256)
    known = db.session.scalar(same)
    if known is not None:
        return known
    public_id = new_public_id()
    # Files first: a row never points to nothing.
    storage.write(storage.picture(public_id), jpeg)
    storage.write(storage.picture_thumbnail(public_id), upload.thumbnail)
    with write_transaction() as database:
        # Asked again under the write lock: two requests may bring the same picture at once.
        known = database.scalar(same)
        if known is None:
            picture = Picture(
                public_id=public_id,
                owner_id=owner_id,
                title=upload.title,
                width=upload.image.width,
                height=upload.image.height,
                sha256=sha256,
                is_style=is_style,
            )
            database.add(picture)
    if known is not None:
        storage.remove_picture(public_id)
        return known
    return picture


def list_shelf(*, is_style: bool, selected: Sequence[Picture] = ()) -> list[Picture]:
    """The user's pictures that were last used in this role, and whatever is selected."""
    latest = db.session.scalars(
        select(Picture)
        .where(Picture.owner_id == g.user.id, Picture.is_style == is_style)
        .order_by(Picture.used_at.desc(), Picture.id.desc())
        .limit(SHELF_SIZE)
    ).all()
    return [*(p for p in selected if p not in latest), *latest]
