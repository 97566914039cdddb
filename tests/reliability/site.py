"""A temporary site: its processes, and its state, set up through an application of its own."""

import contextlib
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask, g
from flask_migrate import upgrade
from PIL import Image
from redis import Redis
from redis.exceptions import RedisError

from config import Config
from deploy import redis_server, start
from deploy.address import Address
from tests.reliability.processes import Program, Restarter, happens_within
from tests.servers import clean_environ, free_port
from transfer.settings import Rendition
from webapp import create_app
from webapp.extensions import db, write_transaction
from webapp.models import Invitation, Painting, PaintingStyle, User, new_public_id, now
from webapp.orders import queue
from webapp.storage.files import Storage
from webapp.uploads.library import save_picture
from webapp.uploads.validate import Upload
from webapp.views.accounts import create_user

PASSWORD = "a good sentence"
USERS = ("Ada", "Ben")
COLORS = (Rendition.STYLED, Rendition.LUMINANCE)
LONG_EDGE_PX = 256
START_TIMEOUT_S = 120


@dataclass
class Site:
    """The running site, and what a fault asks of it."""

    app: Flask
    config: Config
    url: str
    web: Program
    redis: Program
    workers: list[Program]
    folder: Path
    user_ids: list[int] = field(default_factory=list)
    picture_ids: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Public ids of each user's photo and style."""

    @property
    def storage(self) -> Storage:
        """The store of the site's files."""
        storage: Storage = self.app.extensions["pic2paint-storage"]
        return storage

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.config.instance_dir / "pic2paint.db"

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Query the database without the application, which is cheap enough to do often."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    def painting(self, public_id: str) -> dict[str, Any] | None:
        """Return a painting's row, or None."""
        found = self.rows("SELECT * FROM painting WHERE public_id = ?", public_id)
        return found[0] if found else None

    def attempts(self, public_id: str) -> list[dict[str, Any]]:
        """Return a painting's attempts, oldest first."""
        return self.rows(
            "SELECT attempt.* FROM attempt JOIN painting ON painting.id = painting_id "
            "WHERE public_id = ? ORDER BY attempt.started_at",
            public_id,
        )

    def worker_of(self, public_id: str) -> Program | None:
        """Return the worker that has a painting at the moment, or None."""
        names = [a["worker"] for a in self.attempts(public_id) if a["ended_at"] is None]
        pids = [int(name.rpartition(":")[2]) for name in names]
        return next((worker for worker in self.workers if worker.pid in pids), None)

    def living_workers(self) -> set[int]:
        """Return the process ids of the workers that have recorded a heartbeat."""
        rows = self.rows("SELECT name FROM worker_heartbeat WHERE NOT is_stopped")
        return {int(row["name"].rpartition(":")[2]) for row in rows}

    def wait_for_workers(self) -> bool:
        """Wait until all workers are warm, and return whether that was in time."""
        return happens_within(
            lambda: {worker.pid for worker in self.workers} <= self.living_workers(),
            START_TIMEOUT_S,
        )

    def order(
        self,
        user: int,
        rng: random.Random,
        *,
        colors: Sequence[Rendition] = COLORS,
        long_edge_px: int = LONG_EDGE_PX,
        has_ticket: bool = True,
    ) -> str:
        """Order a painting as the site does: commit the row, then enqueue a ticket."""
        owner_id = self.user_ids[user]
        with self.app.app_context():
            photo, style = self.give_pictures(owner_id)
            with write_transaction() as database:
                painting = Painting(
                    owner_id=owner_id,
                    idempotency_key=new_public_id(),
                    content_id=photo,
                    style_links=[PaintingStyle(position=0, picture_id=style)],
                    long_edge_px=long_edge_px,
                    strength=0.5,
                    effort="draft",
                    backbone="compact",
                    rendition_names=[kind.value for kind in colors],
                    seed=rng.randrange(2**31),
                )
                database.add(painting)
            public_id = painting.public_id
        if has_ticket:
            self.offer_ticket()
        return public_id

    def change(self, public_id: str, action: Callable[[Painting], object]) -> None:
        """Do something to a painting's row as the site does, such as cancelling it."""
        with self.app.app_context():
            query = db.select(Painting).where(Painting.public_id == public_id)
            action(db.session.scalars(query).one())

    def offer_ticket(self) -> None:
        """Enqueue a ticket."""
        with self.app.app_context():
            queue.enqueue()

    def is_redis_up(self) -> bool:
        """Ask Redis whether it answers."""
        with Redis.from_url(self.config.redis_url, socket_timeout=1) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    def give_pictures(self, owner_id: int) -> tuple[int, int]:
        """Upload a photo and a style for a user, and return their row ids, in the app's context."""
        g.user = db.session.get_one(User, owner_id)
        photo = save_picture(Upload("Hills", _hills()), is_style=False)
        style = save_picture(Upload("Weave", _weave()), is_style=True)
        self.picture_ids[owner_id] = photo.public_id, style.public_id
        return photo.id, style.id


