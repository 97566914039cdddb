"""What something takes, as a sum of positive parts whose prices are learned. Free of torch.

``taken = sum over parts of price * count``. Prices are known roughly beforehand; what was seen
corrects them. All of it happens in logarithms: prices stay positive, and being twice too high is as
bad as being twice too low.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Part:
    """One part of the sum, before anything is seen."""

    price: float
    """Of one unit, positive."""
    doubt: float
    """Standard deviation of its logarithm, apart from what it shares with others."""
    shares: bool = False
    """Whether its price rises and falls with those of the other parts that share."""


@dataclass(frozen=True)
class Seen:
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


def predicted(prices: Sequence[float], counts: Sequence[float]) -> float:
    """What these counts take at these prices."""
    return sum(price * count for price, count in zip(prices, counts, strict=True))


def learned(
    parts: Sequence[Part], observations: Sequence[Seen], common_doubt: float = 0.0
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
    # The last place is what they have in common.
    doubts = [*(part.doubt for part in parts), max(common_doubt, _NEXT_TO_NONE)]
    problem = _Problem(parts, seen, doubts)
    scatter = _FIRST_SCATTER
    # Far from where the data are, the rounds could go astray.
    shifts = min(
        ([*(0.0 for _ in parts), float(common)] for common in _COMMON_SHIFTS),
        key=lambda start: problem.loss(start, scatter),
    )
    for _ in range(_ROUNDS):
        moved = problem.improved(shifts, scatter)
        change = max(abs(new - old) for new, old in zip(moved, shifts, strict=True))
        shifts = moved
        if scatter == NOISE and change < _CONVERGED:
            break
        # At first everything counts; as the fit closes in, what stays outside is let go.
        scatter = max(NOISE, _CLOSING_IN * scatter)
    return _prices(parts, shifts)


@dataclass(frozen=True)
class _Problem:
    """What the shifts of all prices, in logarithms, have to explain."""

    parts: Sequence[Part]
    seen: Sequence[Seen]
    doubts: Sequence[float]

    def loss(self, shifts: Sequence[float], scatter: float) -> float:
        """Minus the logarithm of how likely all of it is."""
        prices = _prices(self.parts, shifts)
        beforehand = sum(
            (shift / doubt) ** 2 for shift, doubt in zip(shifts, self.doubts, strict=True)
        )
        apart = (
            one.weight * math.log1p((_error(one, prices) / scatter) ** 2 / _TAILS)
            for one in self.seen
        )
        return 0.5 * beforehand + 0.5 * _TAILS * sum(apart)

    def improved(self, shifts: Sequence[float], scatter: float) -> list[float]:
        """The shifts after one round: a Gauss-Newton step, shortened until it helps."""
        step = self._step(shifts, scatter)
        before = self.loss(shifts, scatter)
        for halvings in range(_HALVINGS):
            moved = [
                min(max(shift + change / 2**halvings, -_FARTHEST), _FARTHEST)
                for shift, change in zip(shifts, step, strict=True)
            ]
            if self.loss(moved, scatter) < before:
                return moved
        return list(shifts)

    def _step(self, shifts: Sequence[float], scatter: float) -> list[float]:
        prices = _prices(self.parts, shifts)
        size = len(self.doubts)
        right = [-shift / doubt**2 for shift, doubt in zip(shifts, self.doubts, strict=True)]
        matrix = [[0.0] * size for _ in range(size)]
        for k, doubt in enumerate(self.doubts):
            matrix[k][k] = 1.0 / doubt**2
        for one in self.seen:
            whole = predicted(prices, one.counts)
            # How the logarithm of the sum moves with each shift, and with the common one.
            row = [price * count / whole for price, count in zip(prices, one.counts, strict=True)]
            row.append(sum(s for s, part in zip(row, self.parts, strict=True) if part.shares))
            error = _error(one, prices)
            trust = one.weight / scatter**2 / (1.0 + (error / scatter) ** 2 / _TAILS)
            for k in range(size):
                right[k] += trust * row[k] * error
                for other in range(size):
                    matrix[k][other] += trust * row[k] * row[other]
        return _solution(matrix, right)


def _error(one: Seen, prices: Sequence[float]) -> float:
    return math.log(one.taken) - math.log(predicted(prices, one.counts))


def _prices(parts: Sequence[Part], shifts: Sequence[float]) -> tuple[float, ...]:
    common = shifts[-1]
    return tuple(
        part.price * math.exp(min(max(shift + common * part.shares, -_FARTHEST), _FARTHEST))
        for part, shift in zip(parts, shifts[:-1], strict=True)
    )


def _solution(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Of linear equations, by Cholesky: doubts make the matrix positive definite."""
    size = len(right)
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] - sum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i][j] = math.sqrt(max(rest, 1e-12)) if i == j else rest / lower[j][j]
    found = list(right)
    for i in range(size):
        found[i] = (found[i] - sum(lower[i][k] * found[k] for k in range(i))) / lower[i][i]
    for i in reversed(range(size)):
        below = sum(lower[k][i] * found[k] for k in range(i + 1, size))
        found[i] = (found[i] - below) / lower[i][i]
    return found
