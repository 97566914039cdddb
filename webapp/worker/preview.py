"""Live preview of a running painting: its size, and its encoding."""

from PIL import Image

from webapp.storage.encoding import encode

PREVIEW_EDGE_PX = 320
"""Long edge of a preview."""


def encode_preview(image: Image.Image) -> bytes:
    """Return a preview as JPEG."""
    return encode(image, "JPEG", quality=85)