@contextlib.contextmanager
def run_site() -> Iterator[Site]:
    """Start Redis, web and two workers on a new instance, and remove it all at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pic2paint-faults-"))
    try:
        site = _site(folder)
        with Restarter([site.redis, site.web, *site.workers]):
            site.redis.start()
            if not happens_within(site.is_redis_up, START_TIMEOUT_S):
                raise RuntimeError(f"Redis did not start; see {folder}")
            for program in (site.web, *site.workers):
                program.start()
            if not site.wait_for_workers():
                raise RuntimeError((folder / "worker-1.log").read_text()[-2000:])
            yield site
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _site(folder: Path) -> Site:
    instance_dir = folder / "instance"
    instance_dir.mkdir()
    redis_socket = folder / "redis.sock"
    environ = clean_environ() | {
        "PIC2PAINT_INSTANCE": str(instance_dir),
        "REDIS_URL": redis_server.socket_url(redis_socket),
        "SECRET_KEY": "only for these tests, and long enough for them",
        "PIC2PAINT_TORCH_THREADS": "1",
        # The disk is filled on purpose.
        "PIC2PAINT_MIN_FREE_BYTES": "0",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
    }
    config = Config.from_env(environ)
    app = create_app(config)
    address = Address("127.0.0.1", free_port())

    def program(name: str, command: Sequence[str]) -> Program:
        return Program(name, command, environ, folder / f"{name}.log")

    site = Site(
        app=app,
        config=config,
        url=address.url,
        web=program("web", start.web(address, folder).command),
        redis=program("redis", start.own_redis(redis_socket, folder).command),
        workers=[program(f"worker-{n}", start.worker().command) for n in (1, 2)],
        folder=folder,
    )
    with app.app_context():
        upgrade()
        site.user_ids = [_user(name).id for name in USERS]
        for user_id in site.user_ids:
            site.give_pictures(user_id)
    return site


def _user(name: str) -> User:
    invitation = Invitation(expires_at=now() + timedelta(days=1))
    with write_transaction() as database:
        database.add(invitation)
    return create_user(name, PASSWORD, invitation)


def _hills() -> Image.Image:
    """Draw a photo of 3:2 with soft shapes and some noise."""
    width, height = 384, 256
    noise = Image.effect_noise((width // 8, height // 8), 90).resize((width, height))
    fall = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (fall, noise, Image.blend(fall, noise, 0.5)))


def _weave() -> Image.Image:
    """Draw a style picture of crossing threads."""
    image = Image.new("RGB", (192, 192), (200, 120, 60))
    for place in range(0, 192, 12):
        image.paste((30, 80, 160), (place, 0, place + 5, 192))
        image.paste((240, 220, 150), (0, place, 192, place + 4))
    return image


def wall_seconds(text: str) -> float:
    """Convert a time of the database, which is naive UTC, to seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
