"""What a painting is compared by: style, content, smoothness."""

from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.imaging.images import check_finite
from transfer.objective.statistics import Statistics, statistics

# A picture of one color has no covariance to be relative to; a hundredth of its mean's energy
# then stands in. Real pictures: below 0.3 % of the covariance's norm.
_FLOOR = 0.01
_CORRELATION_FLOOR = 0.01
"""Of the channels' mean variance; see `content_distance`."""
_DEAD = 1e-6
"""A channel of less than this share of the mean variance varies by rounding only."""
_ROUNDING = 1e-6
"""So does one of less than this share of its squared mean: a photo of one color. A digit of a map
in half precision is 2e-7 of it; photos have a tenth and more, at a fiftieth of their contrast still
0.006 (four photos)."""
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


def style_loss(features: Tensor, target: StyleTarget) -> Tensor:
    """`style_distance` of features, shape (1, C, H, W)."""
    return style_distance(statistics(features), target)


def style_distance(found: Statistics, target: StyleTarget) -> Tensor:
    """``|C - Cs|_F^2 / |Cs|_F^2 + |m - ms|^2 / tr Cs`` of one layer; 0 for the style itself.

    Relative, where the paper (Gatys et al., CVPR 2016, equation 4) divides by the number of
    channels and positions: every layer then counts alike in every style, without weights.
    """
    covariance = (found.covariance - target.statistics.covariance).square().sum()
    mean = (found.mean - target.statistics.mean).square().sum()
    return covariance / target.covariance_scale + mean / target.mean_scale


def style_gradients(found: Statistics, target: StyleTarget) -> Statistics:
    """By how much `style_distance` changes with the mean and with the covariance that were found.

    By hand: it is asked for once per layer and evaluation, and autograd's own time counts there.
    """
    mean = found.mean - target.statistics.mean
    covariance = found.covariance - target.statistics.covariance
    return Statistics(2.0 * mean / target.mean_scale, 2.0 * covariance / target.covariance_scale)


def active_channels(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """From means and variances of the content's channels, (C,), which of them vary at all, (C,).

    And the variance below which a channel says little, a scalar.
    """
    is_live = variance > (_DEAD * variance.mean()).maximum(_ROUNDING * mean.square())
    return is_live, _CORRELATION_FLOOR * variance.mean() + _TINY


def content_distance(shared: Tensor, own: Tensor, variance: Tensor, floor: Tensor) -> Tensor:
    """Mean over live channels of 1 - correlation with the content over positions.

    0 for the content, about 1 for what is unlike it. The paper (Gatys et al., CVPR 2016,
    equation 1) sums squared differences. Those also ask for the content's contrast in every
    channel, which is the style's to give: at the same arrangement, style came out a fifth to a
    third worse. The floor counts as noise that both have in common: a channel that hardly
    varies hardly counts, and the gradient stays finite where one falls silent.

    Args:
        shared: covariance with the content's, of each live channel, (C',).
        own: variance, (C',).
        variance: of the content's, (C',).
        floor: see `active_channels`.
    """
    shared = shared + floor
    own = own + floor
    return (1.0 - shared / (own * (variance + floor)).sqrt()).mean()


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference between neighbors, over both directions; 0 for one color.

    Args:
        image: shape (1, C, H, W).
    """
    down = image[:, :, 1:, :] - image[:, :, :-1, :]
    across = image[:, :, :, 1:] - image[:, :, :, :-1]
    zero = torch.zeros((), dtype=image.dtype, device=image.device)
    return sum((step.square().mean() for step in (down, across) if step.numel()), zero)
