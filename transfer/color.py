"""Color: recoloring by mean and covariance, and painting in luminance only.

After Gatys, Bethge, Hertzmann & Shechtman, "Preserving Color in Neural Artistic Style Transfer"
(arXiv 1606.05897): section 4, linear color transfer, and section 5, luminance.
"""

import torch
from torch import Tensor

from transfer.errors import ShapeError

# The first row of the NTSC matrix from RGB to YIQ, the space that section 5 uses.
_LUMINANCE_WEIGHTS = (0.299, 0.587, 0.114)

# Added to variances: half of one 8-bit step, squared. Below it there is no color to speak of.
_EPSILON = (0.5 / 255.0) ** 2


def recolored(image: Tensor, palette: Tensor) -> Tensor:
    """The image with the mean and covariance of another image's colors (section 4).

    Of the maps with this property the symmetric one is taken (Monge-Kantorovich), which moves
    colors least; the paper's choices, by Cholesky factor or by two square roots, may also turn
    them. It exists for gray and one-colored images, whose covariance has no inverse, because a
    small multiple of the identity is added to both covariances.

    Args:
        image: RGB, shape (1, 3, H, W), range [0, 1].
        palette: RGB, shape (1, 3, H', W'), range [0, 1].

    Returns:
        RGB, shape (1, 3, H, W), clipped to [0, 1].
    """
    return apply_map(image, *color_map(image, palette)).clamp(0.0, 1.0)


def color_map(image: Tensor, palette: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix (3, 3), symmetric, and offset (3, 1) that take one palette to the other, float64.

    Raises:
        ShapeError: if an argument is not (1, 3, H, W).
    """
    from_mean, from_covariance = _moments(image)
    to_mean, to_covariance = _moments(palette)
    root = _square_root(from_covariance)
    inverse_root = torch.linalg.inv(root)
    matrix = inverse_root @ _square_root(root @ to_covariance @ root) @ inverse_root
    return matrix, to_mean - matrix @ from_mean


def apply_map(image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Each pixel through ``matrix @ pixel + offset``; not clipped."""
    pixels = image[0].flatten(1)  # (3, H*W)
    mapped = torch.addmm(offset.to(image), matrix.to(image), pixels)
    return mapped.reshape(image.shape)


def luminance(image: Tensor) -> Tensor:
    """Lightness of RGB (1, 3, H, W) as shape (1, 1, H, W), in the range of the input."""
    _check(image)
    return torch.einsum("nchw,c->nhw", image, image.new_tensor(_LUMINANCE_WEIGHTS)).unsqueeze(1)


def match_luminance(light: Tensor, reference: Tensor) -> Tensor:
    """``sd_r / sd_l * (light - mean_l) + mean_r``, the remapping of section 5, not clipped.

    Args:
        light: shape (1, 1, H, W).
        reference: shape (1, 1, H', W').
    """
    spread = (light.var(correction=0) + _EPSILON).sqrt()
    wanted = (reference.var(correction=0) + _EPSILON).sqrt()
    return (light - light.mean()) * (wanted / spread) + reference.mean()


def with_luminance(image: Tensor, light: Tensor) -> Tensor:
    """The image's hues at another lightness.

    Where the new lightness leaves no room for as much color, the color is weakened just enough
    to stay within [0, 1]. The paper clips, which shifts hues and makes light places dull.

    Args:
        image: RGB, shape (1, 3, H, W), range [0, 1].
        light: shape (1, 1, H, W); clipped to [0, 1].

    Returns:
        RGB, shape (1, 3, H, W), range [0, 1], of exactly the lightness asked for.
    """
    light = light.clamp(0.0, 1.0)
    chroma = image - luminance(image)
    room = torch.where(chroma > 0, 1.0 - light, light)
    # Gray pixels have no chroma to weaken.
    strength = (room / chroma.abs().clamp_min(1e-6)).amin(dim=1, keepdim=True).clamp_max(1.0)
    return (light + strength * chroma).clamp(0.0, 1.0)


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3, 1) and covariance (3, 3), positive definite, in float64."""
    _check(image)
    pixels = image[0].flatten(1).double()  # (3, H*W)
    mean = pixels.mean(dim=1, keepdim=True)
    centered = pixels - mean
    covariance = centered @ centered.T / pixels.shape[1]
    return mean, covariance + _EPSILON * torch.eye(3, dtype=pixels.dtype, device=pixels.device)


def _square_root(matrix: Tensor) -> Tensor:
    """The symmetric positive square root of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
    return root


def _check(image: Tensor) -> None:
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise ShapeError("image", "(1, 3, H, W)", tuple(image.shape))
