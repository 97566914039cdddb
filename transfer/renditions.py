"""What each rendition paints: its content, its styles, where it starts, how it is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.color import luminance, match_luminance, recolored, with_luminance
from transfer.images import fitted_size, resized
from transfer.settings import Rendition

# Enough for the mean and covariance of a palette.
_SWATCH_PX = 128

_HUES_PX = 64
"""Long edge of the image that says where which hue belongs."""


@dataclass(frozen=True)
class Canvas:
    """One rendition to be painted; its image has 3 channels, or 1 where only lightness is."""

    content: Tensor
    """What the painting shows, shape (1, 3, H, W) or (1, 1, H, W), range [0, 1]."""
    styles: tuple[Tensor, ...]
    """How it is painted, with as many channels as the content."""
    start: Tensor
    """The image before the first evaluation, of the shape of the content."""
    shown: Callable[[Tensor], Tensor]
    """RGB (1, 3, H', W') of a painted image of any size."""


def canvas(
    rendition: Rendition, content: Tensor, styles: Sequence[Tensor], painted: Tensor | None
) -> Canvas:
    """The canvas of a rendition.

    Args:
        rendition: which.
        content: RGB, shape (1, 3, H, W), range [0, 1].
        styles: RGB, shapes (1, 3, H', W').
        painted: another rendition of the same painting, as RGB (1, 3, H, W), to start from.
    """
    started = content if painted is None else painted
    if rendition is Rendition.LUMINANCE:
        # Section 5 of arXiv 1606.05897: paint lightness alone, keep the photo's chroma.
        light = luminance(content)
        return Canvas(
            content=light,
            styles=tuple(_as_light_as(style, light) for style in styles),
            start=_as_light_as(started, light),
            shown=lambda image: with_luminance(
                resized(content, image.shape[2], image.shape[3]), image
            ),
        )
    if rendition is Rendition.HISTOGRAM:
        # Section 4: the style gets the photo's palette before anything is painted.
        styles = [recolored(style, content) for style in styles]
    start = recolored(started, _palette(styles))
    if rendition is Rendition.HISTOGRAM and painted is not None:
        start = _with_colors_in_place(start, content)
    return Canvas(content=content, styles=tuple(styles), start=start, shown=lambda image: image)


def _with_colors_in_place(painted: Tensor, content: Tensor) -> Tensor:
    """The painted image, each region in the photo's hue.

    Recoloring a finished painting as a whole leaves a sky gray that was painted gray. Started
    from the photo, as the paper does, it would have stayed blue; so the coarse part of the
    chroma comes from the photo, and the fine part, the brushwork, from the painting.
    """
    height, width = painted.shape[2:]
    coarse = fitted_size(height, width, _HUES_PX)
    shift = F.interpolate(
        (content - luminance(content)) - (painted - luminance(painted)),
        coarse,
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    shift = F.interpolate(shift, (height, width), mode="bicubic", align_corners=False)
    return (painted + shift).clamp(0.0, 1.0)


def _as_light_as(image: Tensor, light: Tensor) -> Tensor:
    return match_luminance(luminance(image), light).clamp(0.0, 1.0)


def _palette(styles: Sequence[Tensor]) -> Tensor:
    """All styles beside each other, each taking the same room."""
    return torch.cat([resized(style, _SWATCH_PX, _SWATCH_PX) for style in styles], dim=3)
