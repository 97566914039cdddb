"""Paintings of pairs by this engine, or by another checkout of it, in files named by pair."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.common.errors import BenchmarkError, EngineFailed
from benchmarks.common.pairs import Pair
from benchmarks.common.pastiche import module_command
from benchmarks.common.timing import run_timed

RECORD = "painted.json"
"""File beside the paintings that says what they depend on."""


class FolderTaken(BenchmarkError):
    """A folder holds paintings of another version or of other settings."""


def paint(
    pairs: Mapping[str, Pair], folder: Path, settings: Sequence[str], checkout: Path
) -> Iterator[Path]:
    """Paint those pairs that the folder has no painting of, one thread each; yield their files.

    Args:
        pairs: by the names that their files get.
        folder: where the paintings go.
        settings: arguments for ``python -m transfer``.
        checkout: the project's folder whose engine paints.

    Raises:
        FolderTaken: if the folder holds paintings by other sources or settings.
        EngineFailed: if the engine ended without a painting.
    """
    record = {"settings": list(settings), "sources": _sources_hash(checkout)}
    _check_record(folder / RECORD, record)
    for name, pair in pairs.items():
        output = folder / f"{name}.png"
        if output.exists():
            continue
        options = {"--threads": 1, "--output": output}
        # Settings that begin with a dash come last, so that they win.
        command = [*module_command("transfer", options, pair.content, pair.style), *settings]
        # The engine is the package in the current folder.
        ended = run_timed(["sh", "-c", 'cd "$0" && exec "$@"', str(checkout), *command])
        if ended.status or not output.exists():
            raise EngineFailed(f"The engine did not paint {name}: it {ended.last_words}")
        yield output


def _check_record(file: Path, record: Mapping[str, object]) -> None:
    """Store what paintings depend on, or check that it is what those in the folder depend on."""
    try:
        stored = json.loads(file.read_text())
    except FileNotFoundError:
        file.write_text(json.dumps(record, indent=1) + "\n")
        return
    except ValueError:
        stored = None
    if stored != record:
        raise FolderTaken(
            f"{file.parent} holds paintings by other settings or another version; name another "
            "folder."
        )


def _sources_hash(checkout: Path) -> str:
    """Hash the engine's sources."""
    sources = sorted((checkout / "transfer").rglob("*.py"))
    if not sources:
        raise BenchmarkError(f"{checkout} has no engine: there is no Python in its transfer.")
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(checkout)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
