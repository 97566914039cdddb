"""Tone: whether what was light in the photo is still lighter than what was dark."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.picturelib.color import to_lab
from transfer.imaging.images import to_tensor

TONE_LONG_EDGE_PX = 48
"""Long edge to which pictures are resized, so that only areas of light and shadow count."""
_SPREAD = (5, 95)
"""Percentiles between which the spread of lightness is taken."""


@dataclass(frozen=True)
class Tone:
    """Lightness of a painting beside its photo's."""

    correlation: float
    """Rank correlation (Spearman) over positions: 1 where the order of lightness is the photo's."""
    spread: float
    """Range of lightness over the photo's: below 1 the painting is flatter."""


def tone(painting: Image.Image, photo: Image.Image) -> Tone:
    """Compare the lightness of two pictures of the same shape, of any size."""
    lights = [_lightness(painting), _lightness(photo.resize(painting.size))]
    ours, theirs = (_ranks(light) for light in lights)
    painted, wanted = (float(np.ptp(np.percentile(light, _SPREAD))) for light in lights)
    return Tone(_correlation(ours, theirs), painted / wanted if wanted > 0 else 0.0)


def _lightness(picture: Image.Image) -> NDArray[np.float64]:
    lab = to_lab(to_tensor(picture, TONE_LONG_EDGE_PX).double())
    light: NDArray[np.float64] = lab[0, 0].flatten().numpy()
    # Rounding differs between equal colors that arrive in unlike places of a vector.
    return light.round(6)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value; equal values share the mean of their ranks."""
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[at]
    return ranks


def _correlation(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    scale = np.sqrt((ours @ ours) * (theirs @ theirs))
    # A picture of one lightness has no order that another could follow.
    return float(ours @ theirs / scale) if scale > 0 else 0.0
