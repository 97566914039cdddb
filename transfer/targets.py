"""What an image is compared with at one scale: the sum that a painting makes small."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from transfer.backbones.vgg import MIN_EDGE_PX, VggBackbone
from transfer.images import fitted_size, resized
from transfer.losses import StyleTarget
from transfer.objective import Objective
from transfer.regions import Region
from transfer.renditions import Canvas
from transfer.settings import Settings
from transfer.statistics import Statistics, blended
from transfer.strength import Hold, content_layer
from transfer.surveys import content_term, statistics_of
from transfer.terms import StyleTerm, Term
from transfer.tiles import halvings
from transfer.walk import Walk

_Found = dict[str, Statistics]


def smoothness_weight(smoothness: float) -> float:
    """Weight of the smoothness: 1/8 for smoothness 0, 2 for 0.5, 32 for 1.

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
    tile_px: int | None = None,
    traced_from: int | None = None,
) -> Objective:
    """The loss of an image of one size, its targets computed once.

    ``sum over regions of area * style + content + smoothness weight * smoothness``, where style is
    the weighted mean over layers of `losses.style_distance`. A region counts by its area, so that
    each of its pixels is drawn to the style as it would be without regions. Content is
    `losses.unlikeness` held where strength wants it (`strength.Hold`), or with an expert's weight.

    Args:
        backbone: whose features are compared.
        scene: what is painted.
        height: of the image.
        width: of the image.
        settings: of the painting.
        hold: the content's; None: that of a first step.
        tile_px: longest edge of a tile without its margin: memory then depends on the tile and
            hardly on the picture. None: the whole picture at once.
        traced_from: see `Walk`.
    """
    hold = hold or Hold.of(settings, backbone.name, max(height, width))
    weights = _Weights.of(settings)
    layers, layer_of_content = weights.layers, content_layer(settings, backbone.name)
    pooling = settings.expert.pooling

    def walk(layers: Collection[str], height: int, width: int) -> Walk:
        edge_px = max(height, width) if tile_px is None else tile_px
        return Walk(backbone, pooling, layers, height, width, edge_px, traced_from)

    walk_of_content = walk([layer_of_content], height, width)
    content = resized(scene.content, height, width)
    terms: list[Term] = [content_term(walk_of_content, content, layer_of_content, hold)]
    del content

    def found_in(image: Tensor) -> _Found:
        return statistics_of(walk(layers, *image.shape[2:]), image, layers)

    for region in scene.regions:
        targets = _style_targets(found_in, region, _seen_px(settings, height, width))
        shares = _shares(region, layers, height, width)
        for layer, weight in layers.items():
            positions = (height >> halvings(layer)) * (width >> halvings(layer))
            factor = region.area * weight / weights.whole
            terms.append(StyleTerm(layer, factor, targets[layer], positions, shares[layer]))
    return Objective(walk({*layers, layer_of_content}, height, width), terms, weights.smoothness)


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
    """What each position of each layer counts in the region's statistics; see `StyleTerm`."""
    if region.guide is None:
        return dict.fromkeys(layers)
    shares: dict[str, Tensor | None] = {}
    for layer in layers:
        size = height >> halvings(layer), width >> halvings(layer)
        # Averages, not samples: a region smaller than a position still has its share.
        guide = F.adaptive_avg_pool2d(region.guide, size)
        shares[layer] = guide / guide.sum()
    return shares
