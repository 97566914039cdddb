"""A backbone's layers, remembering for the way back only what it needs: a byte per activation.

With fixed weights the gradient passes a convolution and its ReLU unchanged by the activations'
values: it has to know where they were positive, and of each pooling which of four was the largest.
Autograd keeps the activations themselves, four bytes each, and eight for each place of a maximum.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def reflected(activations: Tensor) -> Tensor:
    """A border of one position around (1, C, H, W), mirrored; repeated where there is only one."""
    mode = "replicate" if _is_thin(activations) else "reflect"
    return F.pad(activations, (1, 1, 1, 1), mode=mode)


def convolved(activations: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """ReLU of the convolution with `reflected` borders.

    Args:
        activations: shape (1, C, H, W).
        kernel: shape (C', C, 3, 3); no gradient reaches it, nor the bias.
        bias: shape (C').

    Returns:
        shape (1, C', H, W), the same bits as from torch's own functions.
    """
    found: Tensor = _Convolved.apply(activations, kernel, bias)  # type: ignore[no-untyped-call]
    return found


def max_pooled(activations: Tensor) -> Tensor:
    """The largest of each 2 x 2 positions, as `torch.nn.functional.max_pool2d`."""
    found: Tensor = _MaxPooled.apply(activations)  # type: ignore[no-untyped-call]
    return found


def average_pooled(activations: Tensor) -> Tensor:
    """The mean of each 2 x 2 positions, as `torch.nn.functional.avg_pool2d`."""
    found: Tensor = _AveragePooled.apply(activations)  # type: ignore[no-untyped-call]
    return found


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activations: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        found = F.conv2d(reflected(activations), kernel, bias).relu_()
        ctx.is_thin = _is_thin(activations)
        ctx.kernel = kernel
        ctx.save_for_backward(found > 0)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (is_positive,) = ctx.saved_tensors
        padded = F.conv_transpose2d(gradients[0] * is_positive, ctx.kernel)
        # What the border copied goes back to where it was copied from; in place, and the rest
        # is a view, so that nothing of this size is made twice.
        near, far = (1, -2) if ctx.is_thin else (2, -3)
        padded[:, :, near] += padded[:, :, 0]
        padded[:, :, far] += padded[:, :, -1]
        padded[..., near] += padded[..., 0]
        padded[..., far] += padded[..., -1]
        return padded[:, :, 1:-1, 1:-1], None, None


class _MaxPooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activations: Tensor) -> Tensor:
        found = F.max_pool2d(activations, 2)
        place = torch.full_like(found, 3, dtype=torch.uint8)
        # From the last to the first: of equal ones torch takes the first.
        for number in (2, 1, 0):
            place.masked_fill_(_corners(activations)[number] == found, number)
        ctx.save_for_backward(place)
        ctx.size = activations.shape[2:]
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (place,) = ctx.saved_tensors
        result = _room(gradients[0], ctx.size)
        for number, corner in enumerate(_corners(result)):
            torch.mul(gradients[0], place == number, out=corner)
        return result


class _AveragePooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activations: Tensor) -> Tensor:
        ctx.size = activations.shape[2:]
        return F.avg_pool2d(activations, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        result = _room(gradients[0], ctx.size)
        for corner in _corners(result):
            torch.mul(gradients[0], 0.25, out=corner)
        return result


def _is_thin(activations: Tensor) -> bool:
    return min(activations.shape[2:]) < 2


def _corners(activations: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four positions of each 2 x 2, as views; a last odd row or column is in none."""
    height, width = activations.shape[2:]
    whole = activations[:, :, : height // 2 * 2, : width // 2 * 2]
    return (
        whole[:, :, ::2, ::2],
        whole[:, :, ::2, 1::2],
        whole[:, :, 1::2, ::2],
        whole[:, :, 1::2, 1::2],
    )


def _room(gradient: Tensor, size: torch.Size) -> Tensor:
    """Zeros of the size before pooling."""
    channels, (height, width) = gradient.shape[1], size
    return torch.zeros(
        (1, channels, height, width),
        dtype=gradient.dtype,
        device=gradient.device,
    ).contiguous(memory_format=torch.channels_last)
