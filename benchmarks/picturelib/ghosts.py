"""Ghosts: parts of the style copied into the picture as they are, such as eyes into water.

Every neighborhood of the picture has a nearest one in the style. In a copied part, a step to the
next position in the picture is the same step in the style. A texture that was made anew has
matches that jump. Copies are found when they are darker, grayer, softer, half transparent or a
little larger, but not when they are mirrored or turned.
"""

import torch.nn.functional as F
from torch import Tensor

from transfer.errors import ShapeError

GHOST_LAYER = "relu4_1"
"""Layer whose positions are matched: its reach is that of an eye, and a position is 8 px."""
_PATCH = 3
"""Edge of a neighborhood, positions."""


def ghost_share(features: Tensor, style: Tensor) -> float:
    """Return the share of positions that lie in coherent copies of the style, from 0 to 1.

    Args:
        features: activations of the picture at `GHOST_LAYER`, shape (1, C, H, W).
        style: activations of the style, shape (1, C, H', W').

    Raises:
        ShapeError: if one of them has an edge below five positions.
    """
    for name, maps in (("features", features), ("style", style)):
        if maps.ndim != 4 or min(maps.shape[2:]) < _PATCH + 2:
            raise ShapeError(name, "(1, C, H, W) with H and W at least 5", tuple(maps.shape))
    rows, columns = nearest(features, style)
    # Coherent steps to the position below, and to the one at the right.
    down = (rows[1:] - rows[:-1] == 1) & (columns[1:] == columns[:-1])
    right = (columns[:, 1:] - columns[:, :-1] == 1) & (rows[:, 1:] == rows[:, :-1])
    inner = slice(1, -1)
    # With all four neighbors; with three, chance alone gives a few percent.
    is_copy = down[:-1, inner] & down[1:, inner] & right[inner, :-1] & right[inner, 1:]
    return float(is_copy.double().mean())


def nearest(features: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column of each neighborhood's nearest in the style, by cosine.

    Both are centered by the style's mean first, as activations, which are not negative, would
    all point in about the same direction.

    Args:
        features: shape (1, C, H, W).
        style: shape (1, C, H', W').

    Returns:
        rows and columns, shape (H - 2, W - 2) each.
    """
    mean = style.mean(dim=(2, 3), keepdim=True)
    patches = _patches(features - mean)
    style_patches = _patches(style - mean)
    height, width = features.shape[2] - _PATCH + 1, features.shape[3] - _PATCH + 1
    style_width = style.shape[3] - _PATCH + 1
    best = (patches.T @ style_patches).argmax(dim=1).reshape(height, width)
    return best // style_width, best % style_width


def _patches(maps: Tensor) -> Tensor:
    """Return neighborhoods scaled to length 1, shape (9 C, positions)."""
    return F.normalize(F.unfold(maps, _PATCH)[0], dim=0)
