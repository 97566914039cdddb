"""Renditions: the content, the styles, the start and the colors of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.imaging.color import (
    confine_colors,
    luminance,
    match_color_statistics,
    match_luminance,
    replace_luminance,
)
from transfer.imaging.images import fit_size, resize
from transfer.imaging.masks import Region, coverage
from transfer.settings import ColorMap, Rendition, Settings, Start

_SWATCH_PX = 128
"""Edge of a style's swatch: enough for the mean and covariance of its palette."""

_HUES_PX = 64
"""Long edge of the map of the photo's hues."""

_NOISE = 0.02
"""Amplitude of the seed's noise on any start but noise: invisible."""


@dataclass(frozen=True)
class RenditionTask:
    """Inputs of one rendition; its image has 3 channels, or 1 where only lightness is painted."""

    content: Tensor
    """Photo, shape (1, C, H, W), range [0, 1], C being 3 or 1."""
    regions: tuple[Region, ...]
    """Styles and where each goes; with as many channels as the content."""
    start: Tensor
    """Image before the first evaluation, of the shape of the content."""
    to_rgb: Callable[[Tensor], Tensor]
    """Function from the calm image, (1, C, H', W') of any size, to RGB, (1, 3, H', W')."""
    shapes: Tensor | None = None
    """Photo without the colors that the styles have no room for, of the shape of the content: what
    places that are matched are held to. Held to the photo itself, green eyes stay green in red
    chalk. None: the content."""
    protection_map: Tensor | None = None
    """Places of the photo to keep, shape (1, 1, H'', W''); see `builder.build_objective`."""


def rendition_task(
    rendition: Rendition,
    content: Tensor,
    regions: Sequence[Region],
    painted: Tensor | None,
    settings: Settings,
) -> RenditionTask:
    """Return the inputs of a rendition.

    Args:
        rendition: rendition to paint.
        content: photo, RGB, shape (1, 3, H, W), range [0, 1].
        regions: styles as RGB, shapes (1, 3, H', W').
        painted: another rendition of the same painting to start from, RGB, shape (1, 3, H, W).
        settings: settings of the painting.
    """
    source = content if painted is None else painted
    if rendition is Rendition.LUMINANCE:
        # Section 5 of arXiv 1606.05897: paint lightness alone, keep the photo's chroma.
        light = luminance(content)
        return RenditionTask(
            content=light,
            regions=_replace_styles(
                regions, lambda style, region: _match_lightness(style, light, region)
            ),
            start=_compose(
                regions,
                light,
                lambda region: _match_lightness(source, light, region, is_in_place=True),
            ),
            to_rgb=_keep_outside(
                regions,
                content,
                lambda image: replace_luminance(
                    resize(content, image.shape[2], image.shape[3]), image
                ),
            ),
        )
    color_map = ColorMap.SYMMETRIC
    if rendition is Rendition.HISTOGRAM:
        # Section 4: the style gets the photo's palette before anything is painted.
        color_map = settings.color_map
        regions = _replace_styles(
            regions,
            lambda style, region: match_color_statistics(
                style, content, color_map, palette_weights=region.guide
            ),
        )
    if painted is None and settings.start is Start.CONTENT:
        start = content
    else:
        start = _compose(regions, content, lambda region: _match_palette(region, source, color_map))
    if rendition is Rendition.HISTOGRAM and painted is not None:
        start = _restore_hues(start, content)
    return RenditionTask(
        content=content,
        regions=tuple(regions),
        start=start,
        to_rgb=_keep_outside(regions, content, lambda image: image),
        shapes=_compose(regions, content, lambda region: _confine_colors(region, content)),
    )


