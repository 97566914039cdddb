"""Validation of uploads: refuse a file, or return an upright sRGB image without metadata."""

import io
import struct
import unicodedata
import warnings
import zlib
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from config import Config
from webapp.models import TITLE_MAX_CHARS
from webapp.storage.encoding import encode
from webapp.storage.thumbnails import PICTURE_EDGE_PX, make_thumbnail

pillow_heif.register_heif_opener()

# Pillow opens MPO, a JPEG with further pictures behind the first, as "JPEG".
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF")
FORMATS_TEXT = "JPEG, PNG, WebP, GIF, HEIC or AVIF"
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
"""First bytes that only files of these formats have."""

# Exceptions that Pillow's decoders were seen to raise on damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class UploadRefused(Exception):
    """Refusal of an upload; the message is a sentence for the person who sent it."""

    status = 422


class UploadEmpty(UploadRefused):
    """The file has no bytes."""

    def __init__(self) -> None:
        super().__init__("This file is empty. Choose another picture.")


class UploadTooLarge(UploadRefused):
    """The file has too many bytes."""

    status = 413

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(
            f"This file is larger than {limit_bytes / 1e6:.0f} MB. "
            "Save it smaller, or as JPEG, and try again."
        )


class NotAnImage(UploadRefused):
    """The file has none of the accepted formats."""

    def __init__(self) -> None:
        super().__init__(f"This file is not a picture that can be read: use {FORMATS_TEXT}.")


class ImageDamaged(UploadRefused):
    """The picture's data is truncated or corrupt."""

    def __init__(self) -> None:
        super().__init__("This picture is damaged or incomplete. Export or download it again.")


class TooManyPixels(UploadRefused):
    """The picture has more pixels than the site accepts."""

    def __init__(self, width: int, height: int, limit: int) -> None:
        self.pixels = width * height
        self.limit = limit
        super().__init__(
            f"This picture has {width:,} × {height:,} pixels; "
            f"at most {limit / 1e6:.0f} million fit. Scale it down and try again."
        )


class FarTooManyPixels(UploadRefused):
    """The picture has more pixels than Pillow agrees to open; their number is unknown."""

    def __init__(self) -> None:
        super().__init__(
            "This picture has far too many pixels to be opened. Scale it down and try again."
        )


class TooSmall(UploadRefused):
    """One side has too few pixels to paint anything."""

    def __init__(self, width: int, height: int, limit_px: int) -> None:
        super().__init__(
            f"This picture has only {width} × {height} pixels; each side needs at least {limit_px}."
        )


class TooElongated(UploadRefused):
    """One side is so short, relative to the other, that it would vanish in a painting."""

    def __init__(self, width: int, height: int, limit: float) -> None:
        super().__init__(
            f"This picture of {width:,} × {height:,} pixels is too long and narrow: "
            f"its long side may be at most {limit:.0f} times its short side. Crop it first."
        )


@dataclass(frozen=True)
class Upload:
    """Validated picture, not stored yet."""

    title: str
    image: Image.Image
    """Pixels, upright, in sRGB (mode RGB), without metadata."""

    @property
    def jpeg(self) -> bytes:
        """Bytes of the stored file: JPEG without chroma subsampling."""
        return encode(self.image, "JPEG", quality=95, subsampling=0)

    @property
    def thumbnail(self) -> bytes:
        """Bytes of the stored thumbnail for the studio's shelves: WebP."""
        return make_thumbnail(self.image, PICTURE_EDGE_PX)


