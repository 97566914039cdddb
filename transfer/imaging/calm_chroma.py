"""Calm chroma: images whose colors vary more smoothly than their lightness.

Networks do not mind dots of purple and green, and an optimizer that is free to set each pixel
paints them. So it is given an image z to change, and what is judged and seen is the calm image
``x = m + G (z - m)``: m is the mean of red, green and blue at each pixel, and G a Gaussian.

The map leaves m as it is and blurs the rest, and the matrix of the blur is symmetric. So the map is
its own transpose: the gradient with respect to z is the map of the gradient with respect to x.
"""

import math

import torch
from torch import Tensor

SIGMA_PX = 1.0
"""Standard deviation of the Gaussian, at every level."""

_RADIUS_PX = math.ceil(4.0 * SIGMA_PX)
"""Radius of the kernel. 3e-6 of the Gaussian lie beyond: far less than an 8-bit step of color."""

_BAND_ROWS = 128
"""Rows that are computed at a time, which limits the memory of temporary copies."""


def _half_kernel() -> tuple[float, ...]:
    """Return the weights at distances 0 to `_RADIUS_PX`; with those on both sides they sum to 1."""
    weights = [math.exp(-0.5 * (distance / SIGMA_PX) ** 2) for distance in range(_RADIUS_PX + 1)]
    total = weights[0] + 2.0 * sum(weights[1:])
    return tuple(weight / total for weight in weights)


# Numbers, not a tensor: nothing is copied to a device, so that CUDA graphs can be captured. Sums of
# shifted rows are in full precision there, where convolutions would round to TF32.
_KERNEL = _half_kernel()


def calm_chroma(image: Tensor) -> Tensor:
    """Return the calm image of an image.

    Args:
        image: shape (1, 3, H, W), any range; or (1, 1, H, W), lightness alone, which has no chroma
            and is returned itself.

    Returns:
        a new tensor of the same shape.
    """
    return image if image.shape[1] == 1 else calm_chroma_(image.clone())


@torch.no_grad()
def calm_chroma_(image: Tensor) -> Tensor:
    """Replace an image by its calm image in place, and return it.

    Borders are half-sample symmetric (d c b a | a b c d): with them the matrix of a symmetric
    kernel is symmetric, at any size.

    Args:
        image: as for `calm_chroma`.
    """
    _, channels, height, width = image.shape
    if channels == 1:
        return image
    above: Tensor | None = None
    for top in range(0, height, _BAND_ROWS):
        band = image[:, :, top : top + _BAND_ROWS]
        rows = band.shape[2]
        # Rows around the band, too: those above are from the band before, which is overwritten.
        chroma = image.new_empty(1, channels - 1, rows + 2 * _RADIUS_PX, width)
        first = _RADIUS_PX if above is None else 2 * _RADIUS_PX
        if above is not None:
            chroma[:, :, :first] = above
        begin = top - _RADIUS_PX + first
        end = min(top + rows + _RADIUS_PX, height)
        if begin < end:
            seen = image[:, :, begin:end]
            # The last channel's is what the others lack to zero.
            torch.sub(
                seen[:, :-1],
                seen.mean(dim=1, keepdim=True),
                out=chroma[:, :, first : first + end - begin],
            )
        _mirror_borders(chroma, 2, _RADIUS_PX - top, height)
        above = chroma[:, :, rows:].clone()

        padded = image.new_empty(1, channels - 1, rows, width + 2 * _RADIUS_PX)
        _weighted_sum(chroma, 2, padded[..., _RADIUS_PX : _RADIUS_PX + width])
        _mirror_borders(padded, 3, _RADIUS_PX, width)
        change = torch.empty_like(padded[..., :width])
        _weighted_sum(padded, 3, change)
        change -= chroma[:, :, _RADIUS_PX : _RADIUS_PX + rows]
        band[:, :-1] += change
        band[:, -1:] -= change.sum(dim=1, keepdim=True)
    return image


def _weighted_sum(values: Tensor, dim: int, result: Tensor) -> None:
    """Write the kernel's sums along a dimension, which is shorter there by two radii."""
    size = result.shape[dim]
    torch.mul(values.narrow(dim, _RADIUS_PX, size), _KERNEL[0], out=result)
    for distance in range(1, _RADIUS_PX + 1):
        for start in (_RADIUS_PX - distance, _RADIUS_PX + distance):
            result.add_(values.narrow(dim, start, size), alpha=_KERNEL[distance])


def _mirror_borders(values: Tensor, dim: int, start: int, size: int) -> None:
    """Fill what lies beyond a picture's borders, in place.

    Args:
        values: cut-out of the picture, whose part within the picture is filled.
        dim: dimension along which to mirror.
        start: index in ``values`` of the picture's first position; may be negative.
        size: number of positions of the picture.
    """
    for index in (*range(start), *range(start + size, values.shape[dim])):
        # Modulo: back and forth, for pictures smaller than the kernel's radius.
        position = (index - start) % (2 * size)
        inside = min(position, 2 * size - 1 - position)
        values.select(dim, index).copy_(values.select(dim, start + inside))
