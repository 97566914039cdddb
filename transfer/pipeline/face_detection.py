"""Faces of the pictures of a run: found once, before the first level."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from PIL import Image
from torch import Tensor

from transfer.faces.detector import PHOTO, Face, FaceDetector, Thresholds
from transfer.faces.networks import PROPOSAL_CELL_PX
from transfer.faces.protection import face_map, protection_map
from transfer.faces.weights import FaceWeightsUnavailable
from transfer.imaging.images import fit_size, resize, to_tensor
from transfer.imaging.masks import Region

_MIN_EDGE_PX, _MAX_EDGE_PX = 512, 768
"""Limits of the long edge at which faces are looked for in a photo, otherwise twice the painting's:
a face of 12 px then has 6 in the painting, of which little can be kept. At 1024 px the search took
twice as long, and twice the memory."""
_MIN_FACE_PX = 12
_MAX_CANDIDATES = 1000
"""Most proposals that are looked at closely. Sixty faces have about 600; a busy photo at night had
thousands, which took 4.3 s."""
_STYLE_EDGE_PX = 512
"""Long edge at which faces are looked for in a style."""
_MIN_STYLE_FACE_PX = 20
_STYLE = Thresholds(0.5, 0.5, 0.9)
"""Thresholds for faces in styles: of 18 paintings all three faces were found, and one bamboo taken
for a fourth; with the last one at 0.5 there were ten false alarms."""
_MIN_STYLE_LEFT = 1 / 3
"""Least share of a style that is left without its faces: a portrait that is nearly all face has no
style but the face's."""

logger = logging.getLogger(__name__)


def photo_protection(content: Image.Image, long_edge_px: int) -> Tensor | None:
    """Return how much each place of a photo is to be kept for the sake of its faces.

    Args:
        content: the photo; any size and mode.
        long_edge_px: long edge of the painting.

    Returns:
        a `protection.protection_map` of the photo's shape, on the CPU; None without faces, or
        without the detector's weights.
    """
    edge_px = min(max(2 * long_edge_px, _MIN_EDGE_PX), _MAX_EDGE_PX)
    if not _can_be_searched(content.height, content.width, edge_px):
        return None
    photo = to_tensor(content, edge_px)
    faces = _find_faces(photo, PHOTO, _MIN_FACE_PX)
    found = protection_map(faces, *photo.shape[2:])
    return found if found.any() else None


def mask_style_faces(regions: Sequence[Region]) -> tuple[Region, ...]:
    """Return the regions with masks that leave the faces out of their styles.

    A style whose faces fill more than two thirds of it stays whole.
    """
    return tuple(
        replace(region, style_masks=masks) if any(mask is not None for mask in masks) else region
        for region, masks in (
            (region, tuple(_style_mask(style) for style in region.styles)) for region in regions
        )
    )


def _style_mask(style: Tensor) -> Tensor | None:
    """Return the mask of a style, shape (1, 3, H, W), at 512 px; None if it stays whole."""
    height, width = style.shape[2:]
    if not _can_be_searched(height, width, _STYLE_EDGE_PX):
        return None
    scaled = resize(style.cpu(), *fit_size(height, width, _STYLE_EDGE_PX))
    faces = _find_faces(scaled, _STYLE, _MIN_STYLE_FACE_PX)
    mask = 1.0 - face_map(faces, *scaled.shape[2:])
    if not faces or mask.mean() < _MIN_STYLE_LEFT:
        return None
    return mask.to(style.device)


def _can_be_searched(height: int, width: int, long_edge_px: int) -> bool:
    """Return whether a picture is not too elongated for the detector's first network."""
    return min(fit_size(height, width, long_edge_px)) >= PROPOSAL_CELL_PX


def _find_faces(picture: Tensor, thresholds: Thresholds, min_face_px: int) -> list[Face]:
    detector = _load_detector()
    if detector is None:
        return []
    return detector.detect(picture, thresholds, min_face_px, _MAX_CANDIDATES)[0]


@cache
def _load_detector() -> FaceDetector | None:
    """Load the detector, once in a process; without its weights say so in the log, once."""
    try:
        return FaceDetector.load()
    except FaceWeightsUnavailable as error:
        logger.warning("Faces are painted like everything else. %s", error)
        return None
