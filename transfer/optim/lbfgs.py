"""L-BFGS without line search."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.optim.history import DEFAULT_HISTORY
from transfer.optim.iterate import Best, DifferentiableLoss, Iterate
from transfer.optim.stored_vectors import CurvaturePair, ExactVector, Fp16Vector, StoredVector

FIRST_STEP_RMS = 0.01
"""Root-mean-square change of the first step, for which no curvature is known yet."""

MAX_STEP_RMS = 0.15
"""Largest root-mean-square change of a step, in place of a line search."""

PATIENCE = 20
"""Number of evaluations over which the decrease of the loss is judged."""
_MIN_DECREASE = 0.01
"""Share of the loss: if it falls by less in `PATIENCE` evaluations, it has come to rest.
Pictures as people paint them do not come so far on any scale (by 2 to 5 % in the last 20 of 120
evaluations of the coarsest); flat ones do within a few."""

_OVERSHOOT_FACTOR = 4.0
"""Multiple of the best loss so far beyond which a step is taken back."""


@dataclass(frozen=True)
class LbfgsState:
    """State of `minimize` besides the image that it has just evaluated."""

    pairs: tuple[CurvaturePair, ...] = ()
    """Curvature pairs, the latest last."""
    first_step_rms: float = FIRST_STEP_RMS
    """Root-mean-square change of the next step that has no curvature."""
    best: Best | None = None
    """Image of the lowest loss; None if it is the image itself."""
    lows: tuple[float, ...] = ()
    """Lowest losses after each evaluation before this one, at most `PATIENCE`, the latest last."""


def with_autograd_gradient(loss: Callable[[Tensor], Tensor]) -> DifferentiableLoss:
    """Return a function that computes a loss and its gradient by autograd."""

    def with_gradient(image: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            image = image.detach().requires_grad_()
            value = loss(image)
            (gradient,) = torch.autograd.grad(value, image)
        return value.detach(), gradient.contiguous()

    return with_gradient


def minimize(
    start: Tensor,
    objective: DifferentiableLoss,
    evaluations: int,
    on_evaluation: Callable[[Iterate], None] = lambda _: None,
    history: int = DEFAULT_HISTORY,
    *,
    is_fp16: bool = False,
    run_all: bool = False,
    optimizer_state: LbfgsState | None = None,
) -> Tensor:
    """Minimize a loss from ``start`` on, and return the best image that was evaluated.

    L-BFGS as in Nocedal & Wright, "Numerical Optimization", algorithms 7.4 and 7.5, always with
    step length 1. There is no line search: each trial would cost a whole evaluation. All
    decisions follow from a few numbers, which the host reads once per evaluation: on a GPU each
    wait for the device costs as much as many launches.

    Args:
        start: first image, of any shape; not changed.
        objective: loss to minimize.
        evaluations: number of calls of the objective; fewer are made if its gradient vanishes or
            its loss comes to rest.
        on_evaluation: called after each evaluation; its exceptions pass through.
        history: number of curvature pairs to store.
        is_fp16: store them in half precision, in half the memory.
        run_all: go on even if the loss has come to rest.
        optimizer_state: state of an `Iterate` whose image is ``start``. The first evaluation
            repeats that of the iterate; then the run goes on as if it had not stopped.
    """
    image = start.detach().contiguous()
    del start  # The caller may have no other use for it, and it is as large as the image.
    resumed = optimizer_state or LbfgsState()
    best = resumed.best or Best(image, math.inf)
    hessian = _InverseHessian(history, is_fp16, resumed.pairs)
    first_step_rms = resumed.first_step_rms
    lows = deque(resumed.lows, PATIENCE + 1)
    del optimizer_state, resumed
    for evaluation in range(1, evaluations + 1):
        value, gradient = objective(image)
        pair_products = hessian.measure_step(gradient)
        loss, squared_norm, *products = _read(value, _dot(gradient, gradient), *pair_products)
        hessian.accept_step(*products)
        has_overshot = not loss <= _OVERSHOOT_FACTOR * best.loss  # written so that NaN has, too
        if loss < best.loss:
            best = Best(image, loss)
        other_best = None if best.image is image else best
        optimizer_state = LbfgsState(
            hessian.pairs, first_step_rms, other_best, tuple(lows)[-PATIENCE:]
        )
        lows.append(best.loss)
        on_evaluation(Iterate(evaluation, loss, image, optimizer_state))
        if has_overshot:
            if best.loss == math.inf:
                break  # There is no number to go back to.
            # The best image is evaluated once more: storing its gradient would cost memory always.
            image = best.image
            hessian = _InverseHessian(history, is_fp16)
            first_step_rms /= 4.0
            continue
        if not 0.0 < squared_norm < math.inf:
            break
        is_at_rest = len(lows) > PATIENCE and lows[-1] > (1.0 - _MIN_DECREASE) * lows[0]
        if evaluation == evaluations or (is_at_rest and not run_all):
            break
        step = hessian.apply_inverse_hessian(gradient).neg_()
        _limit_step(step, MAX_STEP_RMS if hessian.has_pairs else first_step_rms, hessian.has_pairs)
        hessian.begin_step(step, gradient)
        image = image + step
        del step, gradient  # As large as the image; the history stores what is needed of them.
    return best.image


def _read(*scalars: Tensor) -> list[float]:
    """Read some values, the one time in an evaluation that the host waits for the device."""
    values: list[float] = torch.stack([scalar.double() for scalar in scalars]).tolist()
    return values


def _limit_step(step: Tensor, rms: float, has_pairs: bool) -> None:
    """Shorten a longer step in place; scale one without curvature to this length."""
    factor = rms * math.sqrt(step.numel()) / _dot(step, step).sqrt()
    step *= factor.clamp_max(1.0) if has_pairs else factor


class _InverseHessian:
    """Approximation of the inverse Hessian by the last steps and gradient changes."""

    def __init__(self, history: int, is_fp16: bool, pairs: Sequence[CurvaturePair] = ()) -> None:
        self._pairs: deque[CurvaturePair] = deque(pairs, maxlen=history)
        self._is_fp16 = is_fp16
        self._pending: tuple[StoredVector, Tensor] | None = None
        """Step in progress, and the gradient before it."""
        self._candidate: CurvaturePair | None = None

    @property
    def has_pairs(self) -> bool:
        """True if any step was accepted."""
        return bool(self._pairs)

    @property
    def pairs(self) -> tuple[CurvaturePair, ...]:
        """Accepted pairs, the latest last."""
        return tuple(self._pairs)

    def begin_step(self, step: Tensor, gradient: Tensor) -> None:
        """Store the step that is about to be taken, and the gradient where it begins."""
        self._pending = (self._store(step), gradient)

    def measure_step(self, gradient: Tensor) -> tuple[Tensor, ...]:
        """Return the products that `accept_step` takes, from the gradient after the step."""
        if self._pending is None:
            return ()
        (step, before), self._pending = self._pending, None
        change = self._store(gradient, before)
        # Products of the rounded vectors, so that the pair is consistent in itself.
        product, square = step.dot_stored(change), change.dot_stored(change)
        self._candidate = CurvaturePair(step, change, 1.0 / product, square)
        return product, step.dot_stored(step), square

    def accept_step(self, product: float = 0.0, length: float = 0.0, change: float = 0.0) -> None:
        """Add the last step to the pairs if the loss curves upward along it."""
        candidate, self._candidate = self._candidate, None
        # Steps through concave regions say nothing about the minimum.
        if candidate is not None and product > 1e-6 * math.sqrt(length * change):
            self._pairs.append(candidate)

    def _store(self, vector: Tensor, minus: Tensor | None = None) -> StoredVector:
        if self._is_fp16:
            return Fp16Vector.of(vector, minus)
        return ExactVector(vector if minus is None else vector - minus)

    def apply_inverse_hessian(self, gradient: Tensor) -> Tensor:
        """Return the inverse Hessian times the gradient (two-loop recursion, algorithm 7.4)."""
        result = gradient.clone()
        if not self._pairs:
            return result
        alphas = []
        for pair in reversed(self._pairs):
            alpha = pair.inverse * pair.step.dot(result)
            pair.change.add_to(result, alpha, -1.0)
            alphas.append(alpha)
        result /= self._pairs[-1].inverse * self._pairs[-1].square
        for pair, alpha in zip(self._pairs, reversed(alphas), strict=True):
            pair.step.add_to(result, alpha - pair.inverse * pair.change.dot(result), 1.0)
        return result


def _dot(vector: Tensor, other: Tensor) -> Tensor:
    return torch.dot(vector.flatten(), other.flatten())
