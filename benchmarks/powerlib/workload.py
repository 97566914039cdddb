"""What is recorded: a site that is started, signed up to, given pictures and orders, and painted.

    python -m benchmarks.powerlib.workload INSTANCE MARKS

Everything goes through the site's own code: pages by Flask's test client, painting by the same
calls as `webapp.jobs` makes, which is not imported, so that torch need not be. Once the site has
acknowledged something (the page answered, the function returned), a line of JSON goes into MARKS.
"""

import hashlib
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from PIL import Image, ImageDraw
from werkzeug.test import TestResponse

from config import Config, read_secret_key
from deploy import instance
from transfer.settings import Rendition
from webapp import attempts, create_app, leftovers, schedule
from webapp.attempts import Claim
from webapp.extensions import db
from webapp.intake import encoded
from webapp.models import State
from webapp.storage import THUMBNAIL_EDGES_PX, Storage

ROUNDS = 12
_PASSWORD = "a good sentence"  # noqa: S105  of an account that lives for seconds
_KINDS = (Rendition.STYLED, Rendition.HISTOGRAM, Rendition.LUMINANCE)


class Marks:
    """Where acknowledgements are noted: unbuffered, so that they stand in order in the record."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT)

    def note(self, what: str, **facts: object) -> None:
        """``what`` was acknowledged just now."""
        os.write(self._file, json.dumps({"what": what, **facts}).encode() + b"\n")


class Person:
    """A browser, as far as it is needed here."""

    def __init__(self, app: Flask) -> None:
        self._client: FlaskClient = app.test_client()

    def send(self, path: str, fields: dict[str, Any], page: str) -> TestResponse:
        """Send a form of a page.

        Raises:
            RuntimeError: if it is refused.
        """
        html = self._client.get(page).text
        found = re.search(r'name="csrf_token" value="([^"]+)"', html)
        token = "" if found is None else found[1]
        answer = self._client.post(path, data={"csrf_token": token, **fields})
        answer.request.environ["wsgi.input"].close()
        if answer.status_code >= 400:
            raise RuntimeError(f"{path}: {answer.status} {answer.text[:2000]}")
        return answer


class Workload:
    """A site and what is done with it."""

    def __init__(self, instance_dir: Path, marks: Marks) -> None:
        self._marks = marks
        instance.make_folders(instance_dir)
        instance.make_secret_key(instance_dir)
        marks.note("key", sha256=_sha256(read_secret_key(instance_dir).encode()))
        self._app = create_app(
            Config.from_env(
                {
                    "PIC2PAINT_INSTANCE": str(instance_dir),
                    "REDIS_URL": "unix:///nonexistent/redis.sock",
                    "PIC2PAINT_MIN_FREE_BYTES": "0",
                }
            )
        )
        with self._app.app_context():
            upgrade()
            db.engine.dispose()
        marks.note("tables")
        self._storage: Storage = self._app.extensions["pic2paint-storage"]
        self._ada = Person(self._app)

    def run(self) -> None:
        """A morning of the site."""
        fields = {"name": "Ada", "password": _PASSWORD}
        self._ada.send("/sign-up", fields, "/sign-up")
        self._marks.note("user", name="Ada")
        for number in range(ROUNDS):
            self._round(number)
            if number % 4 == 3:
                # As when the last process ends: SQLite moves its log into the database.
                with self._app.app_context():
                    db.engine.dispose()

    def _round(self, number: int) -> None:
        photo = self._upload(f"photo {number}", (160 + number, 120), "content")
        style = self._upload(f"style {number}", (96, 96 + number), "style")
        painting = self._order(number, content=photo, styles=style)
        self._paint(painting, breaks_off=number % 3 == 1)
        if number % 3 == 2:
            # The form brings both pictures itself, and the painting is cancelled.
            other = self._order(
                number,
                content_file=(io.BytesIO(_picture((150, 100), 1000 + number)), "a.png"),
                style_files=(io.BytesIO(_picture((90, 90), 2000 + number)), "b.png"),
            )
            page = f"/paintings/{other}"
            self._ada.send(f"{page}/cancel", {}, page)
            self._marks.note("state", painting=other, state=State.CANCELLED)
            self._ada.send(f"{page}/retry", {}, page)
            self._paint(other, breaks_off=False)
        if number % 4 == 2:
            page = f"/paintings/{painting}"
            self._ada.send(f"{page}/trash", {}, page)
            removal = f"/trash/{painting}/remove"
            self._marks.note("removing", painting=painting)
            self._ada.send(removal, {}, removal)
            self._marks.note("removed", painting=painting)

    def _upload(self, title: str, size: tuple[int, int], role: str) -> str:
        data = _picture(size, sum(size))
        fields = {"file": (io.BytesIO(data), f"{title}.png"), "role": role}
        answer = self._ada.send("/pictures", fields, "/studio")
        picture_id: str = answer.json["value"] if answer.json else ""
        sha256 = _sha256(self._storage.picture(picture_id).read_bytes())
        self._marks.note("picture", picture=picture_id, sha256=sha256, width=size[0])
        return picture_id

    def _order(self, number: int, **pictures: object) -> str:
        settings = {"long_edge_px": "256", "strength": "50", "effort": "draft", "colors": "both"}
        fields = {**settings, "backbone": "compact", "seed": str(number), **pictures}
        answer = self._ada.send("/studio", fields, "/studio")
        painting_id = answer.location.rpartition("/")[2]
        self._marks.note("order", painting=painting_id)
        return painting_id

    def _paint(self, painting_id: str, *, breaks_off: bool) -> None:
        """What the worker does, without the painting; it dies in the first attempt if asked to."""
        with self._app.app_context():
            if breaks_off:
                claim = self._claim(painting_id)
                self._report(claim, 0.4)
                self._store(claim, _KINDS[0])
                attempts.interrupt(claim)
                self._marks.note("state", painting=painting_id, state=State.QUEUED)
            claim = self._claim(painting_id)
            for step in (0.3, 0.6):
                self._report(claim, step)
            for kind in _KINDS:
                self._store(claim, kind)
            _insist(attempts.finish(claim, State.DONE))
            leftovers.clear(claim.painting_id, claim.public_id)
            self._marks.note("state", painting=painting_id, state=State.DONE)

    def _claim(self, painting_id: str) -> Claim:
        claim = schedule.claim("benchmark:1")
        if claim is None or claim.public_id != painting_id:
            raise RuntimeError(f"not claimed: {painting_id}, but {claim}")
        return claim

    def _report(self, claim: Claim, progress: float) -> None:
        """As `webapp.reporting` does."""
        preview = encoded(_image((64, 48), round(progress * 100)), "JPEG", quality=85)
        self._storage.write(self._storage.preview(claim.public_id), preview)
        # Any bytes will do, if they tell whether they are whole.
        content = os.urandom(20_000)
        path = self._storage.checkpoint(claim.public_id, claim.attempt_id)
        self._storage.write(path, hashlib.sha256(content).digest() + content)
        _insist(attempts.report(claim, progress, has_new_preview=True, has_checkpoint=True))
        self._marks.note("progress", painting=claim.public_id, progress=progress)

    def _store(self, claim: Claim, kind: Rendition) -> None:
        """As `webapp.jobs` does."""
        image = _image((256, 192), len(claim.attempt_id) + _KINDS.index(kind))
        full = encoded(image, "PNG", compress_level=1)
        painting_id, attempt_id = claim.public_id, claim.attempt_id
        self._storage.write(self._storage.rendition(painting_id, kind, attempt_id), full)
        for edge_px in THUMBNAIL_EDGES_PX:
            small = image.copy()
            small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
            path = self._storage.rendition_thumbnail(painting_id, kind, attempt_id, edge_px)
            self._storage.write(path, encoded(small, "WEBP", quality=82, method=4))
        _insist(attempts.add_rendition(claim, kind, image.width, image.height))
        self._marks.note(
            "rendition",
            painting=painting_id,
            kind=kind,
            attempt=attempt_id,
            sha256=_sha256(full),
            bytes=len(full),
        )


def _insist(is_held: bool) -> None:
    if not is_held:
        raise RuntimeError("the painting is no longer this attempt's")


def _picture(size: tuple[int, int], seed: int) -> bytes:
    return encoded(_image(size, seed), "PNG")


def _image(size: tuple[int, int], seed: int) -> Image.Image:
    image = Image.effect_noise(size, 40).convert("RGB")
    draw = ImageDraw.Draw(image)
    for x in range(0, size[0], 5 + seed % 30):
        draw.line((x, 0, size[0] - x, size[1]), fill=(seed % 256, x % 256, 90))
    return image


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    os.umask(0o077)
    Workload(Path(sys.argv[1]), Marks(Path(sys.argv[2]))).run()