def initial_image(task: RenditionTask, height: int, width: int, start: Start, seed: int) -> Tensor:
    """Return the first image of a painting at its coarsest level: `RenditionTask.start` or noise.

    Args:
        task: inputs of the first rendition.
        height: height of the image, px.
        width: width of the image, px.
        start: noise, or anything else for the task's start with a little noise.
        seed: seed of the noise.

    Returns:
        shape (1, C, height, width); noise has the range [0, 1].
    """
    image = resize(task.start, height, width)
    # Drawn on the CPU, so that one seed means one start on every device.
    generator = torch.Generator().manual_seed(seed)
    if start is not Start.NOISE:
        return image + _NOISE * torch.randn(image.shape, generator=generator).to(image)
    noise = torch.rand(image.shape, generator=generator).to(image)
    covered = coverage(task.regions)
    return noise if covered is None else image.lerp(noise, resize(covered, height, width))


def _replace_styles(
    regions: Sequence[Region], change: Callable[[Tensor, Region], Tensor]
) -> tuple[Region, ...]:
    return tuple(
        replace(region, styles=tuple(change(style, region) for style in region.styles))
        for region in regions
    )


def _compose(
    regions: Sequence[Region], elsewhere: Tensor, image_of: Callable[[Region], Tensor]
) -> Tensor:
    """Put each region's own image in its place, and another one where no region is."""
    covered = coverage(regions)
    if covered is None:
        return image_of(regions[0])
    composed = (1.0 - covered) * elsewhere
    for region in regions:
        if region.guide is not None:
            composed = composed + region.guide * image_of(region)
    return composed


def _keep_outside(
    regions: Sequence[Region], content: Tensor, to_rgb: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """Return `RenditionTask.to_rgb` that shows the photo where no style goes."""
    covered = coverage(regions)
    if covered is None:
        return to_rgb

    def blend(image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        photo = resize(content, height, width)
        return photo.lerp(to_rgb(image), resize(covered, height, width))

    return blend


def _match_palette(region: Region, image: Tensor, color_map: ColorMap) -> Tensor:
    """Return the image in the common palette of the region's styles."""
    palette, weights = _palette(region)
    return match_color_statistics(
        image, palette, color_map, image_weights=region.guide, palette_weights=weights
    )


def _confine_colors(region: Region, image: Tensor) -> Tensor:
    """Return the image without the colors that the region's styles have no room for."""
    palette, weights = _palette(region)
    return confine_colors(image, palette, image_weights=region.guide, palette_weights=weights)


def _palette(region: Region) -> tuple[Tensor, Tensor | None]:
    """Return the region's styles beside each other, and the weights of their pixels."""
    swatches = [resize(style, _SWATCH_PX, _SWATCH_PX) for style in region.styles]
    weights = None
    if region.weights is not None:
        weights = torch.cat(
            [
                swatch.new_full((1, 1, _SWATCH_PX, _SWATCH_PX), weight)
                for swatch, weight in zip(swatches, region.weights, strict=True)
            ],
            dim=3,
        )
    return torch.cat(swatches, dim=3), weights


def _restore_hues(painted: Tensor, content: Tensor) -> Tensor:
    """Return the painted image with the photo's hues where the photo has them.

    Recoloring a finished painting as a whole leaves a sky gray that was painted gray. Started
    from the photo, as the paper does, it would have stayed blue; so the coarse part of the
    chroma comes from the photo, and the fine part, the brushwork, from the painting.
    """
    height, width = painted.shape[2:]
    coarse = fit_size(height, width, _HUES_PX)
    shift = F.interpolate(
        (content - luminance(content)) - (painted - luminance(painted)),
        coarse,
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    shift = F.interpolate(shift, (height, width), mode="bicubic", align_corners=False)
    return (painted + shift).clamp(0.0, 1.0)


def _match_lightness(
    image: Tensor, light: Tensor, region: Region, *, is_in_place: bool = False
) -> Tensor:
    """Return the image's lightness with the mean and spread of the photo's in the region."""
    return match_luminance(
        luminance(image),
        light,
        light_weights=region.guide if is_in_place else None,
        reference_weights=region.guide,
    ).clamp(0.0, 1.0)
