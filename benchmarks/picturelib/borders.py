"""Borders: detail along the edges of a picture, beside that just inside of them."""

import torch
from torch import Tensor

from benchmarks.picturelib.blur import high_pass
from transfer.errors import ShapeError

BORDER_PX = 16
"""Width of the frame that is looked at."""
_INSIDE_PX = 48
"""Distance from the edges up to which its detail is compared.

Not the whole inside: subjects stand in the middle, and have more detail than any border.
"""
_SIGMA_PX = 1.0


def border_detail(picture: Tensor) -> float:
    """Return the detail in the outermost 16 px over that in the next 32 px.

    Detail is the root mean square of lightness less its blur by 1 px. Below 1 the frame is softer.

    Args:
        picture: CIELAB, shape (1, 3, H, W), both edges longer than twice the frame.

    Raises:
        ShapeError: if the picture is too small to have an inside.
    """
    height, width = picture.shape[2:]
    if min(height, width) <= 2 * BORDER_PX:
        wanted = f"(1, 3, H, W) with H and W above {2 * BORDER_PX}"
        raise ShapeError("picture", wanted, tuple(picture.shape))
    energy = high_pass(picture[:, :1], _SIGMA_PX)[0, 0].square()
    down = torch.minimum(torch.arange(height), torch.arange(height - 1, -1, -1))
    across = torch.minimum(torch.arange(width), torch.arange(width - 1, -1, -1))
    depth = torch.minimum(down[:, None], across)
    border = energy[depth < BORDER_PX].mean()
    inside = energy[(depth >= BORDER_PX) & (depth < _INSIDE_PX)].mean()
    return float(torch.sqrt(border / inside)) if inside > 0 else 1.0
