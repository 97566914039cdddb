"""Where each style goes: everywhere, or where its mask is white."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageFilter
from torch import Tensor

from transfer.errors import MaskUnusable
from transfer.imaging.images import as_gray, fit_size

_FEATHER = 0.01
"""Softness of a mask's edges, of the painting's long edge: brushwork does not stop at a line."""


@dataclass(frozen=True)
class Region:
    """A part of the painting, and the styles that go there."""

    styles: tuple[Tensor, ...]
    """RGB or lightness, shapes (1, C, H', W'), range [0, 1]."""
    weights: tuple[float, ...] | None
    """Of each style, positive; None: all alike."""
    guide: Tensor | None
    """How much of each pixel belongs to it, shape (1, 1, H, W), range [0, 1]; None: all of all."""

    @property
    def area(self) -> float:
        """Its part of the painting, 0 to 1."""
        return 1.0 if self.guide is None else float(self.guide.mean())


def build_regions(
    styles: Sequence[Tensor],
    weights: Sequence[float],
    masks: Sequence[Image.Image | None],
    size: tuple[int, int],
    height: int,
    width: int,
) -> tuple[Region, ...]:
    """One region for all styles together, or one for each if there are masks.

    Where masks overlap, styles share the place by mask and weight. Where they leave something out,
    even in part, that part stays the photo.

    Args:
        styles: RGB, shapes (1, 3, H', W').
        weights: of each style; only their ratios count. A style of weight 0 is left out, and its
            mask with it.
        masks: of each style; white: here, black: not here, gray: how strongly, None: everywhere.
            Empty if no style has one.
        size: width and height of the photo, whose shape the masks have to have.
        height: of the painting.
        width: of the painting.

    Raises:
        MaskUnusable: if a mask has another shape than the photo, or is black everywhere.
    """
    used = [number for number, weight in enumerate(weights) if weight > 0]
    styles = [styles[number] for number in used]
    weights = [weights[number] for number in used]
    if not masks or all(masks[number] is None for number in used):
        are_alike = len(set(weights)) == 1
        return (Region(tuple(styles), None if are_alike else tuple(weights), None),)
    painted = torch.cat(
        [_opacity(number + 1, masks[number], size, height, width) for number in used]
    )  # (K, 1, H, W)
    wanted = painted * painted.new_tensor(weights).reshape(-1, 1, 1, 1)
    shares = wanted / wanted.sum(dim=0).clamp_min(torch.finfo(wanted.dtype).tiny)
    guides = shares * painted.sum(dim=0).clamp_max(1.0)
    return tuple(
        Region((style,), None, guide.unsqueeze(0).to(style.device))
        for style, guide in zip(styles, guides, strict=True)
    )


def coverage(several: Sequence[Region]) -> Tensor | None:
    """How much of each pixel is painted, shape (1, 1, H, W), range [0, 1]; None: all of all."""
    guides = [region.guide for region in several if region.guide is not None]
    return torch.stack(guides).sum(dim=0).clamp(0.0, 1.0) if guides else None


def _opacity(
    number: int, mask: Image.Image | None, size: tuple[int, int], height: int, width: int
) -> Tensor:
    """A mask as shape (1, 1, H, W), range [0, 1], its edges softened."""
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
