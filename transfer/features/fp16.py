"""Half precision for activations that are only stored; docs/engine.md says what that costs.

Rounding activations one by one is random, and cancels in sums over a picture. Computing in half
precision would not cancel, because weights are rounded alike for all positions.
"""

import torch
from torch import Tensor

_SCALE = 1 / 16
"""Factor before rounding. float16 ends at 65,504; activations of VGG-19 were seen to come to
22,000, a third of that (nine real pictures, and patterns of black and white). Scaled, they may be
47 times as large as those, and the smallest are still told apart to 1e-6."""


def to_fp16(activations: Tensor, out: Tensor | None = None) -> Tensor:
    """Scale and round activations, shape (1, C, H, W), to float16, channels last, or to ``out``."""
    if out is None:
        out = torch.empty(
            activations.shape,
            dtype=torch.float16,
            device=activations.device,
            memory_format=torch.channels_last,
        )
    return torch.mul(activations, _SCALE, out=out)


def from_fp16(stored: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the activations of `to_fp16`, or of a part of its result, channels last.

    Args:
        stored: result of `to_fp16`, shape (1, C, H, W).
        dtype: type of the activations, which must have the range of float32.
    """
    return stored.to(dtype, memory_format=torch.channels_last).mul_(1 / _SCALE)
