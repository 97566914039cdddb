"""The loss as its formula says, of a whole picture and by autograd: what ours is compared with."""

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
    """Build what `build_objective` does; each region has one style, no smaller than it is seen."""
    advanced = settings.advanced
    penalty = ContentPenalty.of(settings, backbone.name, max(height, width))
    of_content = content_layer(settings, backbone.name)
    layers = dict(advanced.style_layers)
    smoothness = advanced.smoothness_weight
    if smoothness is None:
        smoothness = smoothness_weight(settings.smoothness)

    def features(image: Tensor) -> dict[str, Tensor]:
        return backbone.features(
            image.expand(-1, 3, -1, -1), {*layers, of_content}, advanced.pooling
        )

    with torch.no_grad():
        goal = ContentTarget.of(features(resize(content, height, width))[of_content])
        goals = []
        for region in regions:
            (style,) = region.styles
            edge_px = min(round(settings.brush_size * max(height, width)), max(style.shape[2:]))
            found = features(resize(style, *fit_size(style.shape[2], style.shape[3], edge_px)))
            targets = {layer: StyleTarget.of(statistics(found[layer])) for layer in layers}
            goals.append((region, targets))

    def seen(features: Tensor, region: Region) -> Statistics:
        return statistics(features) if region.guide is None else guided(features, region.guide)

    def loss(image: Tensor) -> Tensor:
        found = features(image)
        style = sum(
            region.area * weight * style_distance(seen(found[layer], region), targets[layer])
            for region, targets in goals
            for layer, weight in layers.items()
        )
        whole = style / sum(layers.values()) + penalty(content_loss(found[of_content], goal))
        return whole + smoothness * total_variation(image)

    return loss


def guided(features: Tensor, guide: Tensor) -> Statistics:
    """`statistics` of features, shape (1, C, H, W), where a guide of any size says."""
    size = features.shape[2], features.shape[3]
    weights = F.adaptive_avg_pool2d(guide.to(features), size).flatten()
    weights = weights / weights.sum()
    positions = features[0].flatten(1)
    mean = (positions @ weights).unsqueeze(1)
    centered = positions - mean
    return Statistics(mean, (centered * weights) @ centered.T)


@dataclass(frozen=True)
class ContentTarget:
    """How the content's features vary over positions, and which of them do."""

    centered: Tensor
    """Live channels minus their means, shape (C', H*W)."""
    variance: Tensor
    is_live: Tensor
    floor: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "ContentTarget":
        """From the content's activations, shape (1, C, H, W)."""
        channels = features[0].flatten(1)
        mean = channels.mean(dim=1, keepdim=True)
        centered = channels - mean
        variance = centered.square().mean(dim=1)
        is_live, floor = active_channels(mean.flatten(), variance)
        return cls(centered[is_live], variance[is_live], is_live, floor)


def content_loss(features: Tensor, target: ContentTarget) -> Tensor:
    """`content_distance` of features, shape (1, C, H, W)."""
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
