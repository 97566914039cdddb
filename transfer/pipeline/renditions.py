"""What each rendition paints: its content, its styles, where it starts, how it is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.imaging.color import (
    luminance,
    match_color_statistics,
    match_luminance,
    replace_luminance,
)
from transfer.imaging.images import fit_size, resize
from transfer.imaging.masks import Region, coverage
from transfer.settings import ColorMap, Rendition, Settings, Start

# Enough for the mean and covariance of a palette.
_SWATCH_PX = 128

_HUES_PX = 64
"""Long edge of the image that says where which hue belongs."""

_NOISE = 0.02
"""What the seed decides unless the start is noise: below what the eye notices."""


@dataclass(frozen=True)
class RenditionTask:
    """One rendition to be painted; its image has 3 channels, or 1 where only lightness is."""

    content: Tensor
    """What the painting shows, shape (1, 3, H, W) or (1, 1, H, W), range [0, 1]."""
    regions: tuple[Region, ...]
    """How it is painted, and where; styles with as many channels as the content."""
    start: Tensor
    """The image before the first evaluation, of the shape of the content."""
    shown: Callable[[Tensor], Tensor]
    """RGB (1, 3, H', W') of a painted image of any size."""


def rendition_task(
    rendition: Rendition,
    content: Tensor,
    regions: Sequence[Region],
    painted: Tensor | None,
    settings: Settings,
) -> RenditionTask:
    """The canvas of a rendition.

    Args:
        rendition: which.
        content: RGB, shape (1, 3, H, W), range [0, 1].
        regions: with styles as RGB, shapes (1, 3, H', W').
        painted: another rendition of the same painting, as RGB (1, 3, H, W), to start from.
        settings: of the painting.
    """
    started = content if painted is None else painted
    if rendition is Rendition.LUMINANCE:
        # Section 5 of arXiv 1606.05897: paint lightness alone, keep the photo's chroma.
        light = luminance(content)
        return RenditionTask(
            content=light,
            regions=_restyled(regions, lambda style, region: _as_light_as(style, light, region)),
            start=_placed(
                regions,
                light,
                lambda region: _as_light_as(started, light, region, is_in_place=True),
            ),
            shown=_kept_outside(
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
        regions = _restyled(
            regions,
            lambda style, region: match_color_statistics(
                style, content, color_map, palette_weights=region.guide
            ),
        )
    if painted is None and settings.start is Start.CONTENT:
        start = content
    else:
        start = _placed(regions, content, lambda region: _in_palette_of(region, started, color_map))
    if rendition is Rendition.HISTOGRAM and painted is not None:
        start = _with_colors_in_place(start, content)
    return RenditionTask(
        content=content,
        regions=tuple(regions),
        start=start,
        shown=_kept_outside(regions, content, lambda image: image),
    )


def initial_image(task: RenditionTask, height: int, width: int, start: Start, seed: int) -> Tensor:
    """The first image of a painting, at its coarsest size: `RenditionTask.start`, or noise.

    Args:
        task: of the first rendition.
        height: of the image.
        width: of the image.
        start: noise, or anything else for what the canvas has.
        seed: of the noise.

    Returns:
        shape (1, C, height, width).
    """
    image = resize(task.start, height, width)
    # Drawn on the CPU, so that one seed means one start on every device.
    generator = torch.Generator().manual_seed(seed)
    if start is not Start.NOISE:
        return image + _NOISE * torch.randn(image.shape, generator=generator).to(image)
    noise = torch.rand(image.shape, generator=generator).to(image)
    covered = coverage(task.regions)
    return noise if covered is None else image.lerp(noise, resize(covered, height, width))


def _restyled(
    regions: Sequence[Region], change: Callable[[Tensor, Region], Tensor]
) -> tuple[Region, ...]:
    return tuple(
        replace(region, styles=tuple(change(style, region) for style in region.styles))
        for region in regions
    )


def _placed(
    regions: Sequence[Region], elsewhere: Tensor, image_of: Callable[[Region], Tensor]
) -> Tensor:
    """Each region's own image in its place, and another one where no region is."""
    covered = coverage(regions)
    if covered is None:
        return image_of(regions[0])
    placed = (1.0 - covered) * elsewhere
    for region in regions:
        if region.guide is not None:
            placed = placed + region.guide * image_of(region)
    return placed


def _kept_outside(
    regions: Sequence[Region], content: Tensor, shown: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """`RenditionTask.shown` of a painting that leaves the photo as it is where no style goes."""
    covered = coverage(regions)
    if covered is None:
        return shown

    def blended(image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        photo = resize(content, height, width)
        return photo.lerp(shown(image), resize(covered, height, width))

    return blended


def _in_palette_of(region: Region, image: Tensor, color_map: ColorMap) -> Tensor:
    """The image with the colors of the region's styles, as seen side by side."""
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
    return match_color_statistics(
        image,
        torch.cat(swatches, dim=3),
        color_map,
        image_weights=region.guide,
        palette_weights=weights,
    )


def _with_colors_in_place(painted: Tensor, content: Tensor) -> Tensor:
    """The painted image, each region in the photo's hue.

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


def _as_light_as(
    image: Tensor, light: Tensor, region: Region, *, is_in_place: bool = False
) -> Tensor:
    """The image's lightness with the mean and spread that the photo's has in the region."""
    return match_luminance(
        luminance(image),
        light,
        light_weights=region.guide if is_in_place else None,
        reference_weights=region.guide,
    ).clamp(0.0, 1.0)
