import contextlib
import errno
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade
from PIL import Image
from sqlalchemy import select

from config import PROJECT_ROOT, Config, read_secret_key
from tests.integration.webapp.conftest import order
from tests.servers import clean_environ, make_config, wait_until
from tests.unit.webapp.client import Browser
from transfer.settings import Rendition
from webapp import create_app
from webapp.extensions import db, write_transaction
from webapp.models import Painting, State, User
from webapp.orders import leases, schedule
from webapp.storage import cleanup
from webapp.storage.encoding import encode
from webapp.storage.files import Storage
from webapp.storage.thumbnails import RENDITION_EDGES_PX

PASSWORD = "a good sentence"


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    """Yield a migrated site, outside of any context, so that browsers have their own."""
    app = create_app(config)
    with app.app_context():
        upgrade()
    yield app
    close(app)


@pytest.fixture
def browser(app: Flask) -> Browser:
    """Return the browser of Ada, who has just signed up."""
    browser = Browser(app)
    assert browser.post("/sign-up", {"name": "Ada", "password": PASSWORD}).status_code == 302
    return browser


def close(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def run(app: Flask, folder: Path) -> tuple[int, str]:
    """Run the command as the owner types it, and return its exit status and output."""
    result = app.test_cli_runner().invoke(args=["backup", str(folder)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def add_queued_painting(app: Flask) -> str:
    with app.app_context():
        user_id = db.session.scalars(select(User.id)).one()
        return order(user_id)


def add_finished_painting(app: Flask) -> str:
    """Store a finished painting as the worker does, and return its public id."""
    public_id = add_queued_painting(app)
    with app.app_context():
        paint(public_id, Storage(app.config["PIC2PAINT"].files_dir))
    return public_id


def paint(public_id: str, storage: Storage) -> None:
    claim = schedule.claim("a test")
    assert claim is not None
    assert claim.public_id == public_id
    image = Image.effect_noise((128, 96), 50).convert("RGB")
    kind = Rendition.STYLED
    storage.write(storage.rendition(public_id, kind, claim.attempt_id), encode(image, "PNG"))
    for edge_px in RENDITION_EDGES_PX:
        path = storage.rendition_thumbnail(public_id, kind, claim.attempt_id, edge_px)
        storage.write(path, encode(image, "WEBP"))
    assert leases.add_rendition(claim, kind, image.width, image.height)
    storage.write(storage.animation(public_id, claim.attempt_id), encode(image, "WEBP"))
    assert leases.add_animation(claim)
    assert leases.finish(claim, State.DONE)
    cleanup.delete_unlisted(claim.painting_id, public_id)


def remove(app: Flask, public_id: str) -> None:
    """Remove a painting as `webapp.orders.purge` does: the row, then the files."""
    with app.app_context():
        query = select(Painting).where(Painting.public_id == public_id)
        with write_transaction() as database:
            database.delete(database.scalars(query).one())
        Storage(app.config["PIC2PAINT"].files_dir).remove_painting(public_id)


def hashes(files: Path) -> dict[Path, str]:
    return {
        path.relative_to(files): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files.rglob("*")
        if path.is_file()
    }


@contextlib.contextmanager
def open_copy(folder: Path) -> Iterator[Flask]:
    """Yield a site on the copy, with the key that `make run` would read there."""
    app = create_app(make_config(folder, secret_key=read_secret_key(folder)))
    yield app
    close(app)


def fetch(browser: Browser, path: str) -> bytes:
    """Return the body of a page that must be there."""
    with browser.get(path) as response:
        assert response.status_code == 200, path
        body: bytes = response.data
        return body


@contextlib.contextmanager
def run_stalled_backup(
    config: Config, public_id: str, target: Path
) -> Iterator[tuple["subprocess.Popen[str]", Callable[[], None]]]:
    """Run the command in a process that waits, while it copies, for a file of this painting.

    The file is a pipe meanwhile; the function that comes with the process feeds it.
    """
    (path,) = (config.files_dir / "paintings").glob(f"*/{public_id}/styled-*.png")
    data = path.read_bytes()
    path.unlink()
    os.mkfifo(path)

    def opened() -> int:
        # Without a reader there is no writing end to be had.
        with contextlib.suppress(OSError):
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        return 0

    with subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "webapp", "backup", str(target)],
        cwd=PROJECT_ROOT,
        env=clean_environ()
        | {
            "PIC2PAINT_INSTANCE": str(config.instance_dir),
            "REDIS_URL": config.redis_url,
            "SECRET_KEY": config.secret_key,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            pipe = wait_until(opened, 60, "the backup reads the painting")
            with open(pipe, "wb") as file:

                def feed() -> None:
                    file.write(data)
                    file.close()

                yield process, feed
        finally:
            process.kill()
            path.unlink()
            path.write_bytes(data)


def assert_sound(app: Flask) -> None:
    """Check that every row has its files, and that they open."""
    with app.app_context():
        storage = Storage(app.config["PIC2PAINT"].files_dir)
        for painting in db.session.scalars(select(Painting)):
            for picture in (painting.content, *painting.styles):
                data = storage.picture(picture.public_id).read_bytes()
                assert hashlib.sha256(data).hexdigest() == picture.sha256
                Image.open(storage.picture_thumbnail(picture.public_id)).load()
            if painting.state == State.DONE:
                assert painting.renditions
            for made in painting.renditions:
                path = storage.rendition(painting.public_id, Rendition(made.kind), made.attempt_id)
                with Image.open(path) as image:
                    image.load()
                    assert image.size == (made.width, made.height)
    path = app.config["PIC2PAINT"].instance_dir / "pic2paint.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_site_runs_on_its_backup(
    app: Flask, browser: Browser, config: Config, tmp_path: Path
) -> None:
    done = [add_finished_painting(app) for _ in range(2)]
    trashed = add_finished_painting(app)
    assert browser.post(f"/paintings/{trashed}/trash").status_code < 400
    waiting = add_queued_painting(app)
    kept = hashes(config.files_dir)

    status, output = run(app, tmp_path / "copy")

    assert status == 0, output
    assert "2 pictures and 4 paintings" in output
    assert hashes(tmp_path / "copy" / "files") == kept
    with open_copy(tmp_path / "copy") as copy:
        ada = Browser(copy, cookie=browser.cookie)
        for path in ("/", "/trash", "/studio", "/people/", f"/trash/{trashed}/remove"):
            fetch(ada, path)
        for public_id in (*done, trashed, waiting):
            fetch(ada, f"/paintings/{public_id}")
        images = [
            f"/paintings/{public_id}/{name}"
            for public_id in (*done, trashed)
            for name in (
                *("styled.png", "process.webp"),
                *(f"styled-{edge}.webp" for edge in RENDITION_EDGES_PX),
            )
        ]
        images += [
            f"/pictures/{folder.name}/{name}"
            for folder in (config.files_dir / "pictures").glob("*/*")
            for name in ("picture.jpg", "thumbnail.webp")
        ]
        for path in images:
            assert fetch(ada, path) == fetch(browser, path)
        assert_sound(copy)
        with copy.app_context():
            # The queue is as it was.
            claim = schedule.claim("a test")
            assert claim is not None
            assert claim.public_id == waiting


def test_nobody_else_can_read_a_backup(app: Flask, browser: Browser, tmp_path: Path) -> None:
    add_finished_painting(app)
    target = tmp_path / "copy"
    target.mkdir(mode=0o755)
    assert run(app, target)[0] == 0
    paths = [target, *target.rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}


def test_each_backup_is_sound_while_people_paint_and_remove(
    app: Flask, browser: Browser, config: Config, tmp_path: Path
) -> None:
    add_finished_painting(app)
    is_over = threading.Event()
    failures: list[BaseException] = []
    made: list[str] = []

    def has_painted_more_than(count: int) -> bool:
        return len(made) > count or bool(failures)

    def be_busy() -> None:
        try:
            while not is_over.is_set():
                made.append(add_finished_painting(app))
                if len(made) % 3 == 2:
                    remove(app, made[-2])
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=be_busy)
    thread.start()
    try:
        for number in range(4):
            count = len(made)
            wait_until(partial(has_painted_more_than, count), 30, "something is painted")
            status, output = run(app, tmp_path / f"copy-{number}")
            assert status == 0, output
    finally:
        is_over.set()
        thread.join(30)
    assert not failures
    for number in range(4):
        with open_copy(tmp_path / f"copy-{number}") as copy:
            assert_sound(copy)


def test_a_painting_removed_meanwhile_is_in_the_copy_whole_or_not_at_all(
    app: Flask, browser: Browser, config: Config, tmp_path: Path
) -> None:
    # Files are copied in the order of their names.
    staying, leaving = sorted(
        [add_finished_painting(app), add_finished_painting(app)], key=lambda name: (name[:2], name)
    )
    assert browser.post(f"/paintings/{leaving}/trash").status_code < 400
    with run_stalled_backup(config, staying, tmp_path / "copy") as (process, go_on):
        assert browser.post(f"/trash/{leaving}/remove").location == "/trash"
        # The person does not wait for the backup, and neither do the files.
        assert browser.get(f"/paintings/{leaving}").status_code == 404
        assert not list((config.files_dir / "paintings").glob(f"*/{leaving}"))
        go_on()
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 0, output
    assert "2 pictures and 1 paintings" in output
    assert hashes(tmp_path / "copy" / "files") == hashes(config.files_dir)
    with open_copy(tmp_path / "copy") as copy:
        assert_sound(copy)
        fetch(Browser(copy, cookie=browser.cookie), f"/paintings/{staying}")


def test_a_killed_backup_leaves_the_site_and_the_next_backup_alone(
    app: Flask, browser: Browser, config: Config, tmp_path: Path
) -> None:
    staying, leaving = add_finished_painting(app), add_finished_painting(app)
    assert browser.post(f"/paintings/{leaving}/trash").status_code < 400
    target = tmp_path / "copy"
    with run_stalled_backup(config, staying, target) as (process, _):
        process.kill()
        assert process.wait(20) == -signal.SIGKILL

    assert not target.exists()
    status, output = run(app, target)
    assert status == 1
    assert "one was killed; in that case remove it." in output
    shutil.rmtree(tmp_path / "copy.part")
    # Nothing that it held is held still.
    assert browser.post(f"/trash/{leaving}/remove").location == "/trash"
    assert not list((config.files_dir / "paintings").glob(f"*/{leaving}"))
    assert_sound(app)
    assert run(app, target)[0] == 0
    assert hashes(target / "files") == hashes(config.files_dir)


def test_a_running_painting_resumes_its_checkpoint_in_the_backup(
    app: Flask, browser: Browser, config: Config, tmp_path: Path
) -> None:
    public_id = add_queued_painting(app)
    with app.app_context():
        claim = schedule.claim("a test")
        assert claim is not None
        storage = Storage(config.files_dir)
        storage.write(storage.checkpoint(public_id, claim.attempt_id), b"half of it")
        preview = encode(Image.new("RGB", (32, 24)), "JPEG")
        storage.write(storage.preview(public_id), preview)
        assert leases.report(claim, 0.5, has_new_preview=True, has_checkpoint=True)

    assert run(app, tmp_path / "copy")[0] == 0

    with open_copy(tmp_path / "copy") as copy:
        path = f"/paintings/{public_id}/preview-1.jpg"
        assert fetch(Browser(copy, cookie=browser.cookie), path) == preview
    there = Storage(tmp_path / "copy" / "files")
    assert there.read_checkpoint(public_id, claim.attempt_id) == b"half of it"


def test_files_that_were_lost_before_are_reported_and_the_rest_is_copied(
    app: Flask, browser: Browser, config: Config, tmp_path: Path
) -> None:
    add_finished_painting(app)
    next((config.files_dir / "paintings").rglob("styled-*-640.webp")).unlink()
    status, output = run(app, tmp_path / "copy")
    assert status == 1
    assert "1 files that the database names were gone before: paintings/" in output
    assert hashes(tmp_path / "copy" / "files") == hashes(config.files_dir)


@pytest.mark.parametrize("name", ["taken", "taken/file", "."])
def test_an_occupied_target_is_refused(
    app: Flask, browser: Browser, config: Config, tmp_path: Path, name: str
) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").write_text("mine")
    target = config.instance_dir if name == "." else tmp_path / name
    before = sorted(tmp_path.rglob("*"))
    status, output = run(app, target)
    assert (status, output) == (
        1,
        f"{target} is not empty; name a folder that is not there yet.\n",
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_two_backups_at_once_do_not_mix(app: Flask, browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "copy.part").mkdir()
    status, output = run(app, tmp_path / "copy")
    assert status == 1
    assert "copy.part is there: another backup is being made" in output
    assert (tmp_path / "copy.part").is_dir()


def test_a_full_disk_leaves_no_half_backup(
    app: Flask, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_finished_painting(app)
    write = Storage.write
    written: list[Path] = []

    def write_three(storage: Storage, path: Path, data: bytes) -> None:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(storage, path, data)
        written.append(path)

    monkeypatch.setattr(Storage, "write", write_three)
    status, output = run(app, tmp_path / "copies" / "copy")
    assert (status, output) == (1, "The backup could not be made: No space left on device.\n")
    assert list((tmp_path / "copies").iterdir()) == []


def test_another_databases_own_tool_is_named(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        monkeypatch.setattr(db.engine, "url", db.engine.url.set(drivername="postgresql"))
        status, output = run(app, tmp_path / "copy")
    assert status == 1
    assert "back up postgresql with its own tool" in output


def test_a_site_that_never_ran_has_nothing_to_copy(config: Config, tmp_path: Path) -> None:
    app = create_app(config)
    status, output = run(app, tmp_path / "copy")
    close(app)
    assert status == 1
    assert "has the site ever been started?" in output
    assert not (tmp_path / "copy").exists()
