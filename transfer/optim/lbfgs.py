"""One scale of the optimization: L-BFGS without line search."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from transfer.optim.stored_vectors import CurvaturePair, ExactVector, Fp16Vector, StoredVector

HISTORY = 20
"""Steps remembered; 10 to 20 paint as well as 100, which take more memory than the network."""

DifferentiableLoss = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A scalar that is not negative, from an image, and its gradient, of the image's shape. What comes
belongs to the caller."""

FIRST_STEP_RMS = 0.01
"""Root-mean-square change of the first step, which has no curvature to go by yet."""

MAX_STEP_RMS = 0.15
"""No step changes the image more than this: part of what a line search would do."""

PATIENCE = 20
_LEAST = 0.01
"""A loss that falls by less than this share of it in `PATIENCE` evaluations has come to rest.
Pictures as people paint them do not come so far on any scale (by 2 to 5 % in the last 20 of 120
evaluations of the coarsest); flat ones do within a few."""

_OVERSHOT = 4.0
"""A loss this many times the best so far means that a step went wrong."""


class Best(NamedTuple):
    """The image of the lowest loss so far."""

    image: Tensor
    loss: float


@dataclass(frozen=True)
class LbfgsState:
    """What `minimize` knows besides the image that it has just evaluated."""

    pairs: tuple[CurvaturePair, ...] = ()
    """Curvature, the last step last."""
    first_step_rms: float = FIRST_STEP_RMS
    best: Best | None = None
    """None if it is the image itself."""
    lows: tuple[float, ...] = ()
    """The lowest losses before this evaluation, at most `PATIENCE` of them, the latest last."""


@dataclass(frozen=True)
class Iterate:
    """Where `minimize` stands after an evaluation."""

    number: int
    """Of the evaluation, from 1 on."""
    loss: float
    image: Tensor
    """That the loss belongs to."""
    optimizer_state: LbfgsState

    @property
    def best(self) -> Tensor:
        """The image of the lowest loss so far."""
        return self.image if self.optimizer_state.best is None else self.optimizer_state.best.image


def with_autograd_gradient(loss: Callable[[Tensor], Tensor]) -> DifferentiableLoss:
    """A scalar with its gradient by autograd."""

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
    history: int = HISTORY,
    *,
    is_fp16: bool = False,
    run_all: bool = False,
    optimizer_state: LbfgsState | None = None,
) -> Tensor:
    """The best of the images met on the way down from ``start``.

    L-BFGS as in Nocedal & Wright, "Numerical Optimization", algorithms 7.4 and 7.5, always with
    step length 1. There is no line search: each trial would cost a whole evaluation. All that is
    decided is decided from a few numbers, for which an evaluation waits once: on a GPU each wait
    costs as much as many launches.

    Args:
        start: any shape; not changed.
        objective: what is to become small.
        evaluations: calls of the objective; fewer if its gradient vanishes or its loss comes to
            rest.
        on_evaluation: called after each evaluation; what it raises passes through.
        history: steps remembered.
        is_fp16: remember them in half precision, in half the room.
        run_all: go on even if the loss has come to rest.
        optimizer_state: of an `Iterate` whose image is ``start``: after one evaluation, which
            repeats that one, it goes on as if it had not stopped.
    """
    image = start.detach().contiguous()
    del start  # The caller may have no other use for it, and it is as large as the image.
    known = optimizer_state or LbfgsState()
    best = known.best or Best(image, math.inf)
    curvature = _Curvature(history, is_fp16, known.pairs)
    first_step_rms = known.first_step_rms
    lows = deque(known.lows, PATIENCE + 1)
    del optimizer_state, known
    for evaluation in range(1, evaluations + 1):
        value, gradient = objective(image)
        taught = curvature.measure_step(gradient)
        loss, slope, *about_pair = _read(value, _dot(gradient, gradient), *taught)
        curvature.learn(*about_pair)
        has_overshot = not loss <= _OVERSHOT * best.loss  # written so that NaN has, too
        if loss < best.loss:
            best = Best(image, loss)
        apart = None if best.image is image else best
        optimizer_state = LbfgsState(
            curvature.pairs, first_step_rms, apart, tuple(lows)[-PATIENCE:]
        )
        lows.append(best.loss)
        on_evaluation(Iterate(evaluation, loss, image, optimizer_state))
        if has_overshot:
            if best.loss == math.inf:
                break  # There is no number to go back to.
            # It is evaluated once more: its gradient would be kept for what hardly ever comes.
            image = best.image
            curvature = _Curvature(history, is_fp16)
            first_step_rms /= 4.0
            continue
        if not 0.0 < slope < math.inf:
            break
        is_at_rest = len(lows) > PATIENCE and lows[-1] > (1.0 - _LEAST) * lows[0]
        if evaluation == evaluations or (is_at_rest and not run_all):
            break
        step = curvature.apply_inverse_hessian(gradient).neg_()
        _limit_step(
            step, MAX_STEP_RMS if curvature.is_known else first_step_rms, curvature.is_known
        )
        curvature.begin_step(step, gradient)
        image = image + step
        del step, gradient  # As large as the image; what is needed of them is remembered.
    return best.image


