"""Images as the bytes of a file."""

import io

from PIL import Image


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    """Return ``image`` as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
