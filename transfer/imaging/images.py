"""Image files, Pillow's images and tensors, and conversions between them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from transfer.errors import ImageUnreadable, NotFinite, ShapeError


def read_image(path: Path) -> Image.Image:
    """Read an image file as upright RGB.

    Raises:
        ImageUnreadable: if the file is missing, no image, damaged, or too large to be safe.
    """
    return _read(path, as_rgb)


def read_mask(path: Path) -> Image.Image:
    """Read an image file as upright gray; see `as_gray`.

    Raises:
        ImageUnreadable: if the file is missing, no image, damaged, or too large to be safe.
    """
    return _read(path, as_gray)


def _read(path: Path, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    try:
        with Image.open(path) as image:
            return convert(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise ImageUnreadable(f"{path} does not exist.") from None
    except Image.DecompressionBombError:
        raise ImageUnreadable(f"{path} has too many pixels to be opened safely.") from None
    # Pillow's decoders raise all of these for damaged files.
    except (OSError, SyntaxError, ValueError, EOFError):
        raise ImageUnreadable(f"{path} cannot be read as an image.") from None


def as_rgb(image: Image.Image) -> Image.Image:
    """Convert to eight-bit RGB; transparent parts become white, as on paper.

    Raises:
        NotFinite: if a floating-point image holds values that are no numbers.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        # Pillow's own conversion clips 16-bit values at 255, which turns them white.
        values = np.asarray(image).astype(np.float64)
        if not np.isfinite(values).all():
            raise NotFinite("image", int((~np.isfinite(values)).sum()), values.size)
        values = values * (255.0 / 65535.0 if values.max() > 255.0 else 1.0)
        image = Image.fromarray(values.clip(0.0, 255.0).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def as_gray(image: Image.Image) -> Image.Image:
    """Convert to eight-bit gray; transparent parts of a mask become black."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return as_rgb(image).convert("L")


def to_tensor(image: Image.Image, long_edge_px: int | None = None) -> Tensor:
    """Convert to shape (1, 3, H, W), float32, range [0, 1]; resampled if a long edge is given."""
    image = as_rgb(image)
    if long_edge_px is not None:
        width, height = image.size
        height, width = fit_size(height, width, long_edge_px)
        # In eight bits, before the tensor: a photo of 50 megapixels would take 600 MB in floats.
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    values = torch.from_numpy(np.array(image))  # (H, W, 3)
    return values.permute(2, 0, 1).unsqueeze(0).float().div_(255.0)


def to_image(tensor: Tensor) -> Image.Image:
    """Convert a tensor to an image, as the inverse of `to_tensor`; values are clipped to [0, 1].

    Raises:
        ShapeError: if ``tensor`` is not (1, 3, H, W).
        NotFinite: if it holds values that are no numbers.
    """
    if tensor.ndim != 4 or tensor.shape[:2] != (1, 3):
        raise ShapeError("image", "(1, 3, H, W)", tuple(tensor.shape))
    check_finite("image", tensor)
    values = tensor.detach()[0].clamp(0.0, 1.0).mul(255.0).round().byte()
    return Image.fromarray(values.permute(1, 2, 0).contiguous().cpu().numpy())


def fit_size(height: int, width: int, long_edge_px: int) -> tuple[int, int]:
    """Return height and width of the same shape with the given long edge, at least 1 px each."""
    scale = long_edge_px / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(tensor: Tensor, height: int, width: int) -> Tensor:
    """Resample bicubically to shape (1, C, height, width), with antialiasing.

    The result is clipped to [0, 1], as bicubic interpolation overshoots at edges.
    """
    if tuple(tensor.shape[2:]) == (height, width):
        return tensor
    sampled = F.interpolate(
        tensor, (height, width), mode="bicubic", antialias=True, align_corners=False
    )
    return sampled.clamp_(0.0, 1.0)


def check_finite(name: str, tensor: Tensor) -> None:
    """Refuse NaN and infinity, which would spread over a whole painting.

    Raises:
        NotFinite: if there are any.
    """
    is_finite = tensor.isfinite()
    if not is_finite.all():
        raise NotFinite(name, int((~is_finite).sum()), tensor.numel())
