"""Fixtures of a small site with two accounts: Ada, who owns it, and her guest Ben."""

import io
import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import event, func, select

from config import Config
from tests.servers import make_config
from tests.unit.webapp import files
from tests.unit.webapp.client import Browser
from transfer.settings import Rendition
from webapp import create_app
from webapp.extensions import Base, db, write_transaction
from webapp.models import Painting, PaintingStyle, Picture, RenditionFile, State, User, now
from webapp.storage.files import Storage
from webapp.storage.thumbnails import RENDITION_EDGES_PX

PASSWORD = "a short sentence"


@dataclass(frozen=True)
class SiteTemplate:
    """Files to copy for each test's site, on which Ada and Ben have signed up."""

    empty: Path
    database: Path
    cookies: dict[str, str]
    templates: Path


class MakeApp(Protocol):
    """Factory of sites."""

    def __call__(self, *, is_new: bool = False, **changes: Any) -> Flask: ...


@pytest.fixture
def site(config: Config) -> Iterator[Flask]:
    """An application with empty tables, in whose context the test runs."""
    app = create_app(config)
    with app.app_context():
        db.create_all()
        yield app
    close(app)


@pytest.fixture(scope="session")
def site_template(tmp_path_factory: pytest.TempPathFactory) -> SiteTemplate:
    folder = tmp_path_factory.mktemp("site")
    config = make_config(folder / "instance")
    database = config.instance_dir / "pic2paint.db"
    empty = folder / "empty.db"
    app = create_app(config)
    with ExitStack() as stack:
        stack.callback(close, app)
        with app.app_context():
            db.create_all()
            db.engine.dispose()
        shutil.copy(database, empty)
        ada, ben = Browser(app, "Ada"), Browser(app, "Ben")
        response = ada.post("/sign-up", {"name": "Ada", "password": PASSWORD})
        assert response.location == "/studio", response.text
        token = ben.page(invite(ada)).value("invitation")
        fields = {"name": "Ben", "password": PASSWORD, "invitation": token}
        response = ben.post("/sign-up", fields)
        assert response.location == "/studio", response.text
        cookies = {"Ada": ada.cookie or "", "Ben": ben.cookie or ""}
    return SiteTemplate(empty, database, cookies, tmp_path_factory.mktemp("templates"))


def invite(owner: Browser, note: str = "") -> str:
    """Make an invitation and return the path of its link."""
    assert owner.post("/people/invitations", {"note": note}).status_code == 302
    field = next(e for e in owner.page("/people/").all("input") if "readonly" in e.attrib)
    return field.get("value", "").removeprefix("http://localhost")


def close(app: Flask) -> None:
    """Close the connections of an application."""
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    connection = app.extensions.get("pic2paint-redis")
    if connection is not None:
        connection.close()


