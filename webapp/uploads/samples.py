"""Sample pictures that ship with the site, for a first painting without an upload."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from config import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "static" / "samples"
PREFIX = "sample:"
"""Prefix of a sample's form value; the ids of uploads have no colon."""


@dataclass(frozen=True)
class Sample:
    """One sample picture."""

    file: str
    title: str
    width: int
    height: int

    @property
    def value(self) -> str:
        """Value of the sample in forms."""
        return PREFIX + self.file

    @property
    def path(self) -> Path:
        """Path of the file."""
        return FOLDER / self.file


@dataclass(frozen=True)
class Pair:
    """Photo and style that suit each other."""

    title: str
    content: Sample
    style: Sample


@cache
def photos() -> tuple[Sample, ...]:
    """Return the samples for content."""
    return tuple(_to_sample(entry) for entry in _read_index()["photos"])


@cache
def styles() -> tuple[Sample, ...]:
    """Return the samples for style."""
    return tuple(_to_sample(entry) for entry in _read_index()["styles"])


@cache
def pairs() -> tuple[Pair, ...]:
    """Return the recommended pairs of a photo and a style."""
    return tuple(
        Pair(
            entry["title"], _by_file(photos(), entry["content"]), _by_file(styles(), entry["style"])
        )
        for entry in _read_index()["pairs"]
    )


def find(value: str) -> Sample | None:
    """Return the sample that a form value names, or None."""
    return next((s for s in (*photos(), *styles()) if s.value == value), None)


def _by_file(samples: tuple[Sample, ...], file: str) -> Sample:
    return next(sample for sample in samples if sample.file == file)


def _to_sample(entry: dict[str, Any]) -> Sample:
    return Sample(entry["file"], entry["title"], entry["width"], entry["height"])


@cache
def _read_index() -> Any:
    return json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))
