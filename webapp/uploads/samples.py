"""The pictures that ship with the site, for a first painting without looking for anything."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from config import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "static" / "samples"
PREFIX = "sample:"
"""Begins the form value of a sample; others are ids of uploads, which have no colon."""


@dataclass(frozen=True)
class Sample:
    """A shipped picture."""

    file: str
    title: str
    width: int
    height: int

    @property
    def value(self) -> str:
        """How forms name it."""
        return PREFIX + self.file

    @property
    def path(self) -> Path:
        """Where it lies."""
        return FOLDER / self.file


@dataclass(frozen=True)
class Pair:
    """A photo and a style that go well together."""

    title: str
    content: Sample
    style: Sample


@cache
def photos() -> tuple[Sample, ...]:
    """Shipped content pictures."""
    return tuple(_sample(entry) for entry in _listing()["photos"])


@cache
def styles() -> tuple[Sample, ...]:
    """Shipped style pictures."""
    return tuple(_sample(entry) for entry in _listing()["styles"])


@cache
def pairs() -> tuple[Pair, ...]:
    """Recommended combinations."""
    return tuple(
        Pair(entry["title"], _named(photos(), entry["content"]), _named(styles(), entry["style"]))
        for entry in _listing()["pairs"]
    )


def find(value: str) -> Sample | None:
    """The sample that a form value names, if it is one."""
    return next((s for s in (*photos(), *styles()) if s.value == value), None)


def _named(samples: tuple[Sample, ...], file: str) -> Sample:
    return next(sample for sample in samples if sample.file == file)


def _sample(entry: dict[str, Any]) -> Sample:
    return Sample(entry["file"], entry["title"], entry["width"], entry["height"])


@cache
def _listing() -> Any:
    return json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))
