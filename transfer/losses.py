"""What a painting is compared by: style, content, smoothness."""

from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.errors import ShapeError
from transfer.images import check_finite
from transfer.statistics import Statistics, statistics

# A picture of one color has no covariance to be relative to; a hundredth of its mean's energy
# then stands in. Real pictures: below 0.3 % of the covariance's norm.
_FLOOR = 0.01
_TINY = 1e-12


@dataclass(frozen=True)
class StyleTarget:
    """The style's statistics of one layer, and what deviations are relative to."""

    statistics: Statistics
    covariance_scale: Tensor
    mean_scale: Tensor

    @classmethod
    def of(cls, style: Statistics) -> "StyleTarget":
        """Scales from the style alone, so that they are computed once per scale.

        Raises:
            NotFinite: if the statistics hold values that are no numbers.
        """
        check_finite("style statistics", style.mean)
        check_finite("style statistics", style.covariance)
        floor = _FLOOR * style.mean.square().sum() + _TINY
        return cls(
            style,
            style.covariance.square().sum() + floor.square(),
            style.covariance.trace() + floor,
        )


def style_loss(features: Tensor, target: StyleTarget, shares: Tensor | None = None) -> Tensor:
    """``|C - Cs|_F^2 / |Cs|_F^2 + |m - ms|^2 / tr Cs`` of one layer; 0 for the style itself.

    Relative, where the paper (Gatys et al., CVPR 2016, equation 4) divides by the number of
    channels and positions: every layer then counts alike in every style, without weights.

    Args:
        features: activations, shape (1, C, H, W).
        target: of the same layer, with as many channels.
        shares: of each position; see `statistics`.
    """
    return style_distance(statistics(features, shares), target)


def style_distance(found: Statistics, target: StyleTarget) -> Tensor:
    """`style_loss` of statistics that are known already."""
    covariance = (found.covariance - target.statistics.covariance).square().sum()
    mean = (found.mean - target.statistics.mean).square().sum()
    return covariance / target.covariance_scale + mean / target.mean_scale


@dataclass(frozen=True)
class ContentTarget:
    """The content's features, and the variance that deviations are relative to."""

    features: Tensor
    scale: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "ContentTarget":
        """From the content's activations, shape (1, C, H, W).

        Raises:
            NotFinite: if they hold values that are no numbers.
        """
        check_finite("content features", features)
        mean = features.mean(dim=(2, 3), keepdim=True)
        variance = (features - mean).square().sum()
        return cls(features, variance + _FLOOR * features.square().sum() + _TINY)


def content_scale(content: Statistics, positions: int) -> Tensor:
    """`ContentTarget.scale` of features of which only the statistics are known.

    Args:
        content: their mean and covariance.
        positions: how many there are.
    """
    variance = positions * content.covariance.trace()
    squares = variance + positions * content.mean.square().sum()
    return variance + _FLOOR * squares + _TINY


def content_loss(features: Tensor, target: ContentTarget) -> Tensor:
    """``|F - Fc|^2 / |Fc - mean Fc|^2``; 0 for the content, about 1 for what is unlike it.

    Raises:
        ShapeError: if ``features`` has another shape than the target.
    """
    if features.shape != target.features.shape:
        raise ShapeError("features", str(tuple(target.features.shape)), tuple(features.shape))
    return (features - target.features).square().sum() / target.scale


def roughness(image: Tensor) -> Tensor:
    """Mean squared difference between neighbors, over both directions; 0 for one color.

    Args:
        image: shape (1, C, H, W).
    """
    down = image[:, :, 1:, :] - image[:, :, :-1, :]
    across = image[:, :, :, 1:] - image[:, :, :, :-1]
    zero = torch.zeros((), dtype=image.dtype, device=image.device)
    return sum((step.square().mean() for step in (down, across) if step.numel()), zero)
