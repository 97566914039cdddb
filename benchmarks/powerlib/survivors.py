"""What a site finds after a power cut, against what it had acknowledged before."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from flask_migrate import upgrade
from PIL import Image
from sqlalchemy import create_engine, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config import PROJECT_ROOT, Config, ConfigError, read_secret_key, secret_key_file
from transfer.settings import Rendition
from webapp import create_app
from webapp.extensions import configure_sqlite, db
from webapp.models import LoginSession, Painting, Picture, State, User
from webapp.storage import THUMBNAIL_EDGES_PX, Storage

HEAD = ScriptDirectory(str(PROJECT_ROOT / "migrations")).get_current_head()


@dataclass
class Acknowledged:
    """What a site owes to those who use it, by the marks so far."""

    key: str | None = None
    has_tables: bool = False
    users: set[str] = field(default_factory=set)
    pictures: dict[str, str] = field(default_factory=dict)
    """Public id -> SHA-256 of the file."""
    orders: dict[str, str | None] = field(default_factory=dict)
    """Public id -> the state that was told last; None if it may be any by now."""
    renditions: dict[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)
    """Painting and kind -> attempt, SHA-256 and bytes of the file."""
    leaving: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    count: int = 0

    def add(self, facts: dict[str, Any]) -> None:
        """Take in a mark."""
        self.count += 1
        painting: str = facts.get("painting", "")
        match facts["what"]:
            case "key":
                self.key = facts["sha256"]
            case "tables":
                self.has_tables = True
            case "user":
                self.users.add(facts["name"])
            case "picture":
                self.pictures[facts["picture"]] = facts["sha256"]
            case "order":
                self.orders[painting] = None
            case "rendition":
                made = facts["attempt"], facts["sha256"], facts["bytes"]
                self.renditions[painting, facts["kind"]] = made
            case "state":
                self.orders[painting] = facts["state"] if facts["state"] == State.DONE else None
            case "removing":
                self.leaving.add(painting)
            case "removed":
                self.removed.add(painting)


@dataclass
class Findings:
    """What is wrong after one power cut: sentences."""

    integrity: list[str] = field(default_factory=list)
    """The database is damaged, or the site cannot start on it."""
    lost: list[str] = field(default_factory=list)
    """Acknowledged, and not there."""
    broken: list[str] = field(default_factory=list)
    """Rows whose files are missing or not whole."""
    orphans: int = 0
    """Files that no row refers to: they take room and do no harm."""
    checked_files: int = 0


def examine(instance_dir: Path, owed: Acknowledged) -> Findings:
    """Start the site's database on what is left, and look at everything."""
    found = Findings()
    _examine_key(instance_dir, owed, found)
    database = instance_dir / "pic2paint.db"
    if not database.exists():
        if owed.has_tables:
            found.lost.append("the database")
        return found
    try:
        if not owed.has_tables:
            _start_again(instance_dir)
        with _session(database) as session:
            _examine_database(session, found)
            _examine_debts(session, owed, found)
            _examine_files(session, Storage(instance_dir / "files"), owed, found)
    except (SQLAlchemyError, SystemExit) as error:
        found.integrity.append(f"{type(error).__name__}: {error}"[:500])
    return found


def _examine_key(instance_dir: Path, owed: Acknowledged, found: Findings) -> None:
    if not secret_key_file(instance_dir).exists():
        if owed.key is not None:
            found.lost.append("the secret key")
        return
    try:
        key = read_secret_key(instance_dir)
    except ConfigError as error:
        found.integrity.append(str(error))
    else:
        if owed.key not in {None, _sha256(key.encode())}:
            found.lost.append("the secret key is another one")


def _start_again(instance_dir: Path) -> None:
    """What the next start does first: go on with the tables where the power went."""
    config = Config(
        secret_key="only for this look, and long enough for it",  # noqa: S106
        instance_dir=instance_dir,
        database_url=f"sqlite:///{instance_dir / 'pic2paint.db'}",
        redis_url="unix:///nonexistent/redis.sock",
    )
    with create_app(config).app_context():
        try:
            upgrade()
        finally:
            db.engine.dispose()


@contextmanager
def _session(database: Path) -> Iterator[Session]:
    engine = create_engine(f"sqlite:///{database}")
    configure_sqlite(engine)
    try:
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()


