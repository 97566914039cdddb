"""Colors that can be shown: values from 0 to 1.

What is minimized is the loss of the image as it will be shown. Optimized freely and cut off at the
end, an image leaves the range where the style is black or white: with stained glass by a root mean
square of 0.03, and what was cut off cost a tenth of the style and 4 % of the content (512 px,
draft, two photos). Other styles do not notice.
"""

import torch
from torch import Tensor

_RETURN = 10.0
"""Weight of the mean squared distance to the nearest color that can be shown: enough to keep it
at a root mean square of 0.005, too little to hold anything back."""

_BAND_ROWS = 256
"""Of the image, looked at together: the rest is not copied."""


def clamp(image: Tensor) -> Tensor:
    """The image as it will be shown, of its shape."""
    return image.clamp(0.0, 1.0)


def gamut_penalty(image: Tensor, gradient: Tensor) -> Tensor:
    """What draws an image back to what can be shown.

    Args:
        image: shape (1, C, H, W).
        gradient: of a loss with respect to the image as it will be shown; becomes that with respect
            to the image itself, and of what this returns.

    Returns:
        a scalar, to be added to that loss.
    """
    total = torch.zeros((), dtype=torch.float64, device=image.device)
    for top in range(0, image.shape[2], _BAND_ROWS):
        band = image[:, :, top : top + _BAND_ROWS]
        its = gradient[:, :, top : top + _BAND_ROWS]
        beyond = band - clamp(band)
        its.mul_(beyond == 0.0).add_(beyond, alpha=2.0 * _RETURN / image.numel())
        total += beyond.square().sum()
    return _RETURN / image.numel() * total
