"""Fixtures of a migrated installation with a real queue, and real worker processes for it."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask, g
from flask_migrate import upgrade
from PIL import Image, ImageDraw
from sqlalchemy import select

from config import PROJECT_ROOT, Config
from tests.servers import clean_environ, make_config, wait_until
from transfer.settings import Rendition
from webapp import create_app
from webapp.extensions import db, write_transaction
from webapp.models import Painting, PaintingStyle, User, new_public_id
from webapp.uploads.library import save_picture
from webapp.uploads.validate import Upload
from webapp.views.accounts import create_user

WorkerStarter = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def config(tmp_path: Path, redis_url: str) -> Config:
    return make_config(tmp_path / "instance", redis_url, torch_threads=1)


@pytest.fixture
def site(config: Config) -> Iterator[Flask]:
    """Yield the application with its tables, in a context; no process runs yet."""
    app = create_app(config)
    with app.app_context():
        upgrade()
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def start_worker(config: Config, tmp_path: Path) -> Iterator[WorkerStarter]:
    """Yield a function that starts real workers, which log into one file and end with the test."""
    with contextlib.ExitStack() as stack:

        def start(**settings: str) -> "subprocess.Popen[bytes]":
            log = stack.enter_context((tmp_path / "worker.log").open("ab"))
            process = subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "webapp", "worker"],
                cwd=PROJECT_ROOT,
                env=clean_environ()
                | {
                    "PIC2PAINT_INSTANCE": str(config.instance_dir),
                    "REDIS_URL": config.redis_url,
                    "SECRET_KEY": config.secret_key,
                    "PIC2PAINT_TORCH_THREADS": "1",
                    **settings,
                },
                stdout=log,
                stderr=log,
            )
            stack.callback(process.wait, 20)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def ada(site: Flask) -> int:
    """Return the id of the owner's account."""
    return create_user("Ada", "a good sentence", None).id


def save_pictures(user_id: int) -> tuple[int, int]:
    """Store a photo and a style for a user, and return their row ids."""
    with db.session.no_autoflush:
        g.user = db.session.get_one(User, user_id)
        content = save_picture(Upload("Stripes", _striped((96, 64), 8)), is_style=False).id
        style = save_picture(Upload("Checks", _striped((64, 64), 4)), is_style=True).id
    return content, style


def order(
    user_id: int,
    *,
    long_edge_px: int = 128,
    colors: tuple[str, ...] = ("styled",),
    backbone: str = "compact",
) -> str:
    """Queue a painting without a ticket, and return its public id."""
    content, style = save_pictures(user_id)
    with write_transaction() as database:
        painting = Painting(
            owner_id=user_id,
            idempotency_key=new_public_id(),
            content_id=content,
            style_links=[PaintingStyle(position=0, picture_id=style)],
            long_edge_px=long_edge_px,
            strength=0.5,
            effort="draft",
            backbone=backbone,
            rendition_names=[Rendition(name).value for name in colors],
            seed=0,
        )
        database.add(painting)
    return painting.public_id


def read(public_id: str) -> Painting:
    """Return the painting as the database has it now."""
    db.session.rollback()
    query = select(Painting).where(Painting.public_id == public_id)
    painting = db.session.scalar(query.execution_options(populate_existing=True))
    assert painting is not None
    return painting


def wait_for_state(public_id: str, state: str, timeout_s: float = 60) -> Painting:
    """Return the painting once it is in ``state``."""
    seen = ""

    def is_there() -> bool:
        nonlocal seen
        seen = read(public_id).state
        return seen == state

    try:
        wait_until(is_there, timeout_s, f"painting is {state}")
    except AssertionError as error:
        raise AssertionError(f"{error}, state {seen}") from None
    return read(public_id)


def _striped(size: tuple[int, int], period: int) -> Image.Image:
    image = Image.new("RGB", size, (200, 120, 60))
    draw = ImageDraw.Draw(image)
    for x in range(0, size[0], period):
        draw.rectangle((x, 0, x + period // 2, size[1]), fill=(30, 80, 160))
    return image
