"""Backups: copies of everything that must survive, made while the site runs."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config import secret_key_file
from transfer.settings import Rendition
from webapp.extensions import db, get_config, get_storage
from webapp.models import Painting, Picture, RenditionFile
from webapp.storage.files import Storage, sync_folder
from webapp.storage.thumbnails import RENDITION_EDGES_PX

DATABASE_NAME = "pic2paint.db"
"""Name of the database in an instance folder, as in `Config.from_env`."""


class BackupFailed(Exception):
    """The backup could not be made; the message says why in one sentence."""


@dataclass(frozen=True)
class Backup:
    """Summary of a backup."""

    pictures: int
    paintings: int
    files: int
    size_bytes: int
    """Size of the files and the database."""
    missing: tuple[Path, ...]
    """Files that the site's own database names and that do not exist, below the files folder."""


@dataclass(frozen=True)
class _Contents:
    """Files that a copied database names; paths are below the files folder."""

    pictures: int
    paintings: int
    needed: frozenset[Path]
    useful: frozenset[Path]
    """Previews and checkpoints: a painting begins anew without them. Optimizer states are left out:
    they are large, and paintings are continued without them as well."""


def back_up(target: Path) -> Backup:
    """Copy database, files and secret key into ``target``, which appears at the end, whole.

    Raises:
        BackupFailed: if that is not possible; nothing is left of the attempt.
    """
    database = _database()
    target = target.resolve()
    _refuse_occupied(target)
    unfinished = target.with_name(f"{target.name}.part")
    with _private_files():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished.mkdir()
        except FileExistsError:
            raise BackupFailed(
                f"{unfinished} is there: another backup is being made, or one was killed; "
                "in that case remove it."
            ) from None
        except OSError as error:
            raise BackupFailed(f"{unfinished} cannot be made: {error.strerror}.") from error
        try:
            backup = _copy(database, unfinished)
            unfinished.replace(target)
        except BaseException as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if isinstance(error, OSError | sqlite3.Error | SQLAlchemyError):
                raise BackupFailed(f"The backup could not be made: {_reason(error)}.") from error
            raise
        sync_folder(target.parent)
    return backup


def _copy(database: Path, place: Path) -> Backup:
    config = get_config()
    storage = get_storage()
    copies = Storage(place / storage.root.relative_to(config.instance_dir))
    copied: dict[Path, int] = {}
    copied_database = place / DATABASE_NAME
    missing: set[Path] = set()
    while True:
        # Somebody may remove a painting between the copy of its row and those of its files: then
        # the database is copied anew. Files never change under their names, so they stay, and
        # what can go during the second pass is only what was painted during the first.
        copied_database.unlink(missing_ok=True)
        _copy_database(database, copied_database)
        contents = _contents(copied_database, storage)
        missing_before = missing
        missing = _copy_files(storage, copies, contents, copied)
        # Rows go before files: one that outlived its file had lost it before we began.
        if missing <= missing_before:
            break
    for path in copied.keys() - contents.needed - contents.useful:
        (copies.root / path).unlink()
        del copied[path]
    Storage(place).write(secret_key_file(place), config.secret_key.encode())
    return Backup(
        pictures=contents.pictures,
        paintings=contents.paintings,
        files=len(copied),
        size_bytes=sum(copied.values()) + copied_database.stat().st_size,
        missing=tuple(sorted(missing)),
    )


def _database() -> Path:
    url = db.engine.url
    if url.get_backend_name() != "sqlite":
        raise BackupFailed(
            f"This copies SQLite only: back up {url.get_backend_name()} with its own tool "
            "(pg_dump for PostgreSQL), and then the instance folder."
        )
    path = Path(url.database or "")
    if not path.is_file():
        raise BackupFailed(f"There is no database at {path}: has the site ever been started?")
    return path


def _refuse_occupied(target: Path) -> None:
    try:
        is_free = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    except OSError as error:
        raise BackupFailed(f"{target} cannot be looked into: {error.strerror}.") from error
    if not is_free:
        raise BackupFailed(f"{target} is not empty; name a folder that is not there yet.")


def _copy_database(source: Path, target: Path) -> None:
    """Copy the database as it is at one moment; writers go on meanwhile."""
    with closing(sqlite3.connect(source, timeout=30)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    # SQLite does not sync what VACUUM INTO writes.
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _contents(database: Path, storage: Storage) -> _Contents:
    """Return the files that a database names."""
    needed: list[Path] = []
    useful: list[Path] = []
    engine = create_engine(URL.create("sqlite", database=str(database)))
    try:
        with Session(engine) as session:
            pictures = session.scalars(select(Picture.public_id)).all()
            paintings = session.execute(
                select(
                    *(Painting.public_id, Painting.preview_version),
                    *(Painting.checkpoint_attempt_id, Painting.animation_attempt_id),
                )
            ).all()
            renditions = session.execute(
                select(Painting.public_id, RenditionFile.kind, RenditionFile.attempt_id).join(
                    RenditionFile, RenditionFile.painting_id == Painting.id
                )
            ).all()
    finally:
        engine.dispose()
    for picture_id in pictures:
        needed += [storage.picture(picture_id), storage.picture_thumbnail(picture_id)]
    for painting_id, kind, attempt_id in renditions:
        needed.append(storage.rendition(painting_id, Rendition(kind), attempt_id))
        needed += [
            storage.rendition_thumbnail(painting_id, Rendition(kind), attempt_id, edge_px)
            for edge_px in RENDITION_EDGES_PX
        ]
    for painting_id, preview_version, checkpoint_attempt_id, animation_attempt_id in paintings:
        if animation_attempt_id is not None:
            needed.append(storage.animation(painting_id, animation_attempt_id))
        if preview_version:
            useful.append(storage.preview(painting_id))
        if checkpoint_attempt_id is not None:
            useful.append(storage.checkpoint(painting_id, checkpoint_attempt_id))
    return _Contents(
        pictures=len(pictures),
        paintings=len(paintings),
        needed=frozenset(path.relative_to(storage.root) for path in needed),
        useful=frozenset(path.relative_to(storage.root) for path in useful),
    )


def _copy_files(
    storage: Storage, copies: Storage, contents: _Contents, copied: dict[Path, int]
) -> set[Path]:
    """Copy files that are not copied yet and note their sizes; return those that do not exist."""
    missing = set()
    for path in sorted(contents.needed | contents.useful):
        # Previews and checkpoints are overwritten while their painting runs.
        if path in copied and path in contents.needed:
            continue
        try:
            data = (storage.root / path).read_bytes()
        except FileNotFoundError:
            if path in contents.needed:
                missing.add(path)
            continue
        copies.write(copies.root / path, data)
        copied[path] = len(data)
    return missing


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f" ({error.filename})"
        return f"{error.strerror}{where}"
    return str(getattr(error, "orig", error))


@contextmanager
def _private_files() -> Iterator[None]:
    """Make what is created meanwhile readable by this user alone: folders 0700, files 0600."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
