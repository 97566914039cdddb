"""Color: recoloring by mean and covariance, and painting in luminance only.

After Gatys, Bethge, Hertzmann & Shechtman, "Preserving Color in Neural Artistic Style Transfer"
(arXiv 1606.05897): section 4, linear color transfer, and section 5, luminance. Their subscripts: S
is the image to recolor (there the style), C the one whose colors it takes (there the content).
"""

import torch
from torch import Tensor

from transfer.errors import ShapeError
from transfer.imaging.gamut import clamp, limit_chroma
from transfer.imaging.images import check_finite
from transfer.settings import ColorMap

# The first row of the NTSC matrix from RGB to YIQ, the space that section 5 uses.
_LUMINANCE_WEIGHTS = (0.299, 0.587, 0.114)

# Least variance: half of one 8-bit step, squared. Below it there is no color to speak of.
_EPSILON = (0.5 / 255.0) ** 2


def match_color_statistics(
    image: Tensor,
    palette: Tensor,
    kind: ColorMap = ColorMap.SYMMETRIC,
    *,
    image_weights: Tensor | None = None,
    palette_weights: Tensor | None = None,
) -> Tensor:
    """Give an image the mean and covariance of another image's colors (section 4).

    Args:
        image: RGB, shape (1, 3, H, W), range [0, 1].
        palette: RGB, shape (1, 3, H', W'), range [0, 1].
        kind: map to use; see `color_map`.
        image_weights: weight of each pixel when the image's colors are measured, shape
            (1, 1, H, W), not negative; None: equal weights. All pixels are recolored.
        palette_weights: the same for the palette, shape (1, 1, H', W').

    Returns:
        RGB, shape (1, 3, H, W), clipped to [0, 1].

    Raises:
        ShapeError: if an argument has another shape.
        NotFinite: if one holds values that are no numbers.
    """
    matrix, offset = color_map(
        image, palette, kind, image_weights=image_weights, palette_weights=palette_weights
    )
    return apply_map(image, matrix, offset).clamp(0.0, 1.0)


def confine_colors(
    image: Tensor,
    palette: Tensor,
    *,
    image_weights: Tensor | None = None,
    palette_weights: Tensor | None = None,
) -> Tensor:
    """Take from an image the colors that a palette has no room for.

    The symmetric map of `color_map`, without its gains above 1: along its principal axes colors
    move closer together where the palette varies less, and stay as far apart as they are where it
    varies more. After a gray palette the image is gray.

    Args:
        image: see `match_color_statistics`.
        palette: see `match_color_statistics`.
        image_weights: see `match_color_statistics`.
        palette_weights: see `match_color_statistics`.

    Returns:
        RGB, shape (1, 3, H, W), clipped to [0, 1], with the mean of the palette.

    Raises:
        ShapeError: if an argument has another shape.
        NotFinite: if one holds values that are no numbers.
    """
    matrix, offset = color_map(
        image, palette, image_weights=image_weights, palette_weights=palette_weights
    )
    from_mean, _ = _moments(image, image_weights)
    gains, axes = torch.linalg.eigh((matrix + matrix.T) / 2)
    confined = axes @ torch.diag(gains.clamp_max(1.0)) @ axes.T
    to_mean = offset + matrix @ from_mean
    return apply_map(image, confined, to_mean - confined @ from_mean).clamp(0.0, 1.0)


