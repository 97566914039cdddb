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

    Values that are no numbers pass through: a step of the optimization that went wrong is taken
    back, not refused. Targets refuse them.

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
    # Centered before the product: E[xx] - E[x]E[x] cancels in single precision.
    mean = positions.mean(dim=1, keepdim=True)
    centered = positions - mean
    return Statistics(mean, centered @ centered.T / positions.shape[1])


def blended(several: Sequence[Statistics], weights: Sequence[float] | None = None) -> Statistics:
    """The statistics between those of several styles: the weighted mean of both their parts.

    Args:
        several: of the same layer, one per style.
        weights: of each, not negative and not all 0; only their ratios count; None: all alike.
    """
    means = torch.stack([one.mean for one in several])
    covariances = torch.stack([one.covariance for one in several])
    if weights is None:
        return Statistics(means.mean(dim=0), covariances.mean(dim=0))
    parts = means.new_tensor([weight / sum(weights) for weight in weights])
    return Statistics(
        torch.einsum("k,kcd->cd", parts, means), torch.einsum("k,kcd->cd", parts, covariances)
    )
