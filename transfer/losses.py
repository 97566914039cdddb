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
_CORRELATION_FLOOR = 0.01
"""Of the channels' mean variance; see `content_loss`."""
_DEAD = 1e-6
"""A channel of less than this share of the mean variance varies by rounding only."""
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
    """How the content's features vary over positions, and which of them do."""

    centered: Tensor
    """Live channels minus their means, shape (C', H*W)."""
    variance: Tensor
    """Of each live channel, (C',)."""
    is_live: Tensor
    """Whether a channel varies at all, (C,)."""
    floor: Tensor
    """Variance below which a channel says little, a scalar."""
    shape: torch.Size
    """Of the features, (1, C, H, W)."""

    @classmethod
    def of(cls, features: Tensor) -> "ContentTarget":
        """From the content's activations, shape (1, C, H, W).

        Raises:
            NotFinite: if they hold values that are no numbers.
        """
        check_finite("content features", features)
        channels = features[0].flatten(1)  # (C, H*W)
        centered = channels - channels.mean(dim=1, keepdim=True)
        variance = centered.square().mean(dim=1)
        is_live, floor = live(variance)
        return cls(centered[is_live], variance[is_live], is_live, floor, features.shape)


def live(variance: Tensor) -> tuple[Tensor, Tensor]:
    """`ContentTarget.is_live` and `ContentTarget.floor`, from the variances of all channels."""
    is_live = variance > _DEAD * variance.mean()
    return is_live, _CORRELATION_FLOOR * variance.mean() + _TINY


def content_loss(features: Tensor, target: ContentTarget) -> Tensor:
    """Mean over live channels of 1 - correlation with the content over positions.

    0 for the content, about 1 for what is unlike it. The paper (Gatys et al., CVPR 2016,
    equation 1) sums squared differences. Those also ask for the content's contrast in every
    channel, which is the style's to give: at the same arrangement, style came out a fifth to a
    third worse. The floor counts as noise that both have in common: a channel that hardly
    varies hardly counts, and the gradient stays finite where one falls silent.

    Args:
        features: activations, shape (1, C, H, W).
        target: of the same layer.

    Raises:
        ShapeError: if ``features`` has another shape than the target.
    """
    if features.shape != target.shape:
        raise ShapeError("features", str(tuple(target.shape)), tuple(features.shape))
    if not target.variance.numel():
        return features.sum() * 0.0
    channels = features[0].flatten(1)[target.is_live]
    channels = channels - channels.mean(dim=1, keepdim=True)
    return unlikeness(
        (channels * target.centered).mean(dim=1),
        channels.square().mean(dim=1),
        target.variance,
        target.floor,
    )


def unlikeness(shared: Tensor, own: Tensor, variance: Tensor, floor: Tensor) -> Tensor:
    """`content_loss` from what it knows of each live channel.

    Args:
        shared: covariance with the content's, (C',).
        own: variance, (C',).
        variance: of the content's, (C',).
        floor: see `ContentTarget`.
    """
    shared = shared + floor
    own = own + floor
    return (1.0 - shared / (own * (variance + floor)).sqrt()).mean()


def roughness(image: Tensor) -> Tensor:
    """Mean squared difference between neighbors, over both directions; 0 for one color.

    Args:
        image: shape (1, C, H, W).
    """
    down = image[:, :, 1:, :] - image[:, :, :-1, :]
    across = image[:, :, :, 1:] - image[:, :, :, :-1]
    zero = torch.zeros((), dtype=image.dtype, device=image.device)
    return sum((step.square().mean() for step in (down, across) if step.numel()), zero)
