"""Maps of faces: how much a painting keeps of each place, and where the faces of a style are."""

from collections.abc import Sequence

import torch
from torch import Tensor

from transfer.faces.detector import Face

_FACE_SIZE = 1.3
"""Size of the ellipse around a face relative to its box, which ends at chin and hairline."""
_FACE = 0.6
"""Value of the ellipse: cheeks and chin may be painted more freely than eyes and mouth."""
_FEATURE_SIZE = 0.3
"""Radius of the discs at the eyes and the mouth, in distances of the eyes."""


def protection_map(faces: Sequence[Face], height: int, width: int) -> Tensor:
    """Return how much each place of a photo is to be kept for the sake of its faces.

    With d the distance from a center in radii: an ellipse around each face of
    ``0.6 clamp((1.15 - d) / 0.3, 0, 1)``, and discs at both eyes and the middle of the mouth of
    ``clamp((1.4 - d) / 0.8, 0, 1)``. Where several lie above each other, the largest counts.

    Args:
        faces: faces of the photo, in px of the map.
        height: height of the map, px.
        width: width of the map, px.

    Returns:
        shape (1, 1, height, width), range [0, 1].
    """
    found = torch.zeros(height, width)
    for face in faces:
        _raise(found, *_ellipse(face), (1.15, 0.3, _FACE))
        mouth = (
            (face.mouth_left.x + face.mouth_right.x) / 2,
            (face.mouth_left.y + face.mouth_right.y) / 2,
        )
        radius = _FEATURE_SIZE * face.eye_distance
        for center in (face.left_eye, face.right_eye, mouth):
            _raise(found, center, (radius, radius), (1.4, 0.8, 1.0))
    return found[None, None]


def face_map(faces: Sequence[Face], height: int, width: int) -> Tensor:
    """Return where faces are: 1 in the ellipses of `protection_map`, 0 outside, soft between.

    Args:
        faces: faces of a picture, in px of the map.
        height: height of the map, px.
        width: width of the map, px.

    Returns:
        shape (1, 1, height, width), range [0, 1].
    """
    found = torch.zeros(height, width)
    for face in faces:
        _raise(found, *_ellipse(face), (1.15, 0.3, 1.0))
    return found[None, None]


def _ellipse(face: Face) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the center, x and y, and the radii of the ellipse around a face."""
    left, top, right, bottom = face.box
    center = (left + right) / 2, (top + bottom) / 2
    return center, (_FACE_SIZE * (right - left) / 2, _FACE_SIZE * (bottom - top) / 2)


def _raise(
    found: Tensor,
    center: tuple[float, float],
    radii: tuple[float, float],
    profile: tuple[float, float, float],
) -> None:
    """Raise a map, in place, to ``value * clamp((end - d) / width, 0, 1)`` around a center.

    Args:
        found: the map, shape (H, W); pixel i has its center at i.
        center: x and y, px.
        radii: the lengths, across and down, that d counts in, px.
        profile: end, width and value.
    """
    end, width, value = profile
    if min(radii) <= 0.0:
        return
    # Only the window that the shape lies in: sixty small faces cost what one large one does.
    window = tuple(
        slice(max(0, int(middle - end * radius)), min(size, int(middle + end * radius) + 2))
        for middle, radius, size in zip(reversed(center), reversed(radii), found.shape, strict=True)
    )
    if any(span.start >= span.stop for span in window):
        return
    down, across = (
        ((torch.arange(span.start, span.stop) - middle) / radius).square()
        for span, middle, radius in zip(window, reversed(center), reversed(radii), strict=True)
    )
    distance = (down[:, None] + across).sqrt()
    shape = value * ((end - distance) / width).clamp(0.0, 1.0)
    torch.maximum(found[window], shape, out=found[window])
