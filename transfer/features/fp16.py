"""Activations in half precision, where they are only kept; docs/engine.md says what that costs.

What is rounded one by one, and at random, cancels in sums over a picture. What is computed in half
precision does not, because weights are rounded alike for all positions.
"""

import torch
from torch import Tensor

_SHARE = 1 / 16
"""float16 ends at 65,504; activations of VGG-19 were seen to come to 22,000, a third of that (nine
real pictures, and patterns of black and white). As a share of themselves they may be 47 times as
large as those, and the smallest are still told apart to 1e-6."""


def to_fp16(activations: Tensor, out: Tensor | None = None) -> Tensor:
    """Activations, shape (1, C, H, W), for `from_fp16`: float16, channels last, or in ``out``."""
    if out is None:
        out = torch.empty(
            activations.shape,
            dtype=torch.float16,
            device=activations.device,
            memory_format=torch.channels_last,
        )
    return torch.mul(activations, _SHARE, out=out)


def from_fp16(kept: Tensor, dtype: torch.dtype) -> Tensor:
    """The activations of `to_fp16`, or of a part of its result, channels last.

    Args:
        kept: shape (1, C, H, W).
        dtype: of the result; of the range of float32.
    """
    return kept.to(dtype, memory_format=torch.channels_last).mul_(1 / _SHARE)
