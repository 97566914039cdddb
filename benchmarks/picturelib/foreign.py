"""Foreign colors: the share of a picture in colors that its style has not."""

import torch
from torch import Tensor

from benchmarks.picturelib.blur import blur

FOREIGN_DISTANCE = 15.0
"""Distance in CIELAB from the nearest color of the style beyond which a color is foreign.

Six times what is just visible: another color, rather than another shade.
"""
BIN_EDGE = 5.0
"""Edge of the bins of the histograms, CIELAB units; well below `FOREIGN_DISTANCE`."""
LEAST_SHARE = 1e-4
"""Least share of the style that a bin must hold to count: less is noise or a signature."""
_BLUR_PX = 2.0
"""Blur of both pictures, as single dots of a color are grain, which has its own figure."""


def foreign_share(picture: Tensor, style: Tensor) -> float:
    """Return the share of the picture's pixels in foreign colors, from 0 to 1.

    Args:
        picture: CIELAB, shape (1, 3, H, W).
        style: CIELAB, shape (1, 3, H', W').
    """
    colors, shares = _histogram(picture)
    palette, palette_shares = _histogram(style)
    palette = palette[palette_shares >= LEAST_SHARE]
    nearest = torch.cdist(colors, palette).amin(dim=1)
    return float(shares[nearest > FOREIGN_DISTANCE].sum())


def _histogram(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean color, shape (bins, 3), and share of the pixels of each bin that is not empty."""
    colors = blur(picture, _BLUR_PX)[0].flatten(1).T.double()  # (H*W, 3)
    bins = torch.div(colors, BIN_EDGE).floor().long()
    _, at, counts = torch.unique(bins, dim=0, return_inverse=True, return_counts=True)
    sums = colors.new_zeros(len(counts), 3).index_add_(0, at, colors)
    return sums / counts[:, None], counts / counts.sum()
