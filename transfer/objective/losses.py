"""The three distances of the loss: style, content, smoothness."""

from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.imaging.images import check_finite
from transfer.objective.statistics import Statistics, statistics

_MEAN_ENERGY_FLOOR = 0.01
"""Share of the mean's energy that stands in for the covariance of a picture of one color, which has
none to be relative to. In real pictures that is below 0.3 % of the covariance's norm."""
_CORRELATION_FLOOR = 0.01
"""Share of the channels' mean variance; see `content_distance`."""
_MIN_VARIANCE = 1e-6
"""Share of the mean variance below which a channel varies by rounding only."""
_MIN_RELATIVE_VARIANCE = 1e-6
"""Share of its squared mean below which a channel varies by rounding only, as in a photo of one
color. A digit of a map in half precision is 2e-7 of it; photos have a tenth and more, at a fiftieth
of their contrast still 0.006 (four photos)."""
_TINY = 1e-12


@dataclass(frozen=True)
class StyleTarget:
    """The style's statistics of one layer, and the scales that make deviations relative."""

    statistics: Statistics
    covariance_scale: Tensor
    """Scale of the squared deviation of the covariance, shape ()."""
    mean_scale: Tensor
    """Scale of the squared deviation of the mean, shape ()."""

    @classmethod
    def of(cls, style: Statistics) -> "StyleTarget":
        """Compute the scales, once per level, from the style alone.

        Raises:
            NotFinite: if the statistics hold values that are no numbers.
        """
        check_finite("style statistics", style.mean)
        check_finite("style statistics", style.covariance)
        floor = _MEAN_ENERGY_FLOOR * style.mean.square().sum() + _TINY
        return cls(
            style,
            style.covariance.square().sum() + floor.square(),
            style.covariance.trace() + floor,
        )


def style_loss(features: Tensor, target: StyleTarget) -> Tensor:
    """Return the `style_distance` of features, shape (1, C, H, W)."""
    return style_distance(statistics(features), target)


def style_distance(actual: Statistics, target: StyleTarget) -> Tensor:
    """Return ``|C - Cs|_F^2 / |Cs|_F^2 + |m - ms|^2 / tr Cs`` of one layer; 0 for the style itself.

    The distance is relative, where the paper (Gatys et al., CVPR 2016, equation 4) divides by the
    number of channels and positions: every layer then counts alike in every style, without weights.
    """
    covariance = (actual.covariance - target.statistics.covariance).square().sum()
    mean = (actual.mean - target.statistics.mean).square().sum()
    return covariance / target.covariance_scale + mean / target.mean_scale


def style_gradients(actual: Statistics, target: StyleTarget) -> Statistics:
    """Return the gradients of `style_distance` with respect to the actual mean and covariance.

    Derived by hand: this is called once per layer and evaluation, where autograd's overhead counts.
    """
    mean = actual.mean - target.statistics.mean
    covariance = actual.covariance - target.statistics.covariance
    return Statistics(2.0 * mean / target.mean_scale, 2.0 * covariance / target.covariance_scale)


def active_channels(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return which channels of the content vary at all, and the variance to count as noise.

    Args:
        mean: mean of each channel of the content, shape (C,).
        variance: variance of each channel, shape (C,).

    Returns:
        which channels are active, shape (C,), and the floor of `content_distance`, shape ().
    """
    is_active = variance > (_MIN_VARIANCE * variance.mean()).maximum(
        _MIN_RELATIVE_VARIANCE * mean.square()
    )
    return is_active, _CORRELATION_FLOOR * variance.mean() + _TINY


def content_distance(
    covariance: Tensor, variance: Tensor, content_variance: Tensor, floor: Tensor
) -> Tensor:
    """Return the mean over active channels of 1 - correlation with the content over positions.

    It is 0 for the content and about 1 for an unrelated picture. The paper (Gatys et al., CVPR
    2016, equation 1) sums squared differences. Those also ask for the content's contrast in every
    channel, which the style should set: at the same arrangement, style came out a fifth to a third
    worse. The floor counts as noise that both have in common: a channel that hardly varies hardly
    counts, and the gradient stays finite where a channel becomes constant.

    Args:
        covariance: covariance of image and content in each active channel, shape (C',).
        variance: variance of the image in each active channel, shape (C',).
        content_variance: variance of the content in each active channel, shape (C',).
        floor: see `active_channels`; shape ().
    """
    covariance = covariance + floor
    variance = variance + floor
    return (1.0 - covariance / (variance * (content_variance + floor)).sqrt()).mean()


def total_variation(image: Tensor) -> Tensor:
    """Return the mean squared difference between neighbors, in both directions; 0 for one color.

    Args:
        image: shape (1, C, H, W), any range.
    """
    down = image[:, :, 1:, :] - image[:, :, :-1, :]
    across = image[:, :, :, 1:] - image[:, :, :, :-1]
    zero = torch.zeros((), dtype=image.dtype, device=image.device)
    return sum((step.square().mean() for step in (down, across) if step.numel()), zero)
