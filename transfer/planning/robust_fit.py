"""Robust fit of a linear cost model with positive coefficients. Free of torch.

``total = sum of coefficient * count``. Each coefficient has a prior: an expected value, and a
standard deviation of its logarithm; observations correct it. Errors are those of logarithms, so
coefficients stay positive, and being twice too high is as bad as being twice too low. They are
distributed as Student's t, so outliers count little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOISE = 0.08
"""Scatter of observed totals, in logarithms: repeated runs on one machine differ by as much."""
_DEGREES_OF_FREEDOM = 4.0
"""Parameter of Student's t: the smaller, the less an outlier counts."""
_LARGEST = 1e18
"""Bound of counts, totals and weights; its inverse is the bound below."""
_FIRST_SCATTER = 2.0
_SCATTER_DECAY = 0.7
"""Factor of the scatter from one iteration to the next, down to `NOISE`."""
_COMMON_SHIFTS = range(-10, 11)
"""Common shifts to choose the start from."""
_ITERATIONS = 40
_HALVINGS = 6
_CONVERGED = 1e-3
_LEAST_COMMON_STD = 1e-3
"""Prior standard deviation of the common shift where coefficients have none in common."""
_LARGEST_SHIFT = 14.0
"""Bound of shifts: coefficients stay within a factor of a million of their prior value."""


_Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Coefficient:
    """Prior of one coefficient."""

    value: float
    """Expected value, positive: the cost of one unit."""
    log_std: float
    """Prior standard deviation of its logarithm, apart from the common shift."""
    is_shared: bool = False
    """True if the coefficient rises and falls with the other shared ones."""


@dataclass(frozen=True)
class Observation:
    """A measured total and its counts."""

    counts: tuple[float, ...]
    """Count for each coefficient, not negative."""
    total: float
    """Measured cost, positive."""
    weight: float = 1.0
    """Weight in the fit, positive."""

    @property
    def is_valid(self) -> bool:
        """True if all values are numbers within bounds; broken clocks and counts are not."""
        # Written so that NaN fails, too.
        return (
            all(0.0 <= count < _LARGEST for count in self.counts)
            and max(self.counts) > 1.0 / _LARGEST
            and all(1.0 / _LARGEST < value < _LARGEST for value in (self.total, self.weight))
        )


def predict(coefficients: Sequence[float], counts: Sequence[float]) -> float:
    """Return the total of these counts."""
    return sum(value * count for value, count in zip(coefficients, counts, strict=True))


def fit(
    priors: Sequence[Coefficient], observations: Sequence[Observation], common_log_std: float = 0.0
) -> tuple[float, ...]:
    """Return the coefficients with the highest posterior, found by Gauss-Newton.

    Args:
        priors: the coefficients before any observation.
        observations: invalid ones are left out; with none, the prior values are returned.
        common_log_std: prior standard deviation of the logarithm of a factor that all shared
            coefficients have in common, such as the speed of a device; 0: there is none.
    """
    valid = [observation for observation in observations if observation.is_valid]
    if not valid:
        return tuple(prior.value for prior in priors)
    problem = _Problem(priors, valid, max(common_log_std, _LEAST_COMMON_STD))
    scatter = _FIRST_SCATTER
    # Gauss-Newton could diverge from a start that is far from the data.
    shifts = min(
        (np.array([0.0] * len(priors) + [float(common)]) for common in _COMMON_SHIFTS),
        key=lambda start: problem.loss(start, scatter),
    )
    for _ in range(_ITERATIONS):
        improved = problem.improve(shifts, scatter)
        change = np.abs(improved - shifts).max()
        shifts = improved
        if scatter == NOISE and change < _CONVERGED:
            break
        # At first every observation counts; as the scatter shrinks, outliers lose their weight.
        scatter = max(NOISE, _SCATTER_DECAY * scatter)
    return tuple(problem.coefficients(shifts).tolist())


class _Problem:
    """Minus the logarithm of the posterior, as a function of shifts of the logarithms.

    Shifts have shape (coefficients + 1,): one for each coefficient, and last the common shift of
    the shared ones.
    """

    def __init__(
        self,
        priors: Sequence[Coefficient],
        observations: Sequence[Observation],
        common_log_std: float,
    ) -> None:
        self._prior_values = np.array([prior.value for prior in priors])
        self._log_stds = np.array([*(prior.log_std for prior in priors), common_log_std])
        self._is_shared = np.array([prior.is_shared for prior in priors], dtype=float)
        self._counts = np.array([observation.counts for observation in observations])
        self._log_totals = np.log([observation.total for observation in observations])
        self._weights = np.array([observation.weight for observation in observations])

    def coefficients(self, shifts: _Vector) -> _Vector:
        """Return the coefficients with these shifts, shape (coefficients,)."""
        log_factors = shifts[:-1] + self._is_shared * shifts[-1]
        return self._prior_values * np.exp(_clip(log_factors))

    def loss(self, shifts: _Vector, scatter: float) -> float:
        """Return the value to be minimized, up to a constant."""
        errors = self._log_totals - np.log(self._counts @ self.coefficients(shifts))
        misfit = self._weights @ np.log1p((errors / scatter) ** 2 / _DEGREES_OF_FREEDOM)
        return 0.5 * float(np.sum((shifts / self._log_stds) ** 2) + _DEGREES_OF_FREEDOM * misfit)

    def improve(self, shifts: _Vector, scatter: float) -> _Vector:
        """Return the shifts after a Gauss-Newton step, halved until it lowers the loss."""
        step = self._step(shifts, scatter)
        before = self.loss(shifts, scatter)
        for halvings in range(_HALVINGS):
            moved = _clip(shifts + step / 2**halvings)
            if self.loss(moved, scatter) < before:
                return moved
        return shifts

    def _step(self, shifts: _Vector, scatter: float) -> _Vector:
        """Return the Gauss-Newton step as a solution of weighted least squares."""
        addends = self._counts * self.coefficients(shifts)
        totals = addends.sum(axis=1)
        errors = self._log_totals - np.log(totals)
        # Derivatives of each total's logarithm, shape (observations, coefficients + 1).
        gradients = addends / totals[:, None]
        gradients = np.column_stack([gradients, gradients @ self._is_shared])
        row_weights = np.sqrt(self._weights / (scatter**2 + errors**2 / _DEGREES_OF_FREEDOM))
        rows = np.vstack([np.diag(1.0 / self._log_stds), row_weights[:, None] * gradients])
        right = np.concatenate([-shifts / self._log_stds, row_weights * errors])
        step: _Vector = np.linalg.lstsq(rows, right)[0]
        return step


def _clip(shifts: _Vector) -> _Vector:
    return np.clip(shifts, -_LARGEST_SHIFT, _LARGEST_SHIFT)
