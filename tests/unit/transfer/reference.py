"""Reference for the loss: its formula on the whole picture, with the gradient by autograd."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.backbones.vgg import VggBackbone
from transfer.imaging.images import fit_size, resize
from transfer.imaging.masks import Region
from transfer.objective.builder import smoothness_weight
from transfer.objective.content_penalty import ContentPenalty, content_layer
from transfer.objective.losses import (
    StyleTarget,
    active_channels,
    content_distance,
    style_distance,
    total_variation,
)
from transfer.objective.statistics import Statistics, statistics
from transfer.settings import Settings


def objective(
    backbone: VggBackbone,
    content: Tensor,
    regions: Sequence[Region],
    height: int,
    width: int,
    settings: Settings,
) -> Callable[[Tensor], Tensor]:
    """Return the loss of `build_objective`.

    Each region has one style, which is not smaller than the size at which it is compared.
    """
    advanced = settings.advanced
    penalty = ContentPenalty.of(settings, backbone.name, max(height, width))
    compared_layer = content_layer(settings, backbone.name)
    layers = dict(advanced.style_layers)
    smoothness = advanced.smoothness_weight
    if smoothness is None:
        smoothness = smoothness_weight(settings.smoothness)

    def features(image: Tensor) -> dict[str, Tensor]:
        return backbone.features(
            image.expand(-1, 3, -1, -1), {*layers, compared_layer}, advanced.pooling
        )

    with torch.no_grad():
        content_target = ContentTarget.of(features(resize(content, height, width))[compared_layer])
        region_targets = []
        for region in regions:
            (style,) = region.styles
            edge_px = min(round(settings.brush_size * max(height, width)), max(style.shape[2:]))
            style_features = features(
                resize(style, *fit_size(style.shape[2], style.shape[3], edge_px))
            )
            targets = {layer: StyleTarget.of(statistics(style_features[layer])) for layer in layers}
            region_targets.append((region, targets))

    def region_statistics(features: Tensor, region: Region) -> Statistics:
        return (
            statistics(features)
            if region.guide is None
            else guided_statistics(features, region.guide)
        )

    def loss(image: Tensor) -> Tensor:
        activations = features(image)
        style_loss = sum(
            region.area
            * weight
            * style_distance(region_statistics(activations[layer], region), targets[layer])
            for region, targets in region_targets
            for layer, weight in layers.items()
        )
        total = style_loss / sum(layers.values()) + penalty(
            content_loss(activations[compared_layer], content_target)
        )
        return total + smoothness * total_variation(image)

    return loss


def guided_statistics(features: Tensor, guide: Tensor) -> Statistics:
    """Return `statistics` of features, shape (1, C, H, W), weighted by a guide of any size."""
    size = features.shape[2], features.shape[3]
    weights = F.adaptive_avg_pool2d(guide.to(features), size).flatten()
    weights = weights / weights.sum()
    positions = features[0].flatten(1)
    mean = (positions @ weights).unsqueeze(1)
    centered = positions - mean
    return Statistics(mean, (centered * weights) @ centered.T)


@dataclass(frozen=True)
class ContentTarget:
    """Centered features of the content, without the channels that do not vary."""

    centered: Tensor
    """Active channels minus their means, shape (C', H*W)."""
    variance: Tensor
    is_live: Tensor
    floor: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "ContentTarget":
        """Return the target from the content's activations, shape (1, C, H, W)."""
        channels = features[0].flatten(1)
        mean = channels.mean(dim=1, keepdim=True)
        centered = channels - mean
        variance = centered.square().mean(dim=1)
        is_live, floor = active_channels(mean.flatten(), variance)
        return cls(centered[is_live], variance[is_live], is_live, floor)


def content_loss(features: Tensor, target: ContentTarget) -> Tensor:
    """Return `content_distance` of features, shape (1, C, H, W)."""
    if not target.variance.numel():
        return features.sum() * 0.0
    channels = features[0].flatten(1)[target.is_live]
    channels = channels - channels.mean(dim=1, keepdim=True)
    return content_distance(
        (channels * target.centered).mean(dim=1),
        channels.square().mean(dim=1),
        target.variance,
        target.floor,
    )
