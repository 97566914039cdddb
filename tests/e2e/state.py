"""State set up directly: rows and files as the site itself writes them."""

import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import redis
from flask import Flask, g, session
from PIL import Image, ImageDraw

from config import Config
from transfer.settings import Rendition
from webapp.auth import access
from webapp.extensions import db, write_transaction
from webapp.models import (
    Invitation,
    Painting,
    PaintingStyle,
    Picture,
    RenditionFile,
    State,
    User,
    now,
)
from webapp.orders import queue
from webapp.storage.files import Storage
from webapp.storage.thumbnails import RENDITION_EDGES_PX
from webapp.uploads import library
from webapp.uploads.validate import Upload
from webapp.views import accounts

PASSWORD = "a short sentence"
ALL_RENDITIONS = tuple(kind.value for kind in Rendition)
ATTEMPT_ID = "0" * 32


def photo(width: int = 320, height: int = 128) -> Image.Image:
    """Return a photo: a hill under a sky with a sun."""
    image = Image.new("RGB", (width, height), "#7fb2d9")
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.65, height * 0.1, width * 0.65 + height * 0.4, height * 0.5), "#f6d94c")
    draw.polygon([(0, height), (width * 0.35, height * 0.3), (width * 0.8, height)], "#3f6b3a")
    draw.rectangle((0, height * 0.85, width, height), "#5d4630")
    return image


def style(width: int = 240, height: int = 240, color: str = "#b3301f") -> Image.Image:
    """Return a style picture: broad stripes."""
    image = Image.new("RGB", (width, height), "#f3e9d2")
    draw = ImageDraw.Draw(image)
    for x in range(-height, width, 24):
        draw.line((x, 0, x + height, height), color, 9)
        draw.line((x + 10, height, x + height + 10, 0), "#1d2f5e", 4)
    return image


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    """Return an image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def clear(app: Flask) -> None:
    """Remove all accounts, paintings and files, and reset the rate limits."""
    config: Config = app.config["PIC2PAINT"]
    with app.app_context():
        with write_transaction() as database:
            # In this order of foreign keys; dependent rows are deleted with them.
            for model in (Painting, Picture, Invitation, User):
                database.execute(db.delete(model))
        db.session.remove()
    shutil.rmtree(config.files_dir, ignore_errors=True)
    with redis.Redis.from_url(config.redis_url) as client:
        for key in client.scan_iter("LIMITS*"):
            client.delete(key)


class Person:
    """Account on the site, with its pictures and paintings."""

    def __init__(self, app: Flask, name: str) -> None:
        """Sign up an account; the first one owns the site."""
        self.app = app
        self.name = name
        with app.app_context():
            invitation = None
            if not accounts.is_new_site():
                with write_transaction() as database:
                    invitation = Invitation(expires_at=now() + timedelta(days=1))
                    database.add(invitation)
            self.id = accounts.create_user(name, PASSWORD, invitation).id

    def cookie(self) -> dict[str, str]:
        """Return the session cookie of a new log-in."""
        with self.app.test_request_context():
            user = db.session.get_one(User, self.id)
            access.log_in(user)
            response = self.app.response_class()
            current = session._get_current_object()  # type: ignore[attr-defined]
            self.app.session_interface.save_session(self.app, current, response)
        name, value = response.headers["Set-Cookie"].split(";")[0].split("=", 1)
        return {"name": name, "value": value}

    def upload(self, image: Image.Image, title: str, *, is_style: bool = False) -> str:
        """Store a picture and return its public id."""
        with self._request():
            return library.save_picture(Upload(title, image), is_style=is_style).public_id

    def painting(
        self,
        state: State = State.DONE,
        *,
        title: str = "Hill",
        size: tuple[int, int] = (640, 480),
        renditions: Sequence[str] = ALL_RENDITIONS,
        finished: Sequence[str] | None = None,
        has_preview: bool = False,
        trashed: bool = False,
        **values: Any,
    ) -> str:
        """Store a painting with its files and return its public id.

        Args:
            state: the painting's state.
            title: the photo's title.
            size: width and height of the photo, px.
            renditions: the renditions that were ordered.
            finished: the renditions that exist; None: all if the painting is done, else none.
            has_preview: whether a preview is stored.
            trashed: whether the painting is in the trash.
            values: other columns.
        """
        content_id = self.upload(photo(*size), title)
        style_id = self.upload(style(), "Stripes", is_style=True)
        if finished is None:
            finished = renditions if state is State.DONE else ()
        settings: dict[str, Any] = {
            "long_edge_px": 512,
            "strength": 0.5,
            "effort": "standard",
            "backbone": "auto",
            "seed": 0,
        }
        if state is not State.QUEUED:
            settings["started_at"] = now() - timedelta(seconds=50)
        if trashed:
            settings["trashed_at"] = now()
        if state.is_final:
            settings["finished_at"] = now()
        if state is State.RUNNING:
            settings["attempt_id"] = ATTEMPT_ID
        with self._request():
            content = db.session.execute(db.select(Picture).filter_by(public_id=content_id))
            styles = db.session.execute(db.select(Picture).filter_by(public_id=style_id))
            content_row, style_row = content.scalar_one(), styles.scalar_one()
            painting = Painting(
                owner_id=self.id,
                idempotency_key=f"test-{content_row.id}-{now().timestamp()}",
                content_id=content_row.id,
                style_links=[PaintingStyle(position=0, picture_id=style_row.id)],
                rendition_names=list(renditions),
                state=state,
                preview_version=int(has_preview),
                **(settings | values),
            )
            with write_transaction() as database:
                database.add(painting)
            public_id = painting.public_id
            long_edge_px = painting.long_edge_px
            storage: Storage = self.app.extensions["pic2paint-storage"]
            image = photo(*size)
            image = image.resize(
                (
                    round(size[0] * long_edge_px / max(size)),
                    round(size[1] * long_edge_px / max(size)),
                )
            )
            if has_preview:
                storage.write(storage.preview(public_id), encode(image, "JPEG"))
            for kind in map(Rendition, finished):
                storage.write(storage.rendition(public_id, kind, ATTEMPT_ID), encode(image))
                for edge_px in RENDITION_EDGES_PX:
                    path = storage.rendition_thumbnail(public_id, kind, ATTEMPT_ID, edge_px)
                    small = image.copy()
                    small.thumbnail((edge_px, edge_px))
                    storage.write(path, encode(small, "WEBP"))
            with write_transaction() as database:
                for name in finished:
                    database.add(
                        RenditionFile(
                            painting_id=painting.id,
                            kind=name,
                            attempt_id=ATTEMPT_ID,
                            width=image.width,
                            height=image.height,
                            is_partial=state is State.CANCELLED,
                        )
                    )
            return public_id

    def order(self, **values: Any) -> str:
        """Queue a painting for the worker and return its public id."""
        public_id = self.painting(State.QUEUED, **values)
        with self.app.app_context():
            # If Redis is slow for a moment, the reaper issues the ticket later.
            queue.enqueue()
        return public_id

    @contextmanager
    def _request(self) -> Iterator[None]:
        """Enter a request of this person."""
        with self.app.test_request_context():
            g.user = db.session.get_one(User, self.id)
            yield


def state_of(app: Flask, public_id: str) -> str:
    """Return the state of a painting."""
    with app.app_context():
        state: str | None = db.session.scalar(
            db.select(Painting.state).where(Painting.public_id == public_id)
        )
        assert state is not None
        return state
