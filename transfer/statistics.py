"""What is remembered of a style: mean and covariance of features over their positions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.errors import ShapeError


@dataclass(frozen=True)
class Statistics:
    """Mean (C, 1) and centered covariance (C, C) of one layer."""

    mean: Tensor
    covariance: Tensor


def statistics(features: Tensor) -> Statistics:
    """Mean and centered covariance of one feature layer over its positions.

    The Gram matrix of the paper (Gatys et al., CVPR 2016, equation 3) mixes the two: its
    entries are dominated by the product of the means, and colors came out gray and brushwork
    weak. Apart, each is weighed by its own size.

    Args:
        features: activations, shape (1, C, H, W), any range.

    Returns:
        in the dtype and on the device of ``features``; the covariance is symmetric positive
        semi-definite.

    Raises:
        ShapeError: if ``features`` is not (1, C, H, W).
    """
    if features.ndim != 4 or features.shape[0] != 1:
        raise ShapeError("features", "(1, C, H, W)", tuple(features.shape))
    positions = features.flatten(2)[0]  # (C, H*W)
    mean = positions.mean(dim=1, keepdim=True)
    # Centered before the product: E[xx] - E[x]E[x] cancels in single precision.
    centered = positions - mean
    return Statistics(mean, centered @ centered.T / positions.shape[1])


def averaged(several: Sequence[Statistics]) -> Statistics:
    """The statistics halfway between those of several styles."""
    return Statistics(
        torch.stack([one.mean for one in several]).mean(dim=0),
        torch.stack([one.covariance for one in several]).mean(dim=0),
    )