@pytest.fixture
def make_app(
    site_template: SiteTemplate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeApp]:
    """Start sites: with Ada's and Ben's accounts or new, and with changed settings."""
    apps: list[Flask] = []
    # These tests survive no power cut, and syncing takes a third of their time.
    monkeypatch.setattr(os, "fsync", lambda _file: None)

    def do_not_sync(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    def make(*, is_new: bool = False, **changes: Any) -> Flask:
        config = make_config(tmp_path / f"instance-{len(apps)}", **changes)
        shutil.copy(
            site_template.empty if is_new else site_template.database,
            config.instance_dir / "pic2paint.db",
        )
        app = create_app(config)
        # Saves the time of compiling the same templates for each test.
        app.jinja_env.bytecode_cache = FileSystemBytecodeCache(str(site_template.templates))
        with app.app_context():
            event.listen(db.engine, "connect", do_not_sync)
        apps.append(app)
        return app

    yield make
    for app in apps:
        close(app)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Start a site on which Ada, who owns it, and Ben have accounts."""
    return make_app()


@pytest.fixture
def new_app(make_app: MakeApp) -> Flask:
    """Start a site on which nobody has signed up yet."""
    return make_app(is_new=True)


@pytest.fixture
def enter(site_template: SiteTemplate) -> Callable[[Flask, str], Browser]:
    """Open browsers of Ada's or Ben's, logged in to a site that `make_app` started."""
    return lambda app, name: Browser(app, name, site_template.cookies[name])


@pytest.fixture
def visitor(app: Flask) -> Browser:
    """Open a browser in which nobody is logged in."""
    return Browser(app)


@pytest.fixture
def ada(app: Flask, enter: Callable[[Flask, str], Browser]) -> Browser:
    """Open the browser of the site's owner."""
    return enter(app, "Ada")


@pytest.fixture
def ben(app: Flask, enter: Callable[[Flask, str], Browser]) -> Browser:
    """Open the browser of a member who does not own the site."""
    return enter(app, "Ben")


def make_picture(
    owner: Browser,
    title: str = "Harbor",
    size: tuple[int, int] = (96, 64),
    *,
    is_style: bool = False,
) -> str:
    """Store a picture of ``owner`` and return its public id."""
    picture_id = _new_id()
    with owner.app.app_context():
        storage = storage_of(owner.app)
        storage.write(storage.picture(picture_id), files.jpeg(*size))
        storage.write(storage.picture_thumbnail(picture_id), files.webp(*size))
        owner_id = _user_id(owner)
        with write_transaction() as database:
            database.add(
                Picture(
                    public_id=picture_id,
                    owner_id=owner_id,
                    title=title,
                    width=size[0],
                    height=size[1],
                    sha256=uuid.uuid4().hex * 2,
                    is_style=is_style,
                )
            )
    return picture_id


def make_painting(
    owner: Browser,
    state: State = State.DONE,
    renditions: Sequence[Rendition] = (),
    *,
    content: str | None = None,
    style: str | None = None,
    has_animation: bool = False,
    **values: Any,
) -> str:
    """Store a painting of ``owner`` with its files and return its public id."""
    painting_id, attempt_id = _new_id(), uuid.uuid4().hex
    content = content or make_picture(owner)
    style = style or make_picture(owner, "Waves", (64, 64), is_style=True)
    if state is State.DONE and not renditions:
        renditions = (Rendition.STYLED,)
    moment = now()
    defaults: dict[str, Any] = {
        "long_edge_px": 96,
        "strength": 0.5,
        "effort": "draft",
        "backbone": "auto",
        "rendition_names": ["styled"],
        "seed": 0,
        "idempotency_key": painting_id,
        "attempt_id": attempt_id if state is State.RUNNING else None,
        "started_at": None if state is State.QUEUED else moment,
        "finished_at": moment if state.is_final else None,
    }
    with owner.app.app_context():
        storage = storage_of(owner.app)
        for kind in renditions:
            storage.write(storage.rendition(painting_id, kind, attempt_id), files.png(96, 64))
            for edge in RENDITION_EDGES_PX:
                path = storage.rendition_thumbnail(painting_id, kind, attempt_id, edge)
                storage.write(path, files.webp(96, 64))
        if has_animation:
            values["animation_attempt_id"] = attempt_id
            storage.write(storage.animation(painting_id, attempt_id), files.webp(96, 64))
        if values.get("preview_version"):
            storage.write(storage.preview(painting_id), files.jpeg(48, 32))
        owner_id = _user_id(owner)
        pictures = {p.public_id: p.id for p in db.session.scalars(select(Picture))}
        with write_transaction() as database:
            painting = Painting(
                public_id=painting_id,
                owner_id=owner_id,
                state=state,
                content_id=pictures[content],
                style_links=[PaintingStyle(position=0, picture_id=pictures[style])],
                renditions=[
                    RenditionFile(
                        kind=kind,
                        attempt_id=attempt_id,
                        width=96,
                        height=64,
                        is_partial=state is State.CANCELLED,
                    )
                    for kind in renditions
                ],
                **(defaults | values),
            )
            database.add(painting)
    return painting_id


def storage_of(app: Flask) -> Storage:
    """Return the storage of a site."""
    storage: Storage = app.extensions["pic2paint-storage"]
    return storage


def stored_files(app: Flask) -> list[Path]:
    """Return the paths of all files in a site's storage, relative to its folder."""
    config: Config = app.config["PIC2PAINT"]
    return sorted(
        path.relative_to(config.files_dir) for path in config.files_dir.rglob("*") if path.is_file()
    )


def count(app: Flask, table: type[Base]) -> int:
    """Return the number of rows in a table."""
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(table)) or 0


def row(app: Flask, painting_id: str) -> Painting:
    """Return a painting's row, detached from the database."""
    with app.app_context():
        painting = db.session.scalars(
            select(Painting).where(Painting.public_id == painting_id)
        ).one()
        _ = painting.content, painting.styles, painting.renditions
        db.session.expunge_all()
        return painting


def change(app: Flask, painting_id: str, **values: Any) -> None:
    """Set columns of a painting."""
    with app.app_context(), write_transaction() as database:
        painting = database.scalars(select(Painting).where(Painting.public_id == painting_id)).one()
        for name, value in values.items():
            setattr(painting, name, value)


def upload(data: bytes, name: str = "photo.jpg") -> tuple[io.BytesIO, str]:
    """Return a file as Flask's test client sends it."""
    return io.BytesIO(data), name


def _new_id() -> str:
    return re.sub("[-_]", "x", uuid.uuid4().hex[:22])


def _user_id(owner: Browser) -> int:
    return db.session.scalars(select(User.id).where(User.name == owner.name)).one()
