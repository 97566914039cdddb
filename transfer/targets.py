"""What an image is compared with at one scale: the sum that a painting makes small."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
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
from transfer.statistics import Statistics, blended, statistics
from transfer.strength import Hold, content_layer
from transfer.terms import StyleTerm, Term
from transfer.tiled import Stages, TiledLoss, Walk, content_term, statistics_of
from transfer.tiles import halvings

_Found = dict[str, Statistics]


def smoothness_weight(smoothness: float) -> float:
    """Weight of `roughness`: 1/8 for smoothness 0, 2 for 0.5, 32 for 1.

    2 takes the colored speckle off flat places and costs no brushwork.
    """
    return float(2.0 * 16.0 ** (2.0 * smoothness - 1.0))


@dataclass(frozen=True)
class _Weights:
    """What each addend of the loss counts."""

    smoothness: float
    layers: dict[str, float]
    """Of the style; together 1 once divided by ``whole``."""

    @property
    def whole(self) -> float:
        return sum(self.layers.values())

    @classmethod
    def of(cls, settings: Settings) -> "_Weights":
        expert = settings.expert
        smoothness = expert.smoothness_weight
        return cls(
            smoothness_weight(settings.smoothness) if smoothness is None else smoothness,
            {layer: weight for layer, weight in expert.style_layers if weight > 0},
        )


def objective(
    backbone: VggBackbone,
    scene: Canvas,
    height: int,
    width: int,
    settings: Settings,
    hold: Hold | None = None,
) -> Callable[[Tensor], Tensor]:
    """The loss of an image of one size, its targets computed once.

    ``sum over regions of area * style + content + smoothness weight * roughness``, where style is
    the weighted mean over layers of `style_loss`. A region counts by its area, so that each of its
    pixels is drawn to the style as it would be without regions. Content is `content_loss` held
    where strength wants it (`strength.Hold`), or with an expert's weight.

    Args:
        backbone: whose features are compared.
        scene: what is painted.
        height: of the image.
        width: of the image.
        settings: of the painting.
        hold: the content's; None: that of a first step.
    """
    hold = hold or Hold.of(settings, backbone.name, max(height, width))
    layer_of_content = content_layer(settings, backbone.name)
    weights = _Weights.of(settings)
    layers = weights.layers
    features = partial(_features, backbone, settings)
    with torch.no_grad():
        content = resized(scene.content, height, width)
        content_target = ContentTarget.of(features(content, (layer_of_content,))[layer_of_content])
        found_in = partial(_statistics, features, layers)
        goals = [
            (
                region.area,
                _style_targets(found_in, region, _seen_px(settings, height, width)),
                _shares(region, layers, height, width),
            )
            for region in scene.regions
        ]

    def loss(image: Tensor) -> Tensor:
        found = features(image, {*layers, layer_of_content})
        style = sum(
            area
            * sum(
                weight * style_loss(found[layer], targets[layer], shares[layer])
                for layer, weight in layers.items()
            )
            for area, targets, shares in goals
        )
        return (
            style / weights.whole
            + hold(content_loss(found[layer_of_content], content_target))
            + weights.smoothness * roughness(image)
        )

    return loss


def tiled_objective(
    backbone: VggBackbone,
    scene: Canvas,
    height: int,
    width: int,
    settings: Settings,
    tile_px: int,
    hold: Hold | None = None,
) -> TiledLoss:
    """The same as `objective`, in memory that depends on the tile and hardly on the picture.

    Args:
        backbone: whose features are compared.
        scene: what is painted.
        height: of the image.
        width: of the image.
        settings: of the painting.
        tile_px: longest edge of a tile without its margin; one tile is computed in one pass.
        hold: the content's; None: that of a first step.
    """
    hold = hold or Hold.of(settings, backbone.name, max(height, width))
    weights = _Weights.of(settings)
    layers, layer_of_content = weights.layers, content_layer(settings, backbone.name)
    # Tiles of compact are small enough to remember all that makes the way back quick.
    is_lean = tile_px >= max(height, width) or backbone.name != "compact"
    stages = partial(_stages, backbone, settings, is_lean)
    walk = partial(Walk, stages, height=height, width=width, tile_px=tile_px)
    with torch.no_grad():
        content = resized(scene.content, height, width)
        walk_of_content = walk(layers={layer_of_content})
        terms: list[Term] = [content_term(walk_of_content, content, layer_of_content, hold)]
        del content
        found_in = partial(_tiled_statistics, stages, layers, tile_px)
        for region in scene.regions:
            targets = _style_targets(found_in, region, _seen_px(settings, height, width))
            shares = _shares(region, layers, height, width)
            for layer, weight in layers.items():
                positions = (height >> halvings(layer)) * (width >> halvings(layer))
                factor = region.area * weight / weights.whole
                term = StyleTerm(layer, factor, targets[layer], positions, shares[layer])
                terms.append(term)
    return TiledLoss(walk(layers={*layers, layer_of_content}), terms, weights.smoothness)


def _features(
    backbone: VggBackbone,
    settings: Settings,
    image: Tensor,
    layers: Collection[str],
) -> dict[str, Tensor]:
    image = image.expand(-1, 3, -1, -1)
    return backbone.features(image, layers, settings.expert.pooling)


def _stages(
    backbone: VggBackbone,
    settings: Settings,
    is_lean: bool,
    activations: Tensor,
    stages: range,
    layers: Collection[str],
    *,
    has_map: bool,
) -> tuple[dict[str, Tensor], Tensor | None]:
    if stages.start == 0:
        activations = activations.expand(-1, 3, -1, -1)
    pooling = settings.expert.pooling
    return backbone.stages(activations, stages, layers, pooling, has_map=has_map, is_lean=is_lean)


def _statistics(
    features: Callable[[Tensor, Collection[str]], dict[str, Tensor]],
    layers: Collection[str],
    image: Tensor,
) -> _Found:
    found = features(image, layers)
    return {layer: statistics(found[layer]) for layer in layers}


def _tiled_statistics(
    stages: Stages, layers: Collection[str], tile_px: int, image: Tensor
) -> _Found:
    _, _, height, width = image.shape
    walk = Walk(stages, layers, height, width, tile_px)
    if walk.is_whole:
        (part,) = walk.parts(walk.legs[0], image)
        return {layer: statistics(part.layers[layer]) for layer in layers}
    return statistics_of(walk, image, layers)


def _seen_px(settings: Settings, height: int, width: int) -> int:
    """The long edge at which styles are seen, unless they are smaller."""
    return round(settings.brush_size * max(height, width))


def _style_targets(
    found_in: Callable[[Tensor], _Found], region: Region, long_edge_px: int
) -> dict[str, StyleTarget]:
    """The blended statistics of the region's styles, seen at this size or their own."""
    seen = []
    for style in region.styles:
        height, width = style.shape[2:]
        if long_edge_px < max(height, width):
            height, width = fitted_size(height, width, long_edge_px)
        # An elongated style is seen larger, so that its short side survives four poolings.
        enlarged = max(1.0, MIN_EDGE_PX * 2 / min(height, width))
        seen.append(found_in(resized(style, round(height * enlarged), round(width * enlarged))))
    return {
        layer: StyleTarget.of(blended([one[layer] for one in seen], region.weights))
        for layer in seen[0]
    }


def _shares(
    region: Region, layers: Collection[str], height: int, width: int
) -> dict[str, Tensor | None]:
    """What each position of each layer counts in the region's statistics; see `statistics`."""
    if region.guide is None:
        return dict.fromkeys(layers)
    shares: dict[str, Tensor | None] = {}
    for layer in layers:
        size = height >> halvings(layer), width >> halvings(layer)
        # Averages, not samples: a region smaller than a position still has its share.
        guide = F.adaptive_avg_pool2d(region.guide, size)
        shares[layer] = guide / guide.sum()
    return shares
