"""Engines that paint: ours at an effort and a strength, and peers with their own defaults.

Every engine runs through its own command line, in a process of its own: then start, imports and
weights count for all of them alike.
"""

import ast
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from PIL import Image

from benchmarks.common.errors import EngineFailed
from benchmarks.common.pairs import Identity, Order
from benchmarks.common.pastiche import Pastiche, module_command
from config import PROJECT_ROOT
from transfer.backbones import vgg19
from transfer.imaging.images import fit_size
from transfer.planning import pyramid
from transfer.settings import AdvancedSettings, Effort, Settings

_OWN_SOURCES = PROJECT_ROOT / "transfer"
_NOT_PAINTING = {"__main__.py", "distill.py"}
_EVALUATIONS = re.compile(r"(\d+) evaluations of ")


class Engine(Protocol):
    """An engine that paints every pair in one way: one column of the table."""

    @property
    def name(self) -> str:
        """Name in tables and files."""

    def identity(self, order: Order) -> Identity:
        """Return everything but the pictures that the painting depends on."""

    def command(self, order: Order, output: Path) -> list[str]:
        """Return the command that paints it, and stores a PNG."""

    def evaluations(self, lines: Sequence[str]) -> int:
        """Return the number of evaluations of loss and gradient, from what the program printed."""


@dataclass(frozen=True)
class Ours:
    """Our engine, run as `python -m transfer`."""

    effort: Effort
    strength: float
    content_weight: float | None = None
    """A fixed weight of the content, in place of a strength."""

    @property
    def name(self) -> str:
        """Name in tables, such as ``"standard 0.5"``."""
        return f"{self.effort} {self.column}"

    @property
    def column(self) -> str:
        """Strength or weight, such as ``"0.5"`` or ``"w 0.5"``."""
        if self.content_weight is None:
            return f"{self.strength:g}"
        return f"w {self.content_weight:g}"

    def identity(self, order: Order) -> Identity:
        """Return settings, code without comments, and weights of the backbones that paint."""
        settings = self._settings(order)
        with Image.open(order.pair.content) as content:
            width, height = content.size
        steps = pyramid.first_schedule(settings, *fit_size(height, width, order.size_px))
        return {
            "engine": "pic2paint",
            "effort": str(self.effort),
            "strength": self.strength,
            "size_px": order.size_px,
            **({} if self.content_weight is None else {"content_weight": self.content_weight}),
            "seed": order.seed,
            "device": order.device,
            "sources": _sources_hash(),
            **{f"weights of {name}": _weights_hash(name) for name in {s.backbone for s in steps}},
        }

    def command(self, order: Order, output: Path) -> list[str]:
        """Return the command, with defaults but for what is compared."""
        options = {
            "--size": order.size_px,
            "--strength": self.strength,
            "--effort": self.effort,
            "--seed": order.seed,
            **({} if self.content_weight is None else {"--content-weight": self.content_weight}),
            "--output": output,
        }
        return module_command("transfer", options, order.pair.content, order.pair.style)

    def evaluations(self, lines: Sequence[str]) -> int:
        """Read the number in the last sentence that the program printed."""
        for line in reversed(lines):
            if match := _EVALUATIONS.match(line):
                return int(match[1])
        raise EngineFailed(f"{self.name} did not say how many evaluations it took.")

    def _settings(self, order: Order) -> Settings:
        return Settings(
            long_edge_px=order.size_px,
            strength=self.strength,
            effort=self.effort,
            seed=order.seed,
            advanced=AdvancedSettings(content_weight=self.content_weight),
        )


PEERS = {"pastiche": Pastiche.find}
"""Name of a peer -> the function that makes the engine from its number of steps."""


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node


@cache
def _sources_hash() -> str:
    """Hash what the code does: comments, docstrings and layout may change."""
    digest = hashlib.sha256()
    for path in sorted(_OWN_SOURCES.rglob("*.py")):
        if path.name not in _NOT_PAINTING:
            tree = _WithoutDocstrings().visit(ast.parse(path.read_bytes()))
            digest.update(ast.dump(tree).encode())
    return digest.hexdigest()


@cache
def _weights_hash(backbone: str) -> str:
    if backbone == vgg19.NAME:
        return vgg19.SHA256
    data = (_OWN_SOURCES / "backbones" / f"{backbone}.safetensors").read_bytes()
    return hashlib.sha256(data).hexdigest()
