"""Grain: fine variation of lightness and of color, relative to the style's own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.picturelib.blur import high_pass

FINE_PX, COARSE_PX = 1.0, 2.0
"""Standard deviations of the Gaussians above which variation counts as grain."""
LEAST_RMS = 0.3
"""Grain in CIELAB units that rounding to eight bits gives to a picture without any.

Uniform errors of one step have a deviation of 0.29 steps of 1/255, which is 0.1 to 0.4 units.
"""


@dataclass(frozen=True)
class Grain:
    """Ratios of a picture's grain to the style's; above 1 the picture has more than its style."""

    chroma_fine: float
    chroma_coarse: float
    lightness_fine: float
    lightness_coarse: float


def grain(picture: Tensor, style: Tensor) -> Grain:
    """Compare the grain of two pictures.

    Args:
        picture: CIELAB, shape (1, 3, H, W).
        style: CIELAB, shape (1, 3, H', W'), at the size at which the engine saw it.
    """
    ratios = [
        _rms(picture, sigma_px, channels) / max(LEAST_RMS, _rms(style, sigma_px, channels))
        for channels in (slice(1, 3), slice(0, 1))
        for sigma_px in (FINE_PX, COARSE_PX)
    ]
    return Grain(*ratios)


def _rms(picture: Tensor, sigma_px: float, channels: slice) -> float:
    """Return the root mean square length of what is finer than a Gaussian."""
    lengths = high_pass(picture[:, channels], sigma_px).square().sum(dim=1)
    return float(torch.sqrt(lengths.mean()))