def color_map(
    image: Tensor,
    palette: Tensor,
    kind: ColorMap = ColorMap.SYMMETRIC,
    *,
    image_weights: Tensor | None = None,
    palette_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return matrix A and offset b of the map ``A x + b`` that takes one palette to another.

    Section 4 asks for ``b = mu_C - A mu_S`` and ``A Sigma_S A^T = Sigma_C``, which many matrices
    satisfy; they differ by a rotation. It tries the first two of these:

    - cholesky: ``A_chol = L_C L_S^-1`` with ``Sigma = L L^T``, L lower triangular;
    - pca: ``A_IA = Sigma_C^1/2 Sigma_S^-1/2``, the square roots by eigenvectors (it is named after
      Image Analogies, where it comes from);
    - symmetric: ``A = Sigma_S^-1/2 (Sigma_S^1/2 Sigma_C Sigma_S^1/2)^1/2 Sigma_S^-1/2``, the one
      that moves colors least (the linear Monge-Kantorovich map of Pitié & Kokaram, CVMP 2007; in
      Gatys' own code, not in the paper).

    All exist for gray and one-colored images, whose covariance has no inverse, because variances
    below half of one 8-bit step, squared, are raised to that, in both covariances and along their
    principal axes. All other covariances are met exactly; the usual multiple of the identity would
    miss them by its size times the square of what the map amplifies.

    Args:
        image: RGB, shape (1, 3, H, W), range [0, 1].
        palette: RGB, shape (1, 3, H', W'), range [0, 1].
        kind: which matrix.
        image_weights: see `match_color_statistics`.
        palette_weights: see `match_color_statistics`.

    Returns:
        matrix (3, 3) and offset (3, 1), float64.

    Raises:
        ShapeError: if an argument has another shape.
        NotFinite: if one holds values that are no numbers.
    """
    from_mean, from_covariance = _moments(image, image_weights)
    to_mean, to_covariance = _moments(palette, palette_weights)
    matrix = _MATRICES[kind](from_covariance, to_covariance)
    return matrix, to_mean - matrix @ from_mean


def apply_map(image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Map each pixel of RGB (1, 3, H, W) to ``matrix @ pixel + offset``; not clipped."""
    pixels = image[0].flatten(1)  # (3, H*W)
    mapped = torch.addmm(offset.to(image), matrix.to(image), pixels)
    return mapped.reshape(image.shape)


def luminance(image: Tensor) -> Tensor:
    """Return the luminance of RGB (1, 3, H, W) as shape (1, 1, H, W), in the range of the input.

    Raises:
        ShapeError: if ``image`` has another shape.
        NotFinite: if it holds values that are no numbers.
    """
    _check(image)
    return torch.einsum("nchw,c->nhw", image, image.new_tensor(_LUMINANCE_WEIGHTS)).unsqueeze(1)


def match_luminance(
    light: Tensor,
    reference: Tensor,
    *,
    light_weights: Tensor | None = None,
    reference_weights: Tensor | None = None,
) -> Tensor:
    """Return ``L_S' = sigma_C / sigma_S (L_S - mu_S) + mu_C`` (section 5), not clipped.

    Args:
        light: L_S, shape (1, 1, H, W).
        reference: L_C, shape (1, 1, H', W').
        light_weights: weight of each pixel in mu_S and sigma_S, shape (1, 1, H, W).
        reference_weights: the same for mu_C and sigma_C, shape (1, 1, H', W').

    Raises:
        ShapeError: if weights have another shape than what they weigh.
        NotFinite: if an argument holds values that are no numbers.
    """
    check_finite("light", light)
    check_finite("reference", reference)
    mean, variance = _light_moments(light, light_weights)
    target_mean, target_variance = _light_moments(reference, reference_weights)
    spread = (variance + _EPSILON).sqrt()
    target_spread = (target_variance + _EPSILON).sqrt()
    return (light - mean) * (target_spread / spread) + target_mean


def replace_luminance(image: Tensor, light: Tensor) -> Tensor:
    """Return the image with its hues at another luminance.

    Where a color at the new luminance would leave [0, 1], its chroma is reduced just enough to stay
    within. The paper clips, which shifts hues and makes light places dull.

    Args:
        image: RGB, shape (1, 3, H, W), range [0, 1].
        light: shape (1, 1, H, W); clipped to [0, 1].

    Returns:
        RGB, shape (1, 3, H, W), range [0, 1], of exactly that luminance.

    Raises:
        ShapeError: if ``image`` has another shape.
        NotFinite: if an argument holds values that are no numbers.
    """
    check_finite("light", light)
    light = light.clamp(0.0, 1.0)
    chroma = image - luminance(image)
    return clamp(light + limit_chroma(chroma, light))


def _cholesky(from_covariance: Tensor, to_covariance: Tensor) -> Tensor:
    from_factor = torch.linalg.cholesky(from_covariance)
    to_factor = torch.linalg.cholesky(to_covariance)
    matrix: Tensor = torch.linalg.solve_triangular(from_factor, to_factor, upper=False, left=False)
    return matrix


def _pca(from_covariance: Tensor, to_covariance: Tensor) -> Tensor:
    matrix: Tensor = _square_root(to_covariance) @ torch.linalg.inv(_square_root(from_covariance))
    return matrix


def _symmetric(from_covariance: Tensor, to_covariance: Tensor) -> Tensor:
    root = _square_root(from_covariance)
    inverse_root = torch.linalg.inv(root)
    matrix: Tensor = inverse_root @ _square_root(root @ to_covariance @ root) @ inverse_root
    return matrix


_MATRICES = {
    ColorMap.CHOLESKY: _cholesky,
    ColorMap.PCA: _pca,
    ColorMap.SYMMETRIC: _symmetric,
}


def _moments(image: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return mean (3, 1) and covariance (3, 3), positive definite, in float64."""
    _check(image)
    pixels = image[0].flatten(1).double()  # (3, H*W)
    if weights is None:
        mean = pixels.mean(dim=1, keepdim=True)
        centered = pixels - mean
        covariance = centered @ centered.T / pixels.shape[1]
    else:
        weights = _normalize(image, weights)
        mean = (pixels @ weights).unsqueeze(1)
        centered = pixels - mean
        covariance = (centered * weights) @ centered.T
    variances, axes = torch.linalg.eigh(covariance)
    return mean, (axes * variances.clamp_min(_EPSILON)) @ axes.T


def _light_moments(light: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return mean and variance of (1, 1, H, W), two scalars."""
    if weights is None:
        return light.mean(), light.var(correction=0)
    weights = _normalize(light, weights).to(light)
    mean = light.flatten() @ weights
    return mean, (light.flatten() - mean).square() @ weights


def _normalize(image: Tensor, weights: Tensor) -> Tensor:
    """Return weights as float64 (H*W) that sum to 1; equal ones if all weights are 0."""
    if weights.shape != (1, 1, *image.shape[2:]):
        height, width = image.shape[2:]
        raise ShapeError("weights", f"(1, 1, {height}, {width})", tuple(weights.shape))
    flat = weights.flatten().double()
    total = flat.sum()
    return flat / total if total > 0 else torch.full_like(flat, 1.0 / flat.numel())


def _square_root(matrix: Tensor) -> Tensor:
    """Return the symmetric positive square root of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
    return root


def _check(image: Tensor) -> None:
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise ShapeError("image", "(1, 3, H, W)", tuple(image.shape))
    check_finite("image", image)
