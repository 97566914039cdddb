"""What an image is compared with at one scale: the sum that a painting makes small."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from transfer.backbones.vgg import MIN_EDGE_PX, VggBackbone
from transfer.features.extractor import TiledExtractor
from transfer.features.tiling import pooling_depth
from transfer.imaging.images import fit_size, resize
from transfer.imaging.masks import Region
from transfer.objective.content_penalty import ContentPenalty, content_layer
from transfer.objective.losses import StyleTarget
from transfer.objective.objective import Objective
from transfer.objective.statistics import Statistics, average
from transfer.objective.targets import content_term, image_statistics
from transfer.objective.terms import StyleTerm, Term
from transfer.settings import Settings

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
        advanced = settings.advanced
        smoothness = advanced.smoothness_weight
        return cls(
            smoothness_weight(settings.smoothness) if smoothness is None else smoothness,
            {layer: weight for layer, weight in advanced.style_layers if weight > 0},
        )


def build_objective(
    backbone: VggBackbone,
    content: Tensor,
    regions: Sequence[Region],
    height: int,
    width: int,
    settings: Settings,
    penalty: ContentPenalty | None = None,
    tile_px: int | None = None,
    saved_from: int | None = None,
) -> Objective:
    """The loss of an image of one size, its targets computed once.

    ``sum over regions of area * style + content + smoothness weight * smoothness``, where style is
    the weighted mean over layers of `losses.style_distance`. A region counts by its area, so that
    each of its pixels is drawn to the style as it would be without regions. Content is
    `losses.content_distance`, held where strength wants it (`content_penalty.ContentPenalty`) or
    with a fixed weight of the advanced settings.

    Args:
        backbone: whose features are compared.
        content: the photo, shape (1, C, H, W), range [0, 1], C being 1 or 3.
        regions: the styles, and where each goes; as many channels as the content.
        height: of the image.
        width: of the image.
        settings: of the painting.
        penalty: the content's; None: that of a first step.
        tile_px: longest edge of a tile without its margin: memory then depends on the tile and
            hardly on the picture. None: the whole picture at once.
        saved_from: see `TiledExtractor`.
    """
    penalty = penalty or ContentPenalty.of(settings, backbone.name, max(height, width))
    weights = _Weights.of(settings)
    layers, layer_of_content = weights.layers, content_layer(settings, backbone.name)
    pooling = settings.advanced.pooling

    def extractor(layers: Collection[str], height: int, width: int) -> TiledExtractor:
        edge_px = max(height, width) if tile_px is None else tile_px
        return TiledExtractor(backbone, pooling, layers, height, width, edge_px, saved_from)

    content_extractor = extractor([layer_of_content], height, width)
    terms: list[Term] = [
        content_term(content_extractor, resize(content, height, width), layer_of_content, penalty)
    ]

    def found_in(image: Tensor) -> _Found:
        return image_statistics(extractor(layers, *image.shape[2:]), image, layers)

    for region in regions:
        targets = _style_targets(found_in, region, _seen_px(settings, height, width))
        position_weights = _position_weights(region, layers, height, width)
        for layer, weight in layers.items():
            positions = (height >> pooling_depth(layer)) * (width >> pooling_depth(layer))
            factor = region.area * weight / weights.whole
            terms.append(
                StyleTerm(layer, factor, targets[layer], positions, position_weights[layer])
            )
    return Objective(
        extractor({*layers, layer_of_content}, height, width), terms, weights.smoothness
    )


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
            height, width = fit_size(height, width, long_edge_px)
        # An elongated style is seen larger, so that its short side survives four poolings.
        enlarged = max(1.0, MIN_EDGE_PX * 2 / min(height, width))
        seen.append(found_in(resize(style, round(height * enlarged), round(width * enlarged))))
    return {
        layer: StyleTarget.of(average([one[layer] for one in seen], region.weights))
        for layer in seen[0]
    }


def _position_weights(
    region: Region, layers: Collection[str], height: int, width: int
) -> dict[str, Tensor | None]:
    """What each position of each layer counts in the region's statistics; see `StyleTerm`."""
    if region.guide is None:
        return dict.fromkeys(layers)
    position_weights: dict[str, Tensor | None] = {}
    for layer in layers:
        size = height >> pooling_depth(layer), width >> pooling_depth(layer)
        # Averages, not samples: a region smaller than a position still has its share.
        guide = F.adaptive_avg_pool2d(region.guide, size)
        position_weights[layer] = guide / guide.sum()
    return position_weights