def _read(*scalars: Tensor) -> list[float]:
    """Their values; the one time in an evaluation that the host waits for the device."""
    values: list[float] = torch.stack([scalar.double() for scalar in scalars]).tolist()
    return values


def _limit_step(step: Tensor, rms: float, is_known: bool) -> None:
    """Shorten a step that is longer; one without curvature has this length, whatever it was."""
    factor = rms * math.sqrt(step.numel()) / _dot(step, step).sqrt()
    step *= factor.clamp_max(1.0) if is_known else factor


class _Curvature:
    """The inverse Hessian as L-BFGS knows it: from the last steps and what they changed."""

    def __init__(self, history: int, is_fp16: bool, pairs: Sequence[CurvaturePair] = ()) -> None:
        self._pairs: deque[CurvaturePair] = deque(pairs, maxlen=history)
        self._is_halved = is_fp16
        self._pending: tuple[StoredVector, Tensor] | None = None
        """The last step, and the gradient before it."""
        self._taught: CurvaturePair | None = None

    @property
    def is_known(self) -> bool:
        """Whether any step has taught something."""
        return bool(self._pairs)

    @property
    def pairs(self) -> tuple[CurvaturePair, ...]:
        """The last steps and what they changed."""
        return tuple(self._pairs)

    def begin_step(self, step: Tensor, gradient: Tensor) -> None:
        """The step that is about to be taken, and the gradient where it begins."""
        self._pending = (self._kept(step), gradient)

    def measure_step(self, gradient: Tensor) -> tuple[Tensor, ...]:
        """What `learn` has to know of the last step, from the gradient where it has led."""
        if self._pending is None:
            return ()
        (step, before), self._pending = self._pending, None
        change = self._kept(gradient, before)
        # Of what is remembered, so that the curvature is consistent in itself.
        product, square = step.dot_stored(change), change.dot_stored(change)
        self._taught = CurvaturePair(step, change, 1.0 / product, square)
        return product, step.dot_stored(step), square

    def learn(self, product: float = 0.0, length: float = 0.0, change: float = 0.0) -> None:
        """Remember the last step if it says something about the minimum."""
        taught, self._taught = self._taught, None
        # Steps through concave regions say nothing.
        if taught is not None and product > 1e-6 * math.sqrt(length * change):
            self._pairs.append(taught)

    def _kept(self, vector: Tensor, minus: Tensor | None = None) -> StoredVector:
        if self._is_halved:
            return Fp16Vector.of(vector, minus)
        return ExactVector(vector if minus is None else vector - minus)

    def apply_inverse_hessian(self, gradient: Tensor) -> Tensor:
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
