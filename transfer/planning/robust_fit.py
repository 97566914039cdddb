"""What something takes, as a sum of positive parts whose prices are learned. Free of torch.

``taken = sum over parts of price * count``. Prices are known roughly beforehand; what was seen
corrects them. All of it happens in logarithms: prices stay positive, and being twice too high is as
bad as being twice too low.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOISE = 0.08
"""Scatter, in logarithms, that is put down to the machine: repeated runs differ by as much."""
_TAILS = 4.0
"""Degrees of freedom of Student's t: what lies far from all others counts little."""
_LARGEST = 1e18
"""No count and no bill of a real device is as large, or as small as its inverse."""
_FIRST_SCATTER = 2.0
_CLOSING_IN = 0.7
_COMMON_SHIFTS = range(-10, 11)
_ROUNDS = 40
_HALVINGS = 6
_CONVERGED = 1e-3
_NEXT_TO_NONE = 1e-3
_FARTHEST = 14.0
"""Prices stay within a factor of a million of what was expected, whatever was seen."""


_Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Coefficient:
    """One part of the sum, before anything is seen."""

    price: float
    """Of one unit, positive."""
    doubt: float
    """Standard deviation of its logarithm, apart from what it shares with others."""
    shares: bool = False
    """Whether its price rises and falls with those of the other parts that share."""


@dataclass(frozen=True)
class Observation:
    """Something that happened."""

    counts: tuple[float, ...]
    """Of each part, not negative."""
    taken: float
    weight: float = 1.0

    @property
    def is_sane(self) -> bool:
        """Whether it can be learned from: broken clocks and counts tell nothing."""
        # Written so that NaN fails, too.
        return (
            all(0.0 <= count < _LARGEST for count in self.counts)
            and max(self.counts) > 1.0 / _LARGEST
            and all(1.0 / _LARGEST < value < _LARGEST for value in (self.taken, self.weight))
        )


def predict(prices: Sequence[float], counts: Sequence[float]) -> float:
    """What these counts take at these prices."""
    return sum(price * count for price, count in zip(prices, counts, strict=True))


def fit(
    parts: Sequence[Coefficient], observations: Sequence[Observation], common_doubt: float = 0.0
) -> tuple[float, ...]:
    """The likeliest prices: Gauss-Newton on Student's t, from the prices known beforehand.

    Args:
        parts: what is known beforehand.
        observations: those that are not sane are left out; with none, prices stay as they are.
        common_doubt: standard deviation of the logarithm of what all sharing parts have in common,
            such as the speed of a device; 0: they have nothing in common.
    """
    seen = [one for one in observations if one.is_sane]
    if not seen:
        return tuple(part.price for part in parts)
    problem = _Problem(parts, seen, max(common_doubt, _NEXT_TO_NONE))
    scatter = _FIRST_SCATTER
    # Far from where the data are, the rounds could go astray.
    shifts = min(
        (np.array([0.0] * len(parts) + [float(common)]) for common in _COMMON_SHIFTS),
        key=lambda start: problem.loss(start, scatter),
    )
    for _ in range(_ROUNDS):
        moved = problem.improved(shifts, scatter)
        change = np.abs(moved - shifts).max()
        shifts = moved
        if scatter == NOISE and change < _CONVERGED:
            break
        # At first everything counts; as the fit closes in, what stays outside is let go.
        scatter = max(NOISE, _CLOSING_IN * scatter)
    return tuple(problem.prices(shifts).tolist())


class _Problem:
    """Minus the logarithm of the posterior, over shifts of the prices' logarithms.

    Shifts have shape (parts + 1,): one of each part, and last the one that sharing parts have in
    common.
    """

    def __init__(
        self, parts: Sequence[Coefficient], seen: Sequence[Observation], common_doubt: float
    ) -> None:
        self._expected = np.array([part.price for part in parts])
        self._doubts = np.array([*(part.doubt for part in parts), common_doubt])
        self._shares = np.array([part.shares for part in parts], dtype=float)
        self._counts = np.array([one.counts for one in seen])
        self._log_taken = np.log([one.taken for one in seen])
        self._weights = np.array([one.weight for one in seen])

    def prices(self, shifts: _Vector) -> _Vector:
        """Prices with these shifts, shape (parts,)."""
        moved = shifts[:-1] + self._shares * shifts[-1]
        return self._expected * np.exp(_within_reach(moved))

    def loss(self, shifts: _Vector, scatter: float) -> float:
        """Value to be minimized, up to a constant."""
        errors = self._log_taken - np.log(self._counts @ self.prices(shifts))
        apart = self._weights @ np.log1p((errors / scatter) ** 2 / _TAILS)
        return 0.5 * float(np.sum((shifts / self._doubts) ** 2) + _TAILS * apart)

    def improved(self, shifts: _Vector, scatter: float) -> _Vector:
        """The shifts after one round: a Gauss-Newton step, shortened until it helps."""
        step = self._step(shifts, scatter)
        before = self.loss(shifts, scatter)
        for halvings in range(_HALVINGS):
            moved = _within_reach(shifts + step / 2**halvings)
            if self.loss(moved, scatter) < before:
                return moved
        return shifts

    def _step(self, shifts: _Vector, scatter: float) -> _Vector:
        addends = self._counts * self.prices(shifts)
        sums = addends.sum(axis=1)
        errors = self._log_taken - np.log(sums)
        # Derivatives of each sum's logarithm, shape (observations, parts + 1).
        gradients = addends / sums[:, None]
        gradients = np.column_stack([gradients, gradients @ self._shares])
        trust = np.sqrt(self._weights / (scatter**2 + errors**2 / _TAILS))
        rows = np.vstack([np.diag(1.0 / self._doubts), trust[:, None] * gradients])
        right = np.concatenate([-shifts / self._doubts, trust * errors])
        step: _Vector = np.linalg.lstsq(rows, right)[0]
        return step


def _within_reach(shifts: _Vector) -> _Vector:
    return np.clip(shifts, -_FARTHEST, _FARTHEST)
