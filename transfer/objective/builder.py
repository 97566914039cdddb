"""Builds the objective of one level from the photo, the styles and the settings."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from transfer.backbones.vgg import MIN_EDGE_PX, VggBackbone
from transfer.features.extractor import TiledExtractor
from transfer.features.tiling import pooling_depth
from transfer.imaging.images import fit_size, resize
from transfer.imaging.masks import Region
from transfer.objective.content_penalty import ContentPenalty, content_layer
from transfer.objective.losses import StyleTarget
from transfer.objective.matching import MatchTerm, Sampler, matched_positions, style_pools
from transfer.objective.objective import Objective
from transfer.objective.protection import Protection, pool_to_layer
from transfer.objective.statistics import Statistics, average
from transfer.objective.targets import Comparison, content_terms, image_statistics
from transfer.objective.terms import StyleTerm, Term
from transfer.settings import AdvancedSettings, Settings
from transfer.stages import MATCHED_LAYERS, Stage

_PALETTE_LAYER, _PALETTE_WEIGHT = "relu1_1", 0.1
"""Layer and weight of the statistics that hold the palette where places are matched. Without them a
picture after a gray ink drawing came out cream."""


def smoothness_weight(smoothness: float) -> float:
    """Return the weight of a smoothness in [0, 1]: 1/8 for 0, 2 for 0.5, 32 for 1.

    A weight of 2 takes the colored speckle off flat places and costs no brushwork.
    """
    return float(2.0 * 16.0 ** (2.0 * smoothness - 1.0))


def matching_smoothness_weight(smoothness: float) -> float:
    """Return the weight where places are matched: 0.0025 for 0, 0.1 for 0.5, 4 for 1.

    Matched strokes have no speckle; a weight of 2 took the contrast out of them.
    """
    return float(0.1 * 40.0 ** (2.0 * smoothness - 1.0))


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
    make_extractor = _extractor_factory(backbone, settings, tile_px, saved_from)
    protection = _protection(settings.keep_faces, protection_map)
    terms: list[Term] = _compare_content(
        make_extractor, content, compared_layer, penalty, protection, height, width
    )
    content_layers = {term.layer for term in terms}

    edge_px = _style_edge_px(settings, height, width)
    for region in regions:
        position_weights = _position_weights(region, style_layers, height, width, protection)
        factors = {layer: weight / weights.layer_sum for layer, weight in style_layers.items()}
        terms += _style_terms(
            make_extractor, region, factors, edge_px, height, width, position_weights
        )
    return Objective(
        make_extractor({*style_layers, *content_layers}, height, width), terms, weights.smoothness
    )


def build_matching_objective(
    backbone: VggBackbone,
    content: Tensor,
    regions: Sequence[Region],
    height: int,
    width: int,
    settings: Settings,
    stage: Stage,
    penalty: ContentPenalty,
    sampler: Sampler,
    tile_px: int | None = None,
    saved_from: int | None = None,
    protection_map: Tensor | None = None,
) -> Objective:
    """Build the loss that matches each place to the style; the styles' features are computed here.

    ``sum over regions of area * (matching + 0.1 palette) + content + smoothness weight *
    smoothness``, where matching is the weighted mean of `matching.MatchTerm` over the stage's
    layers, or over those of the settings, and palette is `losses.style_distance` at relu1_1:
    matching compares directions only, and knows no color exactly.

    Args:
        backbone: network whose features are compared.
        content: the photo, shape (1, C, H, W), range [0, 1], C being 1 or 3.
        regions: the styles, and where each goes; as many channels as the content.
        height: height of the image, px.
        width: width of the image, px.
        settings: settings of the painting.
        stage: `Stage.SHAPES` or `Stage.STROKES`.
        penalty: penalty of the content.
        sampler: source of the positions that an evaluation matches. The caller tells it which
            evaluation comes next.
        tile_px: as in `build_objective`.
        saved_from: as in `build_objective`.
        protection_map: as in `build_objective`.

    Raises:
        NotFinite: if features of the photo or of a style hold values that are no numbers.
    """
    weights = _LossWeights.of(settings)
    layers = weights.layers
    if settings.advanced.style_layers == AdvancedSettings.style_layers:
        layers = dict.fromkeys(MATCHED_LAYERS[stage], 1.0)
    smoothness = settings.advanced.smoothness_weight
    compared_layer = content_layer(settings, backbone.name, stage)
    make_extractor = _extractor_factory(backbone, settings, tile_px, saved_from)
    # Squared: where shapes are matched, half of the protection leaves a photo among strokes.
    protection = _protection(settings.keep_faces**2, protection_map)
    terms: list[Term] = _compare_content(
        make_extractor, content, compared_layer, penalty, protection, height, width
    )
    content_layers = {term.layer for term in terms}
    edge_px = _style_edge_px(settings, height, width)
    matched = matched_positions(height, width)
    for region in regions:
        styles = [_scale_style(style, edge_px) for style in region.styles]
        pools = style_pools(
            make_extractor,
            styles,
            region.style_masks,
            region.weights,
            list(layers),
            backbone.gradient_dtype,
        )
        position_weights = _position_weights(
            region, layers, height, width, protection, all_layers=True
        )
        palette = {_PALETTE_LAYER: _PALETTE_WEIGHT}
        palette_weights = _position_weights(region, palette, height, width, None)
        terms += _style_terms(
            make_extractor, region, palette, edge_px, height, width, palette_weights
        )
        for layer, weight in layers.items():
            depth = pooling_depth(layer)
            terms.append(
                MatchTerm(
                    layer,
                    region.area * weight / sum(layers.values()),
                    pools[layer],
                    height >> depth,
                    width >> depth,
                    matched,
                    position_weights[layer],
                    sampler,
                    len(terms),
                )
            )
    return Objective(
        make_extractor({*layers, *content_layers, _PALETTE_LAYER}, height, width),
        terms,
        matching_smoothness_weight(settings.smoothness) if smoothness is None else smoothness,
    )


def _extractor_factory(
    backbone: VggBackbone, settings: Settings, tile_px: int | None, saved_from: int | None
) -> Callable[[Collection[str], int, int], TiledExtractor]:
    pooling = settings.advanced.pooling

    def make_extractor(layers: Collection[str], height: int, width: int) -> TiledExtractor:
        edge_px = max(height, width) if tile_px is None else tile_px
        return TiledExtractor(backbone, pooling, layers, height, width, edge_px, saved_from)

    return make_extractor


def _protection(strength: float, protection_map: Tensor | None) -> Protection | None:
    if protection_map is None or strength == 0:
        return None
    return Protection(protection_map, strength)


def _compare_content(
    make_extractor: Callable[[Collection[str], int, int], TiledExtractor],
    content: Tensor,
    layer: str,
    penalty: ContentPenalty,
    protection: Protection | None,
    height: int,
    width: int,
) -> list[Term]:
    """Return the terms that hold an image of this size to the photo."""
    comparisons = [Comparison(layer, penalty)]
    if protection is not None:
        comparisons = protection.comparisons(layer, penalty, height, width)
    layers = {comparison.layer for comparison in comparisons}
    extractor = make_extractor(layers, height, width)
    return [*content_terms(extractor, resize(content, height, width), comparisons)]


def _style_edge_px(settings: Settings, height: int, width: int) -> int:
    """Return the long edge to which larger styles are scaled down."""
    return round(settings.brush_size * max(height, width))


def _style_terms(
    make_extractor: Callable[[Collection[str], int, int], TiledExtractor],
    region: Region,
    factors: Mapping[str, float],
    style_edge_px: int,
    height: int,
    width: int,
    position_weights: Mapping[str, Tensor | None],
) -> list[Term]:
    """Return the distances of a region to the statistics of its styles, by layer and factor."""

    def style_statistics(style: Tensor, mask: Tensor | None) -> dict[str, Statistics]:
        height, width = style.shape[2:]
        mask_weights = None
        if mask is not None:
            mask_weights = {layer: pool_to_layer(mask, layer, height, width) for layer in factors}
        return image_statistics(
            make_extractor(factors, height, width), style, factors, mask_weights
        )

    targets = _style_targets(style_statistics, region, style_edge_px)
    return [
        StyleTerm(
            layer,
            region.area * factor,
            targets[layer],
            (height >> pooling_depth(layer)) * (width >> pooling_depth(layer)),
            position_weights[layer],
        )
        for layer, factor in factors.items()
    ]


def _style_targets(
    style_statistics: Callable[[Tensor, Tensor | None], dict[str, Statistics]],
    region: Region,
    long_edge_px: int,
) -> dict[str, StyleTarget]:
    """Return the averaged statistics of the region's styles, at this size or their own."""
    masks = region.style_masks or (None,) * len(region.styles)
    by_style = [
        style_statistics(_scale_style(style, long_edge_px), mask)
        for style, mask in zip(region.styles, masks, strict=True)
    ]
    return {
        layer: StyleTarget.of(average([layers[layer] for layers in by_style], region.weights))
        for layer in by_style[0]
    }


def _scale_style(style: Tensor, long_edge_px: int) -> Tensor:
    height, width = style.shape[2:]
    if long_edge_px < max(height, width):
        height, width = fit_size(height, width, long_edge_px)
    # An elongated style is enlarged, so that its short side survives four poolings.
    enlarged = max(1.0, MIN_EDGE_PX * 2 / min(height, width))
    return resize(style, round(height * enlarged), round(width * enlarged))


def _position_weights(
    region: Region,
    layers: Collection[str],
    height: int,
    width: int,
    protection: Protection | None,
    *,
    all_layers: bool = False,
) -> dict[str, Tensor | None]:
    """Return the region's weight of each position, by layer; see `StyleTerm`.

    Protected places count less in deep layers, or in all of them.
    """
    position_weights: dict[str, Tensor | None] = {}
    for layer in layers:
        weights = None
        if protection is not None:
            weights = protection.style_weights(layer, height, width, all_layers=all_layers)
        if region.guide is not None:
            guide = pool_to_layer(region.guide, layer, height, width)
            weights = guide if weights is None else guide * weights
        position_weights[layer] = None if weights is None else weights / weights.sum()
    return position_weights
