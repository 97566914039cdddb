"""Adam on the coefficients of a Laplacian pyramid.

Matching changes its targets at every evaluation, so there is no one loss whose curvature L-BFGS
could learn. Adam (Kingma & Ba, arXiv 1412.6980) needs none. Each coefficient of the pyramid moves
by about the learning rate in an evaluation, coarse or fine: a change of a whole patch of color is
as cheap as that of a pixel, and flat places become flat. Neural Neighbor Style Transfer (arXiv
2203.13215) optimizes so.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.optim.iterate import DifferentiableLoss, Iterate

_DECAY_FIRST, _DECAY_SECOND = 0.9, 0.999
_EPSILON = 1e-8
"""The usual values (arXiv 1412.6980, algorithm 1)."""
_HALVINGS = 5
"""Most halvings of the pyramid: a coefficient of its coarsest band then moves 32 px."""
_COARSEST_PX = 4
"""Shortest edge of the coarsest band."""
_TAPS = (0.25, 0.75, 0.75, 0.25)
"""Shares of a coarse value in the four fine ones beside it, along one edge."""


@dataclass(frozen=True)
class AdamState:
    """State of `minimize` besides the image that it has just evaluated."""

    steps: int = 0
    """Number of steps taken."""
    first: tuple[Tensor, ...] = ()
    """Running mean of the gradient, one tensor for each band of the pyramid, the finest first."""
    second: tuple[Tensor, ...] = ()
    """Running mean of the squared gradient, likewise."""

    @property
    def best(self) -> None:
        """Nothing: targets change, so that no loss is comparable to another."""
        return


def upsample(coarse: Tensor, height: int, width: int) -> Tensor:
    """Enlarge an image twofold, bilinearly, and crop it.

    Args:
        coarse: shape (1, C, ceil(height / 2), ceil(width / 2)), any range.
        height: height of the result, px.
        width: width of the result, px.

    Returns:
        shape (1, C, height, width).
    """
    doubled = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    return doubled[:, :, :height, :width]


def upsample_adjoint(fine: Tensor) -> Tensor:
    """Return the adjoint of `upsample` applied to an image.

    Written as a convolution: autograd's own adds up in no fixed order on CUDA, and one seed has to
    mean one picture.

    Args:
        fine: shape (1, C, H, W), any range.

    Returns:
        shape (1, C, ceil(H / 2), ceil(W / 2)).
    """
    channels = fine.shape[1]
    taps = fine.new_tensor(_TAPS)
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    uncropped = F.pad(fine, (0, fine.shape[3] % 2, 0, fine.shape[2] % 2))
    # At the border the coarse value stands for its missing neighbor as well.
    padded = F.pad(uncropped, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernel, stride=2, groups=channels)


def minimize(
    start: Tensor,
    objective: DifferentiableLoss,
    evaluations: int,
    learning_rate: float,
    on_evaluation: Callable[[Iterate], None] = lambda _: None,
    optimizer_state: AdamState | None = None,
) -> Tensor:
    """Minimize a loss that may change from call to call, and return the image after the last step.

    Args:
        start: first image, shape (1, C, H, W), any range; not changed.
        objective: loss to minimize.
        evaluations: number of calls of the objective. Fewer are made if its value or its gradient
            is no number, or its gradient vanishes.
        learning_rate: about the change of each coefficient in one step, in units of the image.
        on_evaluation: called after each evaluation; its exceptions pass through.
        optimizer_state: state of an `Iterate` whose image is ``start``. The first evaluation
            repeats that of the iterate; then the run goes on as if it had not stopped.
    """
    image = start.detach().contiguous()
    del start  # The caller may have no other use for it, and it is as large as the image.
    state = optimizer_state or AdamState()
    del optimizer_state
    for number in range(1, evaluations + 1):
        loss, gradient = objective(image)
        # A gradient per pixel, not of a mean over pixels, whose size would come near epsilon.
        gradient *= gradient.numel()
        # One wait for the device.
        value, norm = torch.stack([loss.double(), gradient.abs().sum().double()]).tolist()
        on_evaluation(Iterate(number, value, image, state))
        if not (math.isfinite(value) and 0.0 < norm < math.inf):
            break
        state = _update(state, _analyze(gradient))
        image = image - _synthesize(_steps(state, learning_rate), image.shape)
        del gradient
    return image


def _analyze(gradient: Tensor) -> list[Tensor]:
    """Return the gradient with respect to the coefficients of the pyramid, the finest band first.

    An image is its finest band plus the enlarged sum of the others, so the gradient of a band is
    that of the next finer one under the adjoint of `upsample`.
    """
    bands = [gradient]
    while len(bands) <= _HALVINGS and min(bands[-1].shape[2:]) >= 2 * _COARSEST_PX:
        bands.append(upsample_adjoint(bands[-1]))
    return bands


def _synthesize(bands: Sequence[Tensor], shape: torch.Size) -> Tensor:
    """Return the image of a pyramid's coefficients, the finest band first."""
    image = bands[-1]
    for band in bands[-2::-1]:
        image = band + upsample(image, *band.shape[2:])
    return image.reshape(shape)


def _update(state: AdamState, gradients: Sequence[Tensor]) -> AdamState:
    """Return the state with one more gradient; a checkpoint may still hold the one before."""
    if not state.first:
        first = tuple((1.0 - _DECAY_FIRST) * gradient for gradient in gradients)
        second = tuple((1.0 - _DECAY_SECOND) * gradient.square() for gradient in gradients)
        return AdamState(1, first, second)
    first = tuple(
        mean.lerp(gradient, 1.0 - _DECAY_FIRST)
        for mean, gradient in zip(state.first, gradients, strict=True)
    )
    second = tuple(
        (_DECAY_SECOND * mean).addcmul_(gradient, gradient, value=1.0 - _DECAY_SECOND)
        for mean, gradient in zip(state.second, gradients, strict=True)
    )
    return AdamState(state.steps + 1, first, second)


def _steps(state: AdamState, learning_rate: float) -> list[Tensor]:
    """Return the change of each coefficient (algorithm 1, with its bias corrections)."""
    first_bias = 1.0 - _DECAY_FIRST**state.steps
    second_bias = 1.0 - _DECAY_SECOND**state.steps
    return [
        mean
        / (square.sqrt().mul_(1.0 / math.sqrt(second_bias)).add_(_EPSILON))
        * (learning_rate / first_bias)
        for mean, square in zip(state.first, state.second, strict=True)
    ]
