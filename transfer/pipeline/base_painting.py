"""Continues an earlier painting: for longer at its size, or at a larger one for print."""

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
    """An earlier painting of the same photo, to continue or enlarge.

    The new painting keeps its composition: the coarse levels, which lay that out, are left out.
    """

    image: Image.Image
    """First rendition of the earlier painting, in the shape of the photo."""
    state: bytes | None = None
    """Final optimizer state of the earlier painting (``on_state`` of `Painter.paint`), with which
    a painting of the same size continues as if it had not stopped. None to start L-BFGS anew."""

    @property
    def long_edge_px(self) -> int:
        """Long edge of the image in px."""
        return max(self.image.size)

    @property
    def digest(self) -> str:
        """SHA-256 of the image's pixels, hexadecimal."""
        return hashlib.sha256(self.image.tobytes()).hexdigest()


def check_fits(base: BasePainting, settings: Settings, content: Image.Image) -> None:
    """Refuse a base painting that the settings and the photo cannot continue.

    Raises:
        InvalidSetting: if the painting is to be smaller than the base.
        BasePaintingUnusable: if the base has another shape than the photo.
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
    """Return the first image of a painting that continues another.

    Args:
        base: the earlier painting.
        channels: 3, or 1 where only lightness is painted.
        height: height of the image, px.
        width: width of the image, px.

    Returns:
        shape (1, channels, height, width), range [0, 1].
    """
    image = to_tensor(base.image)
    return resize(image if channels == 3 else luminance(image), height, width)


def final_state(checkpoint: Checkpoint, optimizer_fingerprint: str) -> bytes | None:
    """Return `BasePainting.state` for a painting whose first rendition is finished.

    Args:
        checkpoint: checkpoint of the last evaluation.
        optimizer_fingerprint: see `checkpoints.optimizer_fingerprint`.

    Returns:
        a checkpoint at the first level, as bytes; None if the optimizer state was too large for
        the checkpoint, or there is no memory for the bytes.
    """
    if checkpoint.optimizer_state is None:
        return None
    state = Checkpoint(
        fingerprint=optimizer_fingerprint,
        rendition=0,
        level=0,
        evaluations=0,
        image=checkpoint.image,
        finished={},
        multiplier=checkpoint.multiplier,
        optimizer_state=checkpoint.optimizer_state,
    )
    try:
        return state.to_bytes()
    except MemoryError:
        return None
