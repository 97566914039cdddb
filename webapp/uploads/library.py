"""Pictures of the user: read them from forms, store them, list them."""

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
"""Number of pictures on each shelf of the studio, latest first."""


def validate_file(file: FileStorage) -> Upload:
    """Read and validate an uploaded file of a form.

    Raises:
        UploadRefused: with a sentence that says what is wrong with it.
    """
    return validate.validate(file.stream, file.filename or "", get_config())


def find_choice(value: str) -> Upload | Picture | None:
    """Return the sample or the user's picture that a form value names; None if neither."""
    sample = samples.find(value)
    if sample is None:
        return find_picture(value)
    # Samples are valid even on a site whose limits for uploads are lower.
    config = replace(
        get_config(),
        max_upload_bytes=Config.max_upload_bytes,
        max_upload_pixels=Config.max_upload_pixels,
    )
    with sample.path.open("rb") as stream:
        upload = validate.validate(stream, sample.file, config)
    return Upload(title=sample.title, image=upload.image)


def save_picture(upload: Upload, *, is_style: bool) -> Picture:
    """Store an upload for the user; return the existing picture if the same file is stored."""
    storage = get_storage()
    jpeg = upload.jpeg
    sha256 = hashlib.sha256(jpeg).hexdigest()
    owner_id = g.user.id
    same_file = select(Picture).where(Picture.owner_id == owner_id, Picture.sha256 == sha256)
    stored = db.session.scalar(same_file)
    if stored is not None:
        return stored
    public_id = new_public_id()
    # Files first: a row never points to nothing.
    storage.write(storage.picture(public_id), jpeg)
    storage.write(storage.picture_thumbnail(public_id), upload.thumbnail)
    with write_transaction() as database:
        # Looked up again under the write lock: two requests may send the same picture at once.
        stored = database.scalar(same_file)
        if stored is None:
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
    if stored is not None:
        storage.remove_picture(public_id)
        return stored
    return picture


def list_shelf(*, is_style: bool, selected: Sequence[Picture] = ()) -> list[Picture]:
    """Return the user's pictures last used in this role, preceded by older selected ones."""
    latest = db.session.scalars(
        select(Picture)
        .where(Picture.owner_id == g.user.id, Picture.is_style == is_style)
        .order_by(Picture.used_at.desc(), Picture.id.desc())
        .limit(SHELF_SIZE)
    ).all()
    return [*(p for p in selected if p not in latest), *latest]
