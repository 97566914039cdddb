"""What an image is compared with at one scale: the sum that a painting makes small."""

from collections.abc import Callable, Collection
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.backbones.vgg import MIN_EDGE_PX, VggBackbone
from transfer.images import fitted_size, resized
from transfer.losses import ContentTarget, StyleTarget, content_loss, roughness, style_loss
from transfer.regions import Region
from transfer.renditions import Canvas
from transfer.settings import Settings
from transfer.statistics import blended, statistics
from transfer.strength import content_distance, held, seen_distance, usual_weight

Features = Callable[[Tensor, Collection[str]], dict[str, Tensor]]


def smoothness_weight(smoothness: float) -> float:
    """Weight of `roughness`: 1/8 for smoothness 0, 2 for 0.5, 32 for 1.

    2 takes the colored speckle off flat places and costs no brushwork.
    """
    return float(2.0 * 16.0 ** (2.0 * smoothness - 1.0))


def objective(
    backbone: VggBackbone, scene: Canvas, height: int, width: int, settings: Settings
) -> Callable[[Tensor], Tensor]:
    """The loss of an image of one size, its targets computed once.

    ``sum over regions of area * style + content + smoothness weight * roughness``, where style is
    the weighted mean over layers of `style_loss`. A region counts by its area, so that each of its
    pixels is drawn to the style as it would be without regions. Content is `content_loss` held
    where strength wants it (`strength.held`), or with an expert's weight.
    """
    expert = settings.expert
    smoothness_factor = expert.smoothness_weight
    if smoothness_factor is None:
        smoothness_factor = smoothness_weight(settings.smoothness)
    content_term = _content_term(settings, backbone.name, max(height, width))
    layers = {layer: weight for layer, weight in expert.style_layers if weight > 0}
    whole = sum(layers.values())
    features = partial(_features, backbone, settings)
    with torch.no_grad():
        content = resized(scene.content, height, width)
        content_target = ContentTarget.of(
            features(content, (expert.content_layer,))[expert.content_layer]
        )
        seen_px = round(settings.brush_size * max(height, width))
        goals = [
            (
                region.area,
                _style_targets(features, region, layers, seen_px),
                _shares(region, layers, height, width),
            )
            for region in scene.regions
        ]

    def loss(image: Tensor) -> Tensor:
        found = features(image, {*layers, expert.content_layer})
        style = sum(
            area
            * sum(
                weight * style_loss(found[layer], targets[layer], shares[layer])
                for layer, weight in layers.items()
            )
            for area, targets, shares in goals
        )
        return (
            style / whole
            + content_term(content_loss(found[expert.content_layer], content_target))
            + smoothness_factor * roughness(image)
        )

    return loss


def _content_term(
    settings: Settings, backbone: str, long_edge_px: int
) -> Callable[[Tensor], Tensor]:
    """What the content adds to the loss, from its own loss."""
    weight = settings.expert.content_weight
    if weight is not None:
        return lambda loss: weight * loss
    distance = content_distance(settings.strength)
    goal = seen_distance(distance, backbone, long_edge_px)
    return partial(held, goal=goal, weight=usual_weight(distance, backbone))


def _features(
    backbone: VggBackbone, settings: Settings, image: Tensor, layers: Collection[str]
) -> dict[str, Tensor]:
    return backbone.features(image.expand(-1, 3, -1, -1), layers, settings.expert.pooling)


def _style_targets(
    features: Features, region: Region, layers: Collection[str], long_edge_px: int
) -> dict[str, StyleTarget]:
    """The blended statistics of the region's styles, seen at this size or their own."""
    seen = []
    for style in region.styles:
        height, width = style.shape[2:]
        if long_edge_px < max(height, width):
            height, width = fitted_size(height, width, long_edge_px)
        # An elongated style is seen larger, so that its short side survives four poolings.
        enlarged = max(1.0, MIN_EDGE_PX * 2 / min(height, width))
        found = features(resized(style, round(height * enlarged), round(width * enlarged)), layers)
        seen.append({layer: statistics(found[layer]) for layer in layers})
    return {
        layer: StyleTarget.of(blended([one[layer] for one in seen], region.weights))
        for layer in layers
    }


def _shares(
    region: Region, layers: Collection[str], height: int, width: int
) -> dict[str, Tensor | None]:
    """What each position of each layer counts in the region's statistics; see `statistics`."""
    if region.guide is None:
        return dict.fromkeys(layers)
    shares: dict[str, Tensor | None] = {}
    for layer in layers:
        halvings = int(layer[len("relu")]) - 1
        # Averages, not samples: a region smaller than a position still has its share.
        guide = F.adaptive_avg_pool2d(region.guide, (height >> halvings, width >> halvings))
        shares[layer] = guide / guide.sum()
    return shares
