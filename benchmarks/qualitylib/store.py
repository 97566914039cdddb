"""A store of paintings between runs, so that an hour of painting is paid once."""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.common import machine
from benchmarks.common.commandline import make_folder
from benchmarks.common.errors import EngineFailed
from benchmarks.common.pairs import Order
from benchmarks.common.timing import Took, run_timed
from benchmarks.qualitylib.engines import Engine

FORMAT = 1
"""Number to change whenever an old record would be misread."""


@dataclass(frozen=True)
class StoredPainting:
    """A painting in the store."""

    picture: Path
    evaluations: int
    took: Took
    is_earlier: bool
    """True if it was painted, and timed, in an earlier run."""


class PaintingStore:
    """A folder of paintings, each beside a record of what it depends on and what it took.

    Raises:
        FolderUnusable: if the folder cannot be made, or lies in the repository.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)

    def get_or_paint(
        self,
        engine: Engine,
        order: Order,
        on_line: Callable[[str], None] | None = None,
        *,
        is_fresh: bool = False,
    ) -> StoredPainting:
        """Return the stored painting, or paint and store a new one.

        Args:
            engine: the engine that paints.
            order: what it paints.
            on_line: gets each line that the engine prints.
            is_fresh: paint anew, and store that.

        Raises:
            EngineFailed: if the engine ended without a picture.
        """
        stored = None if is_fresh else self.find(engine, order)
        return stored or self._paint(engine, order, on_line)

    def find(self, engine: Engine, order: Order) -> StoredPainting | None:
        """Return the stored painting, if there is one and it is whole."""
        picture, record = self._paths(engine, order)
        try:
            facts = json.loads(record.read_bytes())
            if hashlib.sha256(picture.read_bytes()).hexdigest() != facts["picture_sha256"]:
                return None
            return StoredPainting(
                picture, facts["evaluations"], Took(**facts["took"]), is_earlier=True
            )
        except (OSError, ValueError, KeyError, TypeError):
            # Not there, or cut short while it was written: it will be painted again.
            return None

    def _paint(
        self, engine: Engine, order: Order, on_line: Callable[[str], None] | None
    ) -> StoredPainting:
        picture, record = self._paths(engine, order)
        picture.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".painting-") as folder:
            output = Path(folder) / "painting.png"
            ended = run_timed(engine.command(order, output), on_line)
            if ended.status or not output.exists():
                raise EngineFailed(
                    f"{engine.name} did not paint {order.pair.name}: it {ended.last_words}"
                )
            facts = {
                "identity": self._identity(engine, order),
                "pair": order.pair.name,
                "picture_sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
                "evaluations": engine.evaluations(ended.lines),
                "took": asdict(ended.took),
                "machine": machine.describe(),
                "painted_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            written = Path(folder) / "record.json"
            written.write_text(json.dumps(facts, indent=1) + "\n")
            # The record last: a picture without one does not count.
            record.unlink(missing_ok=True)
            output.replace(picture)
            written.replace(record)
        evaluations = engine.evaluations(ended.lines)
        return StoredPainting(picture, evaluations, ended.took, is_earlier=False)

    def _paths(self, engine: Engine, order: Order) -> tuple[Path, Path]:
        """Return the paths of picture and record: readable names, with a hash of the identity."""
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


def _slug(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name)
