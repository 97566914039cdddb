"""A disk that keeps what was synced, and of the rest whatever a power cut happens to leave."""

import random
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""


class Mood(StrEnum):
    """What a power cut leaves of changes that nobody had synced."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    PREFIX = "prefix"
    """Of each file and folder its first changes, the last one cut in the middle."""
    SCATTERED = "scattered"
    """Any of them in any combination: disks and file systems write in an order of their own."""


@dataclass(frozen=True)
class Write:
    """Bytes written into a file."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class Resize:
    """A file cut or lengthened."""

    size: int


@dataclass
class File:
    """A file's bytes: those that were synced, and what was done since."""

    synced: bytes = b""
    changes: list[Write | Resize] = field(default_factory=list)

    def sync(self) -> None:
        """What fsync and fdatasync promise."""
        self.synced = _applied(self.synced, self.changes)
        self.changes = []

    def left(self, mood: Mood, rng: random.Random) -> bytes:
        """What a power cut leaves."""
        match mood:
            case Mood.NOTHING:
                return self.synced
            case Mood.EVERYTHING:
                return _applied(self.synced, self.changes)
            case Mood.PREFIX:
                kept = self.changes[: rng.randint(0, len(self.changes))]
                if kept and isinstance(last := kept[-1], Write):
                    kept[-1] = Write(last.offset, last.data[: rng.randint(0, len(last.data))])
                return _applied(self.synced, kept)
        share = rng.random()
        sectors = [part for change in self.changes for part in _sectors(change)]
        return _applied(self.synced, [part for part in sectors if rng.random() < share])


@dataclass
class Folder:
    """A folder's entries: those that were synced, and what was done since.

    A change is a set of names with what they stand for from then on, None for nothing, so that a
    rename happens whole or not at all.
    """

    synced: dict[str, "Node"] = field(default_factory=dict)
    changes: list[dict[str, "Node | None"]] = field(default_factory=list)
    entries: dict[str, "Node"] = field(default_factory=dict)
    """As running programs see them."""

    def change(self, entries: dict[str, "Node | None"]) -> None:
        """Link, unlink or rename."""
        self.changes.append(entries)
        _update(self.entries, entries)

    def sync(self) -> None:
        """What fsync of a folder promises: its entries last, but not what is in them."""
        self.synced = dict(self.entries)
        self.changes = []

    def left(self, mood: Mood, rng: random.Random) -> dict[str, "Node"]:
        """What a power cut leaves."""
        left = dict(self.synced)
        share = rng.random()
        first = rng.randint(0, len(self.changes))
        for number, entries in enumerate(self.changes):
            match mood:
                case Mood.NOTHING:
                    is_kept = False
                case Mood.EVERYTHING:
                    is_kept = True
                case Mood.PREFIX:
                    is_kept = number < first
                case Mood.SCATTERED:
                    is_kept = rng.random() < share
            if is_kept:
                _update(left, entries)
        return left


Node = File | Folder


def put(folder: Folder, place: Path, mood: Mood, rng: random.Random) -> None:
    """Write what a power cut leaves of ``folder`` into ``place``, which is made."""
    place.mkdir()
    for name, node in folder.left(mood, rng).items():
        if isinstance(node, File):
            (place / name).write_bytes(node.left(mood, rng))
        else:
            put(node, place / name, mood, rng)


def _update(entries: dict[str, Node], change: dict[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _applied(data: bytes, changes: list[Write | Resize]) -> bytes:
    result = bytearray(data)
    for change in changes:
        if isinstance(change, Resize):
            del result[change.size :]
            result.extend(bytes(change.size - len(result)))
        else:
            result.extend(bytes(max(0, change.offset - len(result))))
            result[change.offset : change.offset + len(change.data)] = change.data
    return bytes(result)


def _sectors(change: Write | Resize) -> list[Write | Resize]:
    """A write in the parts that reach the disk each on its own."""
    if isinstance(change, Resize):
        return [change]
    parts: list[Write | Resize] = []
    start, end = change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        parts.append(Write(start, change.data[start - change.offset : stop - change.offset]))
        start = stop
    return parts
