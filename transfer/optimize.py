"""One scale of the optimization: L-BFGS without line search."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.history import Exact, Halved, Remembered

HISTORY = 20
"""Steps remembered; 10 to 20 paint as well as 100, which take more memory than the network."""

FIRST_STEP_RMS = 0.01
"""Root-mean-square change of the first step, which has no curvature to go by yet."""

MAX_STEP_RMS = 0.15
"""No step changes the image more than this: part of what a line search would do."""

_OVERSHOT = 4.0
"""A loss this many times the best so far means that a step went wrong."""


def minimize(
    start: Tensor,
    objective: Callable[[Tensor], Tensor],
    evaluations: int,
    on_evaluation: Callable[[int, float, Tensor], None] = lambda *_: None,
    history: int = HISTORY,
    *,
    is_halved: bool = False,
) -> Tensor:
    """The best of the images met on the way down from ``start``.

    L-BFGS as in Nocedal & Wright, "Numerical Optimization", algorithms 7.4 and 7.5, always with
    step length 1. There is no line search: each trial would cost a whole evaluation.

    Args:
        start: any shape; not changed.
        objective: a scalar from an image.
        evaluations: calls of the objective; fewer if its gradient vanishes.
        on_evaluation: gets the number of evaluations so far, the loss, and the image that it
            belongs to; what it raises passes through.
        history: steps remembered.
        is_halved: remember them in half precision, in half the room.
    """
    image = best = start.detach()
    del start  # The caller may have no other use for it, and it is as large as the image.
    best_loss, best_gradient = math.inf, torch.zeros_like(image)
    curvature = _Curvature(history, is_halved)
    first_step_rms = FIRST_STEP_RMS
    for evaluation in range(1, evaluations + 1):
        loss, gradient = _evaluated(objective, image)
        has_overshot = not loss <= _OVERSHOT * best_loss  # written so that NaN has, too
        if loss < best_loss:
            best, best_loss, best_gradient = image, loss, gradient
        on_evaluation(evaluation, loss, image)
        if has_overshot:
            image, gradient = best, best_gradient
            curvature = _Curvature(history, is_halved)
            first_step_rms /= 4.0
        step = curvature.times_inverse(gradient).neg_()
        limit = MAX_STEP_RMS if curvature.is_known else first_step_rms
        step_rms = float(step.square().mean().sqrt())
        if not 0.0 < step_rms < math.inf:
            break
        if step_rms > limit or not curvature.is_known:
            step *= limit / step_rms
        curvature.moved(step, gradient)
        image = image + step
    return best


def _evaluated(objective: Callable[[Tensor], Tensor], image: Tensor) -> tuple[float, Tensor]:
    with torch.enable_grad():
        image = image.detach().requires_grad_()
        loss = objective(image)
        (gradient,) = torch.autograd.grad(loss, image)
    return loss.item(), gradient.contiguous()


class _Curvature:
    """The inverse Hessian as L-BFGS knows it: from the last steps and what they changed."""

    def __init__(self, history: int, is_halved: bool) -> None:
        self._pairs: deque[_Pair] = deque(maxlen=history)
        self._remembered: type[Exact] | type[Halved] = Halved if is_halved else Exact
        self._pending: tuple[Tensor, Tensor] | None = None

    @property
    def is_known(self) -> bool:
        return bool(self._pairs)

    def moved(self, step: Tensor, gradient: Tensor) -> None:
        """The step that is about to be taken, and the gradient where it begins."""
        self._pending = (step, gradient)

    def times_inverse(self, gradient: Tensor) -> Tensor:
        """The inverse Hessian times the gradient, after learning from the last step."""
        if self._pending is not None:
            self._learn(*self._pending, gradient)
            self._pending = None
        result = gradient.clone()
        if not self._pairs:
            return result
        shares = []
        for pair in reversed(self._pairs):
            share = pair.inverse * pair.step.dot(result)
            pair.change.add_to(result, share, -1.0)
            shares.append(share)
        result /= self._pairs[-1].inverse * self._pairs[-1].square
        for pair, share in zip(self._pairs, reversed(shares), strict=True):
            pair.step.add_to(result, share - pair.inverse * pair.change.dot(result), 1.0)
        return result

    def _learn(self, step: Tensor, before: Tensor, gradient: Tensor) -> None:
        change = gradient - before
        product, square = _dot(step, change), _dot(change, change)
        lengths = float(_dot(step, step).sqrt() * square.sqrt())
        # Steps through concave regions say nothing about the minimum.
        if product.item() > 1e-6 * lengths:
            if len(self._pairs) == self._pairs.maxlen:
                self._pairs.popleft()  # Before the new ones are made: both at once need not fit.
            pair = self._remembered(step), self._remembered(change)
            if self._remembered is Halved:
                product, square = pair[0].dot(change), pair[1].dot(change)
            self._pairs.append(_Pair(*pair, 1.0 / product, square))


@dataclass(frozen=True)
class _Pair:
    """A step and what it changed."""

    step: Remembered
    change: Remembered
    inverse: Tensor
    """1 / (step * change)."""
    square: Tensor
    """change * change."""


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return torch.dot(one.flatten(), other.flatten())
