"""The door for uploads: refuses, or returns a clean upright sRGB image without metadata."""

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

pillow_heif.register_heif_opener()

# Pillow opens MPO, a JPEG with further pictures behind the first, as "JPEG".
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF")
FORMATS_TEXT = "JPEG, PNG, WebP, GIF, HEIC or AVIF"
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
"""First bytes of files that are of these formats without doubt."""
THUMBNAIL_EDGE_PX = 640

# What Pillow's decoders were seen to raise on damaged files.
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
    """An upload that is not taken; the message is a sentence for the person who sent it."""

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
    """The bytes are no picture in a format that is read here."""

    def __init__(self) -> None:
        super().__init__(f"This file is not a picture that can be read: use {FORMATS_TEXT}.")


class ImageDamaged(UploadRefused):
    """The picture's data stops early or does not add up."""

    def __init__(self) -> None:
        super().__init__("This picture is damaged or incomplete. Export or download it again.")


class TooManyPixels(UploadRefused):
    """Decoded, the picture would not fit."""

    def __init__(self, width: int, height: int, limit: int) -> None:
        self.pixels = width * height
        self.limit = limit
        super().__init__(
            f"This picture has {width:,} × {height:,} pixels; "
            f"at most {limit / 1e6:.0f} million fit. Scale it down and try again."
        )


class FarTooManyPixels(UploadRefused):
    """So many that Pillow does not even tell how many."""

    def __init__(self) -> None:
        super().__init__(
            "This picture has far too many pixels to be opened. Scale it down and try again."
        )


class TooSmall(UploadRefused):
    """Too few pixels to see or to paint anything."""

    def __init__(self, width: int, height: int, limit_px: int) -> None:
        super().__init__(
            f"This picture has only {width} × {height} pixels; each side needs at least {limit_px}."
        )


class TooElongated(UploadRefused):
    """One side is so short that it would vanish in a painting."""

    def __init__(self, width: int, height: int, limit: float) -> None:
        super().__init__(
            f"This picture of {width:,} × {height:,} pixels is too long and narrow: "
            f"its long side may be at most {limit:.0f} times its short side. Crop it first."
        )


@dataclass(frozen=True)
class Upload:
    """A picture that was let in."""

    title: str
    image: Image.Image
    """RGB, upright, sRGB; no metadata."""

    @property
    def jpeg(self) -> bytes:
        """The picture as it is stored: JPEG without chroma subsampling."""
        return encode(self.image, "JPEG", quality=95, subsampling=0)

    @property
    def thumbnail(self) -> bytes:
        """A small WebP of it for the studio's shelves."""
        small = self.image.copy()
        small.thumbnail((THUMBNAIL_EDGE_PX, THUMBNAIL_EDGE_PX), reducing_gap=2.0)
        return encode(small, "WEBP", quality=80, method=4)


def validate(stream: IO[bytes], filename: str, config: Config) -> Upload:
    """Read an uploaded file.

    Args:
        stream: the file, seekable.
        filename: what the browser called it; only its text becomes the title.
        config: the limits.

    Raises:
        UploadRefused: one of its children says what is wrong with the file.
    """
    size_bytes = stream.seek(0, io.SEEK_END)
    if size_bytes == 0:
        raise UploadEmpty
    if size_bytes > config.max_upload_bytes:
        raise UploadTooLarge(config.max_upload_bytes)
    with warnings.catch_warnings():
        # Pillow warns of sizes that `_check_size` judges by our own limits, and of odd metadata
        # (EXIF, ICC, palette transparency) that is dropped here anyway.
        warnings.simplefilter("ignore")
        with _opened(stream) as probe:
            _check_size(probe, config)
            try:
                # Checks every PNG chunk's checksum, which loading alone does not.
                probe.verify()
            except _DAMAGE as error:
                raise ImageDamaged from error
        with _opened(stream) as image:
            try:
                return Upload(title=make_title(filename), image=_cleaned(image, config))
            except _DAMAGE as error:
                raise ImageDamaged from error


def make_title(filename: str) -> str:
    """A picture's name for people: the file's name without folder, ending and odd characters."""
    stem = PurePath(filename.replace("\\", "/")).stem
    # Control characters and direction overrides would garble every page that shows them.
    text = (
        "".join(c for c in stem if unicodedata.category(c)[0] != "C")
        .replace("_", " ")
        .replace("-", " ")
    )
    return " ".join(text.split())[:TITLE_MAX_CHARS] or "Untitled"


def _opened(stream: IO[bytes]) -> Image.Image:
    stream.seek(0)
    try:
        return Image.open(stream, formats=FORMATS)
    except Image.DecompressionBombError as error:
        # Raised before the size can be asked for; Pillow's limit is far above any of ours.
        raise FarTooManyPixels from error
    except UnidentifiedImageError as error:
        # Pillow does not tell a damaged header from another format.
        stream.seek(0)
        is_damaged = stream.read(8).startswith(_BEGINNINGS)
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


def _cleaned(image: Image.Image, config: Config) -> Image.Image:
    edge_px = config.max_stored_edge_px
    # Lets JPEG decode at a fraction of its size: less memory and time for camera pictures.
    image.draft(None, (edge_px, edge_px))
    image.load()
    profile = image.info.get("icc_profile")
    rgb = _flattened_srgb(_upright(image), profile)
    rgb.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    # A new image takes the pixels and leaves behind whatever else the file carried.
    clean = Image.new("RGB", rgb.size)
    clean.paste(rgb)
    return clean


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGE:
        # EXIF that cannot be read does not say which side is up; the picture itself is fine.
        return image


def _flattened_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """``image`` as sRGB on white."""
    image = _as_eight_bit(image)
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


def _as_eight_bit(image: Image.Image) -> Image.Image:
    """Gray of more than 8 bits scaled to 8; Pillow's own conversion clips it to white."""
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
        # A broken profile, or one for another color model: the plain numbers are the best guess.
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")
