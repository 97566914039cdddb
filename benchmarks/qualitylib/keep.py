"""Paintings that are kept between runs: an hour of painting is paid once."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.qualitylib.engines import Engine, Order
from benchmarks.qualitylib.errors import EngineFailed, FolderUnusable
from benchmarks.qualitylib.timing import Took, machine, run_timed
from config import PROJECT_ROOT

FORMAT = 1
"""Changes whenever an old record would be misread."""


@dataclass(frozen=True)
class Kept:
    """A painting in the folder."""

    picture: Path
    evaluations: int
    took: Took
    is_earlier: bool
    """Whether it was painted, and timed, in an earlier run."""


class Keep:
    """A folder of paintings, each beside a record of what it depends on and what it took.

    Raises:
        FolderUnusable: if the folder cannot be made, or lies in the repository.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = outside(folder)

    def painted(
        self,
        engine: Engine,
        order: Order,
        on_line: Callable[[str], None] | None = None,
        *,
        is_fresh: bool = False,
    ) -> Kept:
        """The painting that is kept, or a new one.

        Args:
            engine: who paints.
            order: what.
            on_line: gets what the engine prints while it paints.
            is_fresh: paint anew, and keep that.

        Raises:
            EngineFailed: if the engine ended without a picture.
        """
        kept = None if is_fresh else self.find(engine, order)
        return kept or self._paint(engine, order, on_line)

    def find(self, engine: Engine, order: Order) -> Kept | None:
        """What is kept, if it is whole."""
        picture, record = self._paths(engine, order)
        try:
            facts = json.loads(record.read_bytes())
            if hashlib.sha256(picture.read_bytes()).hexdigest() != facts["picture_sha256"]:
                return None
            return Kept(picture, facts["evaluations"], Took(**facts["took"]), is_earlier=True)
        except (OSError, ValueError, KeyError, TypeError):
            # Not there, or cut short while it was written: it will be painted again.
            return None

    def _paint(self, engine: Engine, order: Order, on_line: Callable[[str], None] | None) -> Kept:
        picture, record = self._paths(engine, order)
        picture.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".painting-") as folder:
            output = Path(folder) / "painting.png"
            ended = run_timed(engine.command(order, output), on_line)
            if ended.status or not output.exists():
                said = next((line for line in reversed(ended.lines) if line.strip()), "nothing")
                raise EngineFailed(
                    f"{engine.name} did not paint {order.pair.name}: it ended with status "
                    f"{ended.status} and last said: {said}"
                )
            facts = {
                "identity": self._identity(engine, order),
                "pair": order.pair.name,
                "picture_sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
                "evaluations": engine.evaluations(ended.lines),
                "took": asdict(ended.took),
                "machine": machine(),
                "painted_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            written = Path(folder) / "record.json"
            written.write_text(json.dumps(facts, indent=1) + "\n")
            # The record last: a picture without one does not count.
            record.unlink(missing_ok=True)
            output.replace(picture)
            written.replace(record)
        return Kept(picture, engine.evaluations(ended.lines), ended.took, is_earlier=False)

    def _paths(self, engine: Engine, order: Order) -> tuple[Path, Path]:
        """Picture and record: their names can be read, and what they depend on is hashed."""
        identity = json.dumps(self._identity(engine, order), sort_keys=True)
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        stem = f"{_slug(engine.name)}-{order.size_px}px-{digest}"
        folder = self.folder / _slug(order.pair.name)
        return folder / f"{stem}.png", folder / f"{stem}.json"

    @staticmethod
    def _identity(engine: Engine, order: Order) -> dict[str, str | int | float]:
        return {
            "format": FORMAT,
            **engine.identity(order),
            "content": hashlib.sha256(order.pair.content.read_bytes()).hexdigest(),
            "style": hashlib.sha256(order.pair.style.read_bytes()).hexdigest(),
        }


def default_folder() -> Path:
    """In the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "pic2paint" / "quality"


def outside(folder: Path) -> Path:
    """The folder, made if it is not there.

    Raises:
        FolderUnusable: if it cannot be made, or lies in the repository.
    """
    folder = folder.expanduser().resolve()
    if folder.is_relative_to(PROJECT_ROOT):
        raise FolderUnusable(f"{folder} lies in the repository; name a folder outside of it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FolderUnusable(f"{folder} cannot be written: {error.strerror}.") from None
    return folder


def _slug(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name)
