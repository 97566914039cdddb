"""Reference for the loss: its formula for a whole picture, differentiated by autograd."""

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
    protection_map: Tensor | None = None,
) -> Callable[[Tensor], Tensor]:
    """Build the loss of `build_objective` for regions of one style each, which is only reduced."""
    strength = settings.keep_faces
    advanced = settings.advanced
    penalty = ContentPenalty.of(settings, backbone.name, max(height, width))
    compared_layer = content_layer(settings, backbone.name)
    layers = dict(advanced.style_layers)
    smoothness = advanced.smoothness_weight
    if smoothness is None:
        smoothness = smoothness_weight(settings.smoothness)

    def features(image: Tensor) -> dict[str, Tensor]:
        return backbone.features(
            image.expand(-1, 3, -1, -1), {*layers, compared_layer, "relu3_1"}, advanced.pooling
        )

    with torch.no_grad():
        photo = features(resize(content, height, width))
        goal = ContentTarget.of(photo[compared_layer])
        goals = []
        for region in regions:
            (style,) = region.styles
            edge_px = min(round(settings.brush_size * max(height, width)), max(style.shape[2:]))
            style_height, style_width = style.shape[2:]
            found = features(resize(style, *fit_size(style_height, style_width, edge_px)))
            (mask,) = region.style_masks or (None,)
            targets = {
                layer: StyleTarget.of(
                    statistics(found[layer]) if mask is None else guided(found[layer], mask)
                )
                for layer in layers
            }
            goals.append((region, targets))

    def seen(features: Tensor, region: Region, layer: str) -> Statistics:
        weights = torch.ones(features.shape[2:])
        if region.guide is not None:
            weights = pool(region.guide, features)
        if protection_map is not None and layer.startswith(("relu4", "relu5")):
            loss = 0.8 * min(1.0, 2.0 * strength)
            weights = weights * (1.0 - loss * pool(protection_map, features))
        return guided(features, weights[None, None])

    def all_content_loss(found: dict[str, Tensor]) -> Tensor:
        if protection_map is None or strength == 0.0:
            return penalty(content_loss(found[compared_layer], goal))
        rest, gain = 1.0 - protection_map, 1.0 + 4.0 * strength
        held = weighted_distance(found[compared_layer], photo[compared_layer], rest)
        faces, details = (
            weighted_distance(found[layer], photo[layer], protection_map)
            for layer in (compared_layer, "relu3_1")
        )
        return (
            penalty(held)
            + penalty.weight * gain * protection_map.mean() * faces
            + 0.03 * strength * details
        )

    def loss(image: Tensor) -> Tensor:
        found = features(image)
        style = sum(
            region.area * weight * style_distance(seen(found[layer], region, layer), targets[layer])
            for region, targets in goals
            for layer, weight in layers.items()
        )
        whole = style / sum(layers.values()) + all_content_loss(found)
        return whole + smoothness * total_variation(image)

    return loss


def guided(features: Tensor, guide: Tensor) -> Statistics:
    """Compute `statistics` of features, shape (1, C, H, W), weighted by a guide of any size."""
    weights = pool(guide, features).flatten()
    weights = weights / weights.sum()
    positions = features[0].flatten(1)
    mean = (positions @ weights).unsqueeze(1)
    centered = positions - mean
    return Statistics(mean, (centered * weights) @ centered.T)


def pool(weights: Tensor, features: Tensor) -> Tensor:
    """Average weights of any size, shape (1, 1, H, W), over positions; shape (H', W')."""
    height, width = features.shape[2:]
    return F.adaptive_avg_pool2d(weights.to(features), (height, width))[0, 0]


def weighted_distance(features: Tensor, photo: Tensor, weights_map: Tensor) -> Tensor:
    """Return the `content_distance` of features, each position weighing its part of a map."""
    weights = pool(weights_map, features).flatten()
    weights = weights / weights.sum()
    target, actual = (maps[0].flatten(1) for maps in (photo, features))
    mean = (target * weights).sum(dim=1, keepdim=True)
    target = target - mean
    content_variance = (target.square() * weights).sum(dim=1)
    is_active, floor = active_channels(mean.flatten(), content_variance)
    actual = actual - (actual * weights).sum(dim=1, keepdim=True)
    return content_distance(
        (actual * target * weights).sum(dim=1)[is_active],
        (actual.square() * weights).sum(dim=1)[is_active],
        content_variance[is_active],
        floor,
    )


@dataclass(frozen=True)
class ContentTarget:
    """Variation of the content's features over positions, and the channels that vary."""

    centered: Tensor
    """Active channels minus their means, shape (C', H*W)."""
    variance: Tensor
    is_active: Tensor
    floor: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "ContentTarget":
        """Build a target from the content's activations, shape (1, C, H, W)."""
        channels = features[0].flatten(1)
        mean = channels.mean(dim=1, keepdim=True)
        centered = channels - mean
        variance = centered.square().mean(dim=1)
        is_active, floor = active_channels(mean.flatten(), variance)
        return cls(centered[is_active], variance[is_active], is_active, floor)


def content_loss(features: Tensor, target: ContentTarget) -> Tensor:
    """Return the `content_distance` of features, shape (1, C, H, W)."""
    if not target.variance.numel():
        return features.sum() * 0.0
    channels = features[0].flatten(1)[target.is_active]
    channels = channels - channels.mean(dim=1, keepdim=True)
    return content_distance(
        (channels * target.centered).mean(dim=1),
        channels.square().mean(dim=1),
        target.variance,
        target.floor,
    )
