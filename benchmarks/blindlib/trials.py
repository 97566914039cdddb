"""Trials of a blind comparison, and the key that says which picture is whose."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from benchmarks.common.errors import BenchmarkError

FORMAT = 1
"""Number to change whenever an old key would be misread."""


class KeyUnusable(BenchmarkError):
    """A file is no key of a blind comparison."""


@dataclass(frozen=True)
class Trial:
    """One sheet: a pair, painted by two contenders."""

    sheet: str
    """Name of the sheet, such as ``"3f9a-07"``."""
    pair: str
    a: str
    """Name of the contender whose picture is A."""
    b: str

    def contender(self, answer: str) -> str:
        """Return the name behind ``"A"`` or ``"B"``; ``"tie"`` stays."""
        return {"A": self.a, "B": self.b}.get(answer, answer)


@dataclass(frozen=True)
class Key:
    """All that raters must not know."""

    seed: int
    contenders: tuple[str, str]
    raters: tuple[str, ...]
    trials: tuple[Trial, ...]

    def order(self, rater: str) -> list[str]:
        """Return the names of the sheets in the order for a rater."""
        sheets = [trial.sheet for trial in self.trials]
        random.Random(f"{self.seed} {rater}").shuffle(sheets)  # noqa: S311 - no secret
        return sheets

    def write(self, file: Path) -> None:
        """Store as JSON."""
        file.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what `write` stored.

        Raises:
            KeyUnusable: if the file is missing, or no such key.
        """
        try:
            stored = json.loads(file.read_text())
            if stored.pop("format") != FORMAT:
                raise KeyUnusable(f"{file} is a key of another version of this program.")
            trials = tuple(Trial(**trial) for trial in stored.pop("trials"))
            first, second = stored.pop("contenders")
            raters = tuple(stored.pop("raters"))
            return cls(contenders=(first, second), raters=raters, trials=trials, **stored)
        except OSError as error:
            raise KeyUnusable(f"{file} cannot be read: {error.strerror}.") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeyUnusable(f"{file} is no key of a blind comparison.") from None


def make_key(pictures: Mapping[str, Mapping[str, Path]], raters: Sequence[str], seed: int) -> Key:
    """Shuffle pairs over sheets, and both pictures over A and B.

    Each contender is A on half of the sheets, so that whoever prefers a side prefers neither.

    Args:
        pictures: finished pictures of each pair by the names of the two contenders; both have the
            same pairs.
        raters: names.
        seed: decides of all orders.
    """
    first, second = pictures
    generator = random.Random(seed)  # noqa: S311 - no secret
    pairs = sorted(pictures[first])
    generator.shuffle(pairs)
    is_swapped = [number % 2 == 1 for number in range(len(pairs))]
    generator.shuffle(is_swapped)
    digest = hashlib.sha256(repr(seed).encode())
    for pair in pairs:
        for contender in (first, second):
            digest.update(pictures[contender][pair].read_bytes())
    # Names of sheets belong to one set, so that forms of another one are noticed.
    name = digest.hexdigest()[:4]
    trials = tuple(
        Trial(f"{name}-{number:02}", pair, *((second, first) if swapped else (first, second)))
        for number, (pair, swapped) in enumerate(zip(pairs, is_swapped, strict=True), 1)
    )
    return Key(seed, (first, second), tuple(raters), trials)
