"""Going on from an earlier painting: for longer at its size, or at a larger one for print."""

import hashlib
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from transfer.errors import BasePaintingUnusable, InvalidSetting
from transfer.imaging.color import luminance
from transfer.imaging.images import fit_size, resize, to_tensor
from transfer.pipeline.checkpoints import Checkpoint
from transfer.settings import Settings


@dataclass(frozen=True)
class BasePainting:
    """An earlier painting of the same photo, as printers call the small print before the large.

    What is painted from it keeps its composition: the coarse scales, where that is laid out, are
    left out.
    """

    image: Image.Image
    """Its first rendition, in the shape of the photo."""
    state: bytes | None = None
    """What its optimizer knew at the end (`engine.paint`, ``on_state``), with which a painting of
    the same size goes on as if it had not stopped. None: it learns that anew."""

    @property
    def long_edge_px(self) -> int:
        """Of the image."""
        return max(self.image.size)

    @property
    def digest(self) -> str:
        """SHA-256 of its pixels, hexadecimal."""
        return hashlib.sha256(self.image.tobytes()).hexdigest()


def check_fits(base: BasePainting, settings: Settings, content: Image.Image) -> None:
    """Refuse what cannot be gone on from.

    Raises:
        InvalidSetting: if the painting is to be smaller than the proof.
        BasePaintingUnusable: if the proof has another shape than the photo.
    """
    if settings.long_edge_px < base.long_edge_px:
        wanted = f"at least the {base.long_edge_px} px of the earlier painting"
        raise InvalidSetting("size", wanted, settings.long_edge_px)
    width, height = content.size
    wanted_size = fit_size(height, width, base.long_edge_px)
    width, height = base.image.size
    if max(abs(height - wanted_size[0]), abs(width - wanted_size[1])) > 1:
        raise BasePaintingUnusable(wanted_size, (height, width))


def base_image(base: BasePainting, channels: int, height: int, width: int) -> Tensor:
    """The first image of a painting that goes on from a proof.

    Args:
        base: the earlier painting.
        channels: 3, or 1 where only lightness is painted.
        height: of the image.
        width: of the image.

    Returns:
        shape (1, channels, height, width).
    """
    image = to_tensor(base.image)
    return resize(image if channels == 3 else luminance(image), height, width)


def final_state(checkpoint: Checkpoint, optimizer_fingerprint: str) -> bytes | None:
    """`BasePainting.state` of the end of a painting's first rendition; None if it is too
    large to keep, or to be made at all.

    Args:
        checkpoint: after the last evaluation.
        optimizer_fingerprint: what a painting has to have in common to go on from it; see
            `checkpoints.optimizer_fingerprint`.
    """
    if checkpoint.optimizer_state is None:
        return None
    kept = Checkpoint(
        optimizer_fingerprint,
        0,
        0,
        0,
        checkpoint.image,
        {},
        multiplier=checkpoint.multiplier,
        optimizer_state=checkpoint.optimizer_state,
    )
    try:
        return kept.to_bytes()
    except MemoryError:
        return None
