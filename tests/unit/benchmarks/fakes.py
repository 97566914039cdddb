"""Engines that paint at once, and leave a line each time they do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common.pairs import Identity, Order
from benchmarks.qualitylib.engines import Ours
from tests.seeds import shifted


def picture(height: int, width: int, seed: int) -> Image.Image:
    """Soft colored waves: something to see for every layer."""
    generator = np.random.default_rng(shifted(seed))
    y, x = np.mgrid[0:height, 0:width]
    values = np.zeros((height, width, 3))
    for _ in range(12):
        down, across = generator.uniform(-0.4, 0.4, 2)
        wave = np.cos(down * y + across * x + generator.uniform(0, 6))
        values += wave[:, :, None] * generator.uniform(-1, 1, 3)
    values = 127.5 + 60.0 * values / values.std()
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def folder_of_pictures(folder: Path, contents: Sequence[str], styles: Sequence[str]) -> Path:
    folder.mkdir()
    for seed, (role, name) in enumerate(
        [("content", name) for name in contents] + [("style", name) for name in styles]
    ):
        picture(48, 64, seed).save(folder / f"{role}-{name}.jpg", quality=95)
    return folder


def copying(source: Path, output: Path, log: Path) -> list[str]:
    return [
        "sh",
        "-c",
        'echo painted >> "$3" && cp "$1" "$2"',
        "sh",
        *map(str, (source, output, log)),
    ]


@dataclass(frozen=True)
class Copyist:
    """A peer that hands back the content."""

    log: Path
    taste: int = 0
    is_broken: bool = False

    @property
    def name(self) -> str:
        return "copyist"

    @property
    def painted(self) -> int:
        return self.log.read_text().count("painted") if self.log.exists() else 0

    def identity(self, order: Order) -> Identity:
        return {"engine": "copyist", "taste": self.taste, "size_px": order.size_px}

    def command(self, order: Order, output: Path) -> list[str]:
        if self.is_broken:
            return ["sh", "-c", "echo out of paint >&2; exit 3"]
        return copying(order.pair.content, output, self.log)

    def evaluations(self, lines: Sequence[str]) -> int:
        return 3


class QuickOurs(Ours):
    """Ours, in no time: the style for a strong painting, the content for a weak one."""

    log: Path

    def command(self, order: Order, output: Path) -> list[str]:
        source = order.pair.style if self.strength > 0.5 else order.pair.content
        return copying(source, output, self.log)

    def evaluations(self, lines: Sequence[str]) -> int:
        return 7
