"""The only maker of paths: where uploads, previews and renditions lie, and how they are written."""

import os
import re
import secrets
import shutil
from pathlib import Path

from transfer.settings import Rendition

THUMBNAIL_EDGES_PX = (320, 640, 1280)
"""Long edges of the thumbnails: a phone's column, a wall on a sharp screen, a full page."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Storage:
    """Files under one folder.

    A file appears under its name whole or not at all: it is written beside its place, synced,
    and renamed. Names are made of ids that the database made; anything else is refused.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def picture(self, picture_id: str) -> Path:
        """An upload as intake left it (JPEG)."""
        return self._folder("pictures", picture_id) / "picture.jpg"

    def picture_thumbnail(self, picture_id: str) -> Path:
        """Its thumbnail (WebP)."""
        return self._folder("pictures", picture_id) / "thumbnail.webp"

    def preview(self, painting_id: str) -> Path:
        """The latest look at a painting that is being painted (JPEG)."""
        return self._folder("paintings", painting_id) / "preview.jpg"

    def rendition(self, painting_id: str, kind: Rendition, attempt_id: str) -> Path:
        """A rendition at full size (PNG)."""
        folder = self._folder("paintings", painting_id)
        return folder / f"{kind.value}-{_checked(attempt_id)}.png"

    def rendition_thumbnail(
        self, painting_id: str, kind: Rendition, attempt_id: str, edge_px: int
    ) -> Path:
        """A rendition's thumbnail (WebP); ``edge_px`` is one of `THUMBNAIL_EDGES_PX`."""
        if edge_px not in THUMBNAIL_EDGES_PX:
            raise ValueError(f"thumbnails come in {THUMBNAIL_EDGES_PX} px, not {edge_px}")
        path = self.rendition(painting_id, kind, attempt_id)
        return path.with_name(f"{path.stem}-{edge_px}.webp")

    def write(self, path: Path, data: bytes) -> None:
        """Store ``data`` under ``path``, whole or not at all.

        Raises:
            OSError: if the disk is full or the folder cannot be written; nothing is left behind.
        """
        self._refuse_outside(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove_picture(self, picture_id: str) -> None:
        """Delete an upload and its thumbnail; nothing happens if they are gone."""
        shutil.rmtree(self._folder("pictures", picture_id), ignore_errors=True)

    def remove_painting(self, painting_id: str) -> None:
        """Delete everything that was painted for one painting."""
        shutil.rmtree(self._folder("paintings", painting_id), ignore_errors=True)

    def keep_only(self, painting_id: str, attempt_ids: set[str]) -> None:
        """Delete a painting's preview, half-written files and renditions of other attempts."""
        folder = self._folder("paintings", painting_id)
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            if path.suffix == ".part" or not any(name in path.name for name in attempt_ids):
                path.unlink(missing_ok=True)

    def _folder(self, kind: str, public_id: str) -> Path:
        # Two levels, so that no folder holds more than a few thousand entries.
        return self.root / kind / _checked(public_id)[:2] / public_id

    def _refuse_outside(self, path: Path) -> None:
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ValueError(f"{path} is outside the storage folder")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name that this storage gives out: {name!r}")
    return name
