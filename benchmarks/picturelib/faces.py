"""Faces: whether those of the photo are found again in the painting, and where their eyes are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from PIL import Image

from transfer.faces.detector import PAINTING, Face, FaceDetector, Thresholds
from transfer.imaging.images import to_tensor

FACES_LONG_EDGE_PX = 512
"""Long edge to which both pictures are resized."""
RELIABLE = Thresholds(0.6, 0.7, 0.9)
"""Thresholds for the photo: those of `PHOTO` take a lit window for a face."""
MOST_OFFSET = 0.5
"""Largest offset of the eyes, in eye distances, at which a face is still the same one."""


@dataclass(frozen=True)
class Faces:
    """Faces of a photo, and what became of them."""

    count: int
    """Number of faces in the photo."""
    found: int
    """Number of these that are found in the painting at their place."""
    eye_offset: float | None
    """Mean distance of the eyes from where they were, in eye distances; None if none is found."""


def faces(detector: FaceDetector, painting: Image.Image, photo: Image.Image) -> Faces:
    """Look for the faces of a photo in a painting of the same shape, of any size."""
    image = to_tensor(painting, FACES_LONG_EDGE_PX)
    height, width = image.shape[2:]
    (wanted,) = detector.detect(
        to_tensor(photo.resize((width, height), Image.Resampling.LANCZOS)), RELIABLE
    )
    if not wanted:
        return Faces(0, 0, None)
    (painted,) = detector.detect(image, PAINTING)
    return compare_faces(wanted, painted)


def compare_faces(photo: Sequence[Face], painted: Sequence[Face]) -> Faces:
    """Give each face of the photo the nearest one of the painting, if it is near enough.

    Args:
        photo: faces of the photo.
        painted: faces of the painting, in px of the same size.
    """
    offsets = []
    for face in photo:
        nearest = min((eye_offset(face, other) for other in painted), default=math.inf)
        if nearest <= MOST_OFFSET:
            offsets.append(nearest)
    return Faces(len(photo), len(offsets), mean(offsets) if offsets else None)


def eye_offset(face: Face, other: Face) -> float:
    """Return the mean distance between the eyes of two faces, in eye distances of the first."""
    left = math.dist(face.left_eye, other.left_eye)
    right = math.dist(face.right_eye, other.right_eye)
    return (left + right) / 2 / face.eye_distance
