"""Builds the objective of one level from the photo, the styles and the settings."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from torch import Tensor

from transfer.backbones.vgg import MIN_EDGE_PX, VggBackbone
from transfer.features.extractor import TiledExtractor
from transfer.features.tiling import pooling_depth
from transfer.imaging.images import fit_size, resize
from transfer.imaging.masks import Region
from transfer.objective.content_penalty import ContentPenalty, content_layer
from transfer.objective.losses import StyleTarget
from transfer.objective.objective import Objective
from transfer.objective.protection import Protection, pool_to_layer
from transfer.objective.statistics import Statistics, average
from transfer.objective.targets import Comparison, content_terms, image_statistics
from transfer.objective.terms import StyleTerm, Term
from transfer.settings import Settings


def smoothness_weight(smoothness: float) -> float:
    """Return the weight of a smoothness in [0, 1]: 1/8 for 0, 2 for 0.5, 32 for 1.

    A weight of 2 takes the colored speckle off flat places and costs no brushwork.
    """
    return float(2.0 * 16.0 ** (2.0 * smoothness - 1.0))


@dataclass(frozen=True)
class _LossWeights:
    """Weights of the terms of the loss."""

    smoothness: float
    layers: dict[str, float]
    """Weight of each style layer; only their ratios count."""

    @property
    def layer_sum(self) -> float:
        return sum(self.layers.values())

    @classmethod
    def of(cls, settings: Settings) -> "_LossWeights":
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
    protection_map: Tensor | None = None,
) -> Objective:
    """Build the loss of an image of one size; the targets are computed here, once.

    ``sum over regions of area * style + content + smoothness weight * smoothness``, where style is
    the weighted mean over layers of `losses.style_distance`. A region counts by its area, so that
    each of its pixels has the gradient that it would have without regions. Content is a
    `content_penalty.ContentPenalty` on `losses.content_distance`.

    Args:
        backbone: network whose features are compared.
        content: the photo, shape (1, C, H, W), range [0, 1], C being 1 or 3.
        regions: the styles, and where each goes; as many channels as the content.
        height: height of the image, px.
        width: width of the image, px.
        settings: settings of the painting.
        penalty: penalty of the content; None: that of a first level.
        tile_px: longest edge of a tile without its margin: memory then depends on the tile and
            hardly on the picture. None: the whole picture at once.
        saved_from: see `TiledExtractor`.
        protection_map: places of the photo to keep, see `protection.Protection`; None: none.

    Raises:
        NotFinite: if features of the photo or of a style hold values that are no numbers.
    """
    penalty = penalty or ContentPenalty.of(settings, backbone.name, max(height, width))
    weights = _LossWeights.of(settings)
    style_layers = weights.layers
    compared_layer = content_layer(settings, backbone.name)
    pooling = settings.advanced.pooling

    def make_extractor(layers: Collection[str], height: int, width: int) -> TiledExtractor:
        edge_px = max(height, width) if tile_px is None else tile_px
        return TiledExtractor(backbone, pooling, layers, height, width, edge_px, saved_from)

    comparisons = [Comparison(compared_layer, penalty)]
    protection = None
    if protection_map is not None and settings.keep_faces > 0:
        protection = Protection(protection_map, settings.keep_faces)
        comparisons = protection.comparisons(compared_layer, penalty, height, width)
    content_layers = {comparison.layer for comparison in comparisons}
    terms: list[Term] = [
        *content_terms(
            make_extractor(content_layers, height, width),
            resize(content, height, width),
            comparisons,
        )
    ]

    def style_statistics(style: Tensor, mask: Tensor | None) -> dict[str, Statistics]:
        height, width = style.shape[2:]
        extractor = make_extractor(style_layers, height, width)
        mask_weights = None
        if mask is not None:
            mask_weights = {
                layer: pool_to_layer(mask, layer, height, width) for layer in style_layers
            }
        return image_statistics(extractor, style, style_layers, mask_weights)

    for region in regions:
        targets = _style_targets(style_statistics, region, _style_edge_px(settings, height, width))
        position_weights = _position_weights(region, style_layers, height, width, protection)
        for layer, weight in style_layers.items():
            positions = (height >> pooling_depth(layer)) * (width >> pooling_depth(layer))
            factor = region.area * weight / weights.layer_sum
            terms.append(
                StyleTerm(layer, factor, targets[layer], positions, position_weights[layer])
            )
    return Objective(
        make_extractor({*style_layers, *content_layers}, height, width), terms, weights.smoothness
    )


def _style_edge_px(settings: Settings, height: int, width: int) -> int:
    """Return the long edge to which larger styles are scaled down."""
    return round(settings.brush_size * max(height, width))


def _style_targets(
    style_statistics: Callable[[Tensor, Tensor | None], dict[str, Statistics]],
    region: Region,
    long_edge_px: int,
) -> dict[str, StyleTarget]:
    """Return the averaged statistics of the region's styles, at this size or their own."""
    by_style = []
    masks = region.style_masks or (None,) * len(region.styles)
    for style, mask in zip(region.styles, masks, strict=True):
        height, width = style.shape[2:]
        if long_edge_px < max(height, width):
            height, width = fit_size(height, width, long_edge_px)
        # An elongated style is enlarged, so that its short side survives four poolings.
        enlarged = max(1.0, MIN_EDGE_PX * 2 / min(height, width))
        scaled = resize(style, round(height * enlarged), round(width * enlarged))
        by_style.append(style_statistics(scaled, mask))
    return {
        layer: StyleTarget.of(average([layers[layer] for layers in by_style], region.weights))
        for layer in by_style[0]
    }


def _position_weights(
    region: Region,
    layers: Collection[str],
    height: int,
    width: int,
    protection: Protection | None,
) -> dict[str, Tensor | None]:
    """Return the region's weight of each position, by layer; see `StyleTerm`."""
    position_weights: dict[str, Tensor | None] = {}
    for layer in layers:
        weights = None if protection is None else protection.style_weights(layer, height, width)
        if region.guide is not None:
            guide = pool_to_layer(region.guide, layer, height, width)
            weights = guide if weights is None else guide * weights
        position_weights[layer] = None if weights is None else weights / weights.sum()
    return position_weights
