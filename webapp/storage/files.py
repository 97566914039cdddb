"""Storage of uploads, previews and renditions: the only maker of their paths."""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from transfer.settings import Rendition
from webapp.storage.thumbnails import RENDITION_EDGES_PX

ANIMATION = "process"
OPTIMIZER = "optimizer"
_CHECKPOINT = "checkpoint-"
_PART_BYTES = 8_000_000
_MAX_REMEMBERED = 10_000
"""Number of synced folders that one process remembers; beyond it begins anew."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class DiskFull(OSError):
    """The disk has no more space than is to be kept free."""


class Storage:
    """Files under one folder.

    A file appears under its name whole or not at all: it is written under another name, synced,
    and renamed. Once `write` has returned, the file survives a power cut, and so do the folders
    above it. Names are made of ids that the database made; anything else is refused.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lasting: set[Path] = set()
        """Folders that this process has synced into their parents."""

    def picture(self, picture_id: str) -> Path:
        """Return the path of an upload as `uploads.validate` made it (JPEG)."""
        return self._folder("pictures", picture_id) / "picture.jpg"

    def picture_thumbnail(self, picture_id: str) -> Path:
        """Return the path of an upload's thumbnail (WebP)."""
        return self._folder("pictures", picture_id) / "thumbnail.webp"

    def preview(self, painting_id: str) -> Path:
        """Return the path of the latest preview of a running painting (JPEG)."""
        return self._folder("paintings", painting_id) / "preview.jpg"

    def checkpoint(self, painting_id: str, attempt_id: str) -> Path:
        """Return the path of an attempt's checkpoint, from which the next attempt resumes."""
        folder = self._folder("paintings", painting_id)
        return folder / f"{_CHECKPOINT}{_check_name(attempt_id)}"

    def read_checkpoint(self, painting_id: str, attempt_id: str | None) -> bytes | None:
        """Return the checkpoint of an attempt; None if it has left none."""
        if attempt_id is None:
            return None
        try:
            return self.checkpoint(painting_id, attempt_id).read_bytes()
        except FileNotFoundError:
            return None

    def free_bytes(self) -> int:
        """Return the free space on the disk."""
        self.root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.root).free

    def refuse_if_full(self, min_free_bytes: int) -> None:
        """Check that some space is left for the database and the queue.

        Raises:
            DiskFull: if less is free.
        """
        if self.free_bytes() < min_free_bytes:
            raise DiskFull(f"less than {min_free_bytes} bytes are free")

    def rendition(self, painting_id: str, kind: Rendition, attempt_id: str) -> Path:
        """Return the path of a rendition at full size (PNG)."""
        folder = self._folder("paintings", painting_id)
        return folder / f"{kind.value}-{_check_name(attempt_id)}.png"

    def rendition_thumbnail(
        self, painting_id: str, kind: Rendition, attempt_id: str, edge_px: int
    ) -> Path:
        """Return the path of a thumbnail (WebP); ``edge_px`` is one of `RENDITION_EDGES_PX`."""
        if edge_px not in RENDITION_EDGES_PX:
            raise ValueError(f"thumbnails come in {RENDITION_EDGES_PX} px, not {edge_px}")
        path = self.rendition(painting_id, kind, attempt_id)
        return path.with_name(f"{path.stem}-{edge_px}.webp")

    def animation(self, painting_id: str, attempt_id: str) -> Path:
        """Return the path of a painting's animation (animated WebP)."""
        return (
            self._folder("paintings", painting_id) / f"{ANIMATION}-{_check_name(attempt_id)}.webp"
        )

    def optimizer(self, painting_id: str, attempt_id: str) -> Path:
        """Return the path of a painting's final optimizer state (safetensors)."""
        return self._folder("paintings", painting_id) / f"{OPTIMIZER}-{_check_name(attempt_id)}"

    def write(self, path: Path, data: bytes, on_part: Callable[[], object] = lambda: None) -> None:
        """Store ``data`` under ``path``, whole or not at all.

        Args:
            path: path that this class has made.
            data: content of the file.
            on_part: called after each part of a large file.

        Raises:
            OSError: if the disk is full or the folder cannot be written; nothing is left behind.
        """
        self._refuse_outside(path)
        self._make_lasting(path.parent)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            with temporary.open("wb") as file:
                for begin in range(0, max(1, len(data)), _PART_BYTES):
                    file.write(memoryview(data)[begin : begin + _PART_BYTES])
                    file.flush()
                    # Part by part: syncing them all at the end could take as long without a call.
                    os.fsync(file.fileno())
                    on_part()
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def remove_picture(self, picture_id: str) -> None:
        """Delete an upload and its thumbnail, if they are there."""
        shutil.rmtree(self._folder("pictures", picture_id), ignore_errors=True)

    def remove_painting(self, painting_id: str) -> None:
        """Delete all files of a painting."""
        shutil.rmtree(self._folder("paintings", painting_id), ignore_errors=True)

    def keep_only(self, painting_id: str, listed: Iterable[tuple[str, str]]) -> None:
        """Delete all files of a painting that are not listed: previews, checkpoints, leftovers.

        Args:
            painting_id: public id of the painting; its folder need not exist.
            listed: kind of rendition, `ANIMATION` or `OPTIMIZER`, and attempt of each. The
                attempt alone is not enough: it may have listed one rendition and died while it
                wrote another.
        """
        stems = tuple(f"{kind}-{attempt_id}" for kind, attempt_id in listed)
        folder = self._folder("paintings", painting_id)
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            if not path.name.startswith(stems):
                path.unlink(missing_ok=True)

    def _folder(self, kind: str, public_id: str) -> Path:
        # Two levels, so that no folder holds more than a few thousand entries.
        return self.root / kind / _check_name(public_id)[:2] / public_id

    def _make_lasting(self, folder: Path) -> None:
        """Make a folder below the root, and the missing ones above it, to survive a power cut.

        A folder that is there already may be another process's, which has not synced it yet or
        was killed before it could: only what was synced here is known to last. Syncing all of
        them at each write would be simpler, but costs 14 ms on a disk where the write costs 8.
        """
        if folder in self._lasting and folder.is_dir():
            return
        if folder == self.root:
            folder.parent.mkdir(parents=True, exist_ok=True)
        else:
            self._make_lasting(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
        if len(self._lasting) >= _MAX_REMEMBERED:
            self._lasting.clear()
        self._lasting.add(folder)

    def _refuse_outside(self, path: Path) -> None:
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ValueError(f"{path} is outside the storage folder")


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that its entries survive a power cut."""
    # A folder that we may write to but not list cannot be opened, nor synced.
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name that this storage gives out: {name!r}")
    return name
