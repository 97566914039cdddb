"""CIELAB (CIE 15:2004), in which equal distances are about equally visible; 2.3 is just visible."""

import torch
from torch import Tensor

from transfer.errors import ShapeError

# sRGB to XYZ, IEC 61966-2-1; its rows sum to the white point D65.
_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_LINEAR_BELOW = 0.04045
_CUBE_ABOVE = (6.0 / 29.0) ** 3


def to_lab(image: Tensor) -> Tensor:
    """Return lightness L* (0 to 100), a* and b* (about -110 to 110), shape (1, 3, H, W).

    Args:
        image: sRGB, shape (1, 3, H, W), range [0, 1].

    Raises:
        ShapeError: if ``image`` has another shape.
    """
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise ShapeError("image", "(1, 3, H, W)", tuple(image.shape))
    curved = ((image.clamp_min(_LINEAR_BELOW) + 0.055) / 1.055) ** 2.4
    linear = torch.where(image > _LINEAR_BELOW, curved, image / 12.92)
    matrix = image.new_tensor(_TO_XYZ)
    # Divided by the white point, so that white and all grays have no chroma.
    xyz = torch.einsum("oc,nchw->nohw", matrix / matrix.sum(dim=1, keepdim=True), linear)
    slope = (29.0 / 6.0) ** 2 / 3.0
    root = torch.where(
        xyz > _CUBE_ABOVE, xyz.clamp_min(_CUBE_ABOVE) ** (1.0 / 3.0), slope * xyz + 4.0 / 29.0
    )
    x, y, z = root.unbind(dim=1)
    return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=1)
