"""Regions of a painting: the whole, or one for each style with a mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageFilter
from torch import Tensor

from transfer.errors import MaskUnusable
from transfer.imaging.images import as_gray, fit_size

_FEATHER = 0.01
"""Standard deviation of the blur of a mask's edges, relative to the painting's long edge."""


@dataclass(frozen=True)
class Region:
    """A part of the painting, and its styles."""

    styles: tuple[Tensor, ...]
    """Styles in RGB or luminance, shapes (1, C, H', W'), range [0, 1]."""
    weights: tuple[float, ...] | None
    """Weight of each style, positive; None: equal weights."""
    guide: Tensor | None
    """Share of each pixel in the region, shape (1, 1, H, W), range [0, 1]; None: 1 everywhere."""
    style_masks: tuple[Tensor | None, ...] = ()
    """Weight of each place of each style, shapes (1, 1, H'', W'') of any size, range [0, 1]; None:
    all places alike. Empty: so in all styles."""

    @property
    def area(self) -> float:
        """Share of the painting in the region, 0 to 1."""
        return 1.0 if self.guide is None else float(self.guide.mean())


def build_regions(
    styles: Sequence[Tensor],
    weights: Sequence[float],
    masks: Sequence[Image.Image | None],
    size: tuple[int, int],
    height: int,
    width: int,
) -> tuple[Region, ...]:
    """Return one region for all styles together, or one for each if there are masks.

    Where masks overlap, styles share each pixel by mask and weight. Where masks leave a pixel out,
    even in part, that part stays the photo.

    Args:
        styles: RGB, shapes (1, 3, H', W').
        weights: one for each style; only their ratios count. A style of weight 0 is left out,
            and its mask with it.
        masks: one for each style, white where the style goes, gray where it goes in part; None:
            everywhere. Empty if no style has one.
        size: width and height of the photo, whose shape the masks have to have.
        height: height of the painting, px.
        width: width of the painting, px.

    Raises:
        MaskUnusable: if a mask has another shape than the photo, or is black everywhere.
    """
    used = [number for number, weight in enumerate(weights) if weight > 0]
    styles = [styles[number] for number in used]
    weights = [weights[number] for number in used]
    if not masks or all(masks[number] is None for number in used):
        has_equal_weights = len(set(weights)) == 1
        return (Region(tuple(styles), None if has_equal_weights else tuple(weights), None),)
    opacities = torch.cat(
        [_opacity(number + 1, masks[number], size, height, width) for number in used]
    )  # (K, 1, H, W)
    weighted = opacities * opacities.new_tensor(weights).reshape(-1, 1, 1, 1)
    shares = weighted / weighted.sum(dim=0).clamp_min(torch.finfo(weighted.dtype).tiny)
    guides = shares * opacities.sum(dim=0).clamp_max(1.0)
    return tuple(
        Region((style,), None, guide.unsqueeze(0).to(style.device))
        for style, guide in zip(styles, guides, strict=True)
    )


def coverage(regions: Sequence[Region]) -> Tensor | None:
    """Return the share of each pixel that is painted, (1, 1, H, W), 0 to 1; None: 1 everywhere."""
    guides = [region.guide for region in regions if region.guide is not None]
    return torch.stack(guides).sum(dim=0).clamp(0.0, 1.0) if guides else None


def _opacity(
    number: int, mask: Image.Image | None, size: tuple[int, int], height: int, width: int
) -> Tensor:
    """Return a mask as shape (1, 1, H, W), range [0, 1], with blurred edges."""
    if mask is None:
        return torch.ones(1, 1, height, width)
    photo_width, photo_height = size
    mask_width, mask_height = mask.size
    fitted_height, fitted_width = fit_size(photo_height, photo_width, max(mask.size))
    # A resized mask may be off by a pixel.
    if max(abs(fitted_height - mask_height), abs(fitted_width - mask_width)) > 1:
        raise MaskUnusable(
            number,
            f"it must have the shape of the photo, {photo_width} × {photo_height} px or the same"
            f" at another size, not {mask_width} × {mask_height} px.",
        )
    gray = as_gray(mask).resize((width, height), Image.Resampling.BILINEAR)
    gray = gray.filter(ImageFilter.GaussianBlur(_FEATHER * max(height, width)))
    values = torch.frombuffer(bytearray(gray.tobytes()), dtype=torch.uint8)
    if not values.any():
        raise MaskUnusable(
            number, "it is black everywhere, so its style would go nowhere; paint some of it white."
        )
    return values.reshape(1, 1, height, width).float().div_(255.0)
