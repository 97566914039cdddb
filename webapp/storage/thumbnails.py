"""Thumbnails of pictures and renditions: how large they are, and how they are made."""

from PIL import Image

from webapp.storage.encoding import encode

PICTURE_EDGE_PX = 640
"""Long edge of an upload's thumbnail, for the studio's shelves."""
RENDITION_EDGES_PX = (320, 640, 1280)
"""Long edges of a rendition's thumbnails: a phone's column, a gallery on a sharp screen, a page."""


def make_thumbnail(image: Image.Image, edge_px: int) -> bytes:
    """Return the image as WebP with both edges at most ``edge_px``; it is never enlarged."""
    small = image.copy()
    small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    return encode(small, "WEBP", quality=82, method=4)