def validate(stream: IO[bytes], filename: str, config: Config) -> Upload:
    """Validate and decode an uploaded file.

    Args:
        stream: the file, seekable.
        filename: name that the browser sent; it only becomes the title.
        config: the limits.

    Raises:
        UploadRefused: a subclass of it, which says what is wrong with the file.
    """
    size_bytes = stream.seek(0, io.SEEK_END)
    if size_bytes == 0:
        raise UploadEmpty
    if size_bytes > config.max_upload_bytes:
        raise UploadTooLarge(config.max_upload_bytes)
    with warnings.catch_warnings():
        # Pillow warns of sizes that `_check_size` compares with the site's limits, and of odd
        # metadata (EXIF, ICC, palette transparency) that is dropped anyway.
        warnings.simplefilter("ignore")
        with _open(stream) as probe:
            _check_size(probe, config)
            try:
                # Checks every PNG chunk's checksum, which loading alone does not.
                probe.verify()
            except _DAMAGE as error:
                raise ImageDamaged from error
        with _open(stream) as image:
            try:
                return Upload(title=make_title(filename), image=_clean(image, config))
            except _DAMAGE as error:
                raise ImageDamaged from error


def make_title(filename: str) -> str:
    """Return a title: the file's name without folder, extension and control characters."""
    stem = PurePath(filename.replace("\\", "/")).stem
    # Control characters and direction overrides would garble the pages that show the title.
    text = (
        "".join(c for c in stem if unicodedata.category(c)[0] != "C")
        .replace("_", " ")
        .replace("-", " ")
    )
    return " ".join(text.split())[:TITLE_MAX_CHARS] or "Untitled"


def _open(stream: IO[bytes]) -> Image.Image:
    stream.seek(0)
    try:
        return Image.open(stream, formats=FORMATS)
    except Image.DecompressionBombError as error:
        # Raised before the size is known; Pillow's limit is far above any of the site's.
        raise FarTooManyPixels from error
    except UnidentifiedImageError as error:
        # Pillow does not distinguish a damaged header from another format.
        stream.seek(0)
        is_damaged = stream.read(8).startswith(_SIGNATURES)
        raise (ImageDamaged() if is_damaged else NotAnImage()) from error
    except _DAMAGE as error:
        raise ImageDamaged from error


def _check_size(image: Image.Image, config: Config) -> None:
    width, height = image.size
    if width * height > config.max_upload_pixels:
        raise TooManyPixels(width, height, config.max_upload_pixels)
    if min(width, height) < config.min_upload_side_px:
        raise TooSmall(width, height, config.min_upload_side_px)
    if max(width, height) > config.max_upload_aspect * min(width, height):
        raise TooElongated(width, height, config.max_upload_aspect)


def _clean(image: Image.Image, config: Config) -> Image.Image:
    edge_px = config.max_stored_edge_px
    # JPEG is decoded at a fraction of its size: less memory and time for camera pictures.
    image.draft(None, (edge_px, edge_px))
    image.load()
    profile = image.info.get("icc_profile")
    rgb = _flatten_to_srgb(_rotate_upright(image), profile)
    rgb.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    # Copying the pixels to a new image drops everything else that the file carried.
    clean = Image.new("RGB", rgb.size)
    clean.paste(rgb)
    return clean


def _rotate_upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGE:
        # Unreadable EXIF has no orientation; the pixels are fine.
        return image


def _flatten_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return ``image`` in sRGB, composited on white where it is transparent."""
    image = _to_eight_bit(image)
    has_alpha = image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info
    alpha = image.convert("RGBA").getchannel("A") if has_alpha else None
    if image.mode not in {"RGB", "L", "CMYK"}:
        image = image.convert("L" if image.mode in {"LA", "La", "1"} else "RGB")
    rgb = _to_srgb(image, profile) if profile else image.convert("RGB")
    if alpha is None:
        return rgb
    white = Image.new("RGB", rgb.size, (255, 255, 255))
    white.paste(rgb, mask=alpha)
    return white


def _to_eight_bit(image: Image.Image) -> Image.Image:
    """Scale gray of more than 8 bits to 8; Pillow's own conversion clips it to white."""
    if image.mode not in {"I", "F"} and not image.mode.startswith("I;16"):
        return image
    gray = np.asarray(image).astype(np.float64)
    return Image.fromarray(np.clip(gray / 257.0 + 0.5, 0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError):
        # The profile is broken, or for another color model: sRGB is the best guess.
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")