def _examine_database(session: Session, found: Findings) -> None:
    told = session.execute(text("PRAGMA integrity_check")).scalars().all()
    if told != ["ok"]:
        found.integrity.append(f"integrity_check: {told[:5]}")
    dangling = session.execute(text("PRAGMA foreign_key_check")).all()
    if dangling:
        found.integrity.append(f"foreign_key_check: {dangling[:5]}")
    if not inspect(session.connection()).has_table("alembic_version"):
        found.integrity.append("there are no tables")
    elif session.scalar(text("SELECT version_num FROM alembic_version")) != HEAD:
        found.integrity.append("the tables are of another version")


def _examine_debts(session: Session, owed: Acknowledged, found: Findings) -> None:
    names = set(session.scalars(select(User.name)))
    found.lost += [f"user {name}" for name in owed.users - names]
    if owed.users and not session.scalars(select(LoginSession.user_id)).all():
        found.lost.append("the log-in")
    pictures = dict(session.execute(select(Picture.public_id, Picture.sha256)).tuples().all())
    found.lost += [
        f"picture {public_id}"
        for public_id, sha256 in owed.pictures.items()
        if pictures.get(public_id) != sha256
    ]
    paintings = {p.public_id: p for p in session.scalars(select(Painting))}
    found.lost += [f"the removal of painting {p}" for p in owed.removed & paintings.keys()]
    for public_id, state in owed.orders.items():
        painting = paintings.get(public_id)
        if painting is None:
            if public_id not in owed.leaving:
                found.lost.append(f"painting {public_id}")
        elif state not in {None, painting.state}:
            found.lost.append(f"painting {public_id} is {painting.state} again")
    for (public_id, kind), _ in owed.renditions.items():
        painting = paintings.get(public_id)
        if painting is not None and kind not in {made.kind for made in painting.renditions}:
            found.lost.append(f"rendition {kind} of painting {public_id}")


def _examine_files(session: Session, storage: Storage, owed: Acknowledged, found: Findings) -> None:
    needed: set[Path] = set()

    def look(path: Path, size: tuple[int, int] | None = None) -> bytes:
        needed.add(path)
        data = path.read_bytes() if path.exists() else b""
        what = path.relative_to(storage.root)
        try:
            with Image.open(path) as image:
                image.load()
            if size not in {None, image.size}:
                found.broken.append(f"{what} has {image.size} px, not {size}")
        except (OSError, SyntaxError, ValueError) as error:
            found.broken.append(f"{what}: {error}")
        return data

    for picture in session.scalars(select(Picture)):
        path = storage.picture(picture.public_id)
        if _sha256(look(path, (picture.width, picture.height))) != picture.sha256:
            found.broken.append(f"{path.name} of {picture.public_id} is another file")
        look(storage.picture_thumbnail(picture.public_id))
    for painting in session.scalars(select(Painting)):
        public_id = painting.public_id
        for made in painting.renditions:
            kind = Rendition(made.kind)
            data = look(
                storage.rendition(public_id, kind, made.attempt_id), (made.width, made.height)
            )
            known = owed.renditions.get((public_id, made.kind))
            # A row of a later attempt, whose acknowledgement did not come any more, has another.
            is_known = known is not None and known[0] == made.attempt_id
            if is_known and known != (made.attempt_id, _sha256(data), len(data)):
                found.broken.append(f"{kind} of {public_id} is another file")
            for edge_px in THUMBNAIL_EDGES_PX:
                look(storage.rendition_thumbnail(public_id, kind, made.attempt_id, edge_px))
        if painting.preview_version and not State(painting.state).is_final:
            look(storage.preview(public_id))
        if painting.checkpoint_id is not None:
            needed.add(storage.checkpoint(public_id, painting.checkpoint_id))
            kept = storage.read_checkpoint(public_id, painting.checkpoint_id) or b""
            if hashlib.sha256(kept[32:]).digest() != kept[:32]:
                found.broken.append(f"the checkpoint of {public_id}")
    found.checked_files = len(needed)
    found.orphans = sum(1 for path in _files(storage.root) if path not in needed)


def _files(root: Path) -> Iterable[Path]:
    return (path for path in root.rglob("*") if path.is_file())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
