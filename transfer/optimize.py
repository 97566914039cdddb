"""One scale of the optimization: L-BFGS without line search."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from transfer.history import Exact, Halved, Pair

HISTORY = 20
"""Steps remembered; 10 to 20 paint as well as 100, which take more memory than the network."""

FIRST_STEP_RMS = 0.01
"""Root-mean-square change of the first step, which has no curvature to go by yet."""

MAX_STEP_RMS = 0.15
"""No step changes the image more than this: part of what a line search would do."""

_OVERSHOT = 4.0
"""A loss this many times the best so far means that a step went wrong."""


class Best(NamedTuple):
    """The image of the lowest loss so far."""

    image: Tensor
    loss: float
    gradient: Tensor


@dataclass(frozen=True)
class Memory:
    """What `minimize` knows besides the image that it has just evaluated."""

    pairs: tuple[Pair, ...] = ()
    """Curvature, the last step last."""
    first_step_rms: float = FIRST_STEP_RMS
    best: Best | None = None
    """None if it is the image itself."""


@dataclass(frozen=True)
class Evaluated:
    """Where `minimize` stands after an evaluation."""

    number: int
    """Of the evaluation, from 1 on."""
    loss: float
    image: Tensor
    """That the loss belongs to."""
    memory: Memory

    @property
    def best(self) -> Tensor:
        """The image of the lowest loss so far."""
        return self.image if self.memory.best is None else self.memory.best.image


def minimize(
    start: Tensor,
    objective: Callable[[Tensor], Tensor],
    evaluations: int,
    on_evaluation: Callable[[Evaluated], None] = lambda _: None,
    history: int = HISTORY,
    *,
    is_halved: bool = False,
    memory: Memory | None = None,
) -> Tensor:
    """The best of the images met on the way down from ``start``.

    L-BFGS as in Nocedal & Wright, "Numerical Optimization", algorithms 7.4 and 7.5, always with
    step length 1. There is no line search: each trial would cost a whole evaluation.

    Args:
        start: any shape; not changed.
        objective: a scalar from an image, not negative.
        evaluations: calls of the objective; fewer if its gradient vanishes.
        on_evaluation: called after each evaluation; what it raises passes through.
        history: steps remembered.
        is_halved: remember them in half precision, in half the room.
        memory: of an `Evaluated` whose image is ``start``: after one evaluation, which repeats
            that one, it goes on as if it had not stopped.
    """
    image = start.detach().contiguous()
    del start  # The caller may have no other use for it, and it is as large as the image.
    known = memory or Memory()
    best = known.best or Best(image, math.inf, torch.zeros_like(image))
    curvature = _Curvature(history, is_halved, known.pairs)
    first_step_rms = known.first_step_rms
    del memory, known
    for evaluation in range(1, evaluations + 1):
        loss, gradient = _evaluated(objective, image)
        curvature.learn(gradient)
        has_overshot = not loss <= _OVERSHOT * best.loss  # written so that NaN has, too
        if loss < best.loss:
            best = Best(image, loss, gradient)
        apart = None if best.image is image else best
        memory = Memory(curvature.pairs, first_step_rms, apart)
        on_evaluation(Evaluated(evaluation, loss, image, memory))
        if has_overshot:
            image, gradient = best.image, best.gradient
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
    return best.image


def _evaluated(objective: Callable[[Tensor], Tensor], image: Tensor) -> tuple[float, Tensor]:
    with torch.enable_grad():
        image = image.detach().requires_grad_()
        loss = objective(image)
        (gradient,) = torch.autograd.grad(loss, image)
    return loss.item(), gradient.contiguous()


class _Curvature:
    """The inverse Hessian as L-BFGS knows it: from the last steps and what they changed."""

    def __init__(self, history: int, is_halved: bool, pairs: Sequence[Pair] = ()) -> None:
        self._pairs: deque[Pair] = deque(pairs, maxlen=history)
        self._is_halved = is_halved
        self._pending: tuple[Tensor, Tensor] | None = None

    @property
    def is_known(self) -> bool:
        """Whether any step has taught something."""
        return bool(self._pairs)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The last steps and what they changed."""
        return tuple(self._pairs)

    def moved(self, step: Tensor, gradient: Tensor) -> None:
        """The step that is about to be taken, and the gradient where it begins."""
        self._pending = (step, gradient)

    def learn(self, gradient: Tensor) -> None:
        """From the gradient where the last step has led, if there was one."""
        if self._pending is None:
            return
        step, before = self._pending
        self._pending = None
        change = gradient - before
        product, square = _dot(step, change), _dot(change, change)
        lengths = float(_dot(step, step).sqrt() * square.sqrt())
        # Steps through concave regions say nothing about the minimum.
        if product.item() > 1e-6 * lengths:
            if len(self._pairs) == self._pairs.maxlen:
                self._pairs.popleft()  # Before the new ones are made: both at once need not fit.
            if self._is_halved:
                kept, changed = Halved.of(step), Halved.of(change)
                # Of what is remembered, so that the curvature is consistent in itself.
                product, square = kept.dot(change), changed.dot(change)
                self._pairs.append(Pair(kept, changed, 1.0 / product, square))
            else:
                self._pairs.append(Pair(Exact(step), Exact(change), 1.0 / product, square))

    def times_inverse(self, gradient: Tensor) -> Tensor:
        """The inverse Hessian times the gradient."""
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


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return torch.dot(one.flatten(), other.flatten())
