"""Activations in half precision, where they are only kept: everything is computed in single.

What is rounded one by one, and at random, cancels in sums over a picture. What is computed in half
precision does not, because weights are rounded alike for all positions.
"""

import torch
from torch import Tensor

_SHARE = 1 / 16
"""float16 ends at 65,504; activations of VGG-19 were seen to come to 22,000 (a third of all that,
over nine real pictures and patterns of black and white). As a share of themselves they may be 50
times as large, and the smallest are still told apart to 1e-6."""


def halved(activations: Tensor) -> Tensor:
    """Activations, shape (1, C, H, W), float32, for `restored`: float16, channels last."""
    room = torch.empty(
        activations.shape,
        dtype=torch.float16,
        device=activations.device,
        memory_format=torch.channels_last,
    )
    return torch.mul(activations, _SHARE, out=room)


def restored(kept: Tensor) -> Tensor:
    """The activations of `halved`, or of a part of its result: float32, channels last."""
    whole = kept.to(torch.float32, memory_format=torch.channels_last)
    return whole.mul_(1 / _SHARE)
