"""Pictures with real faces, cut from the portrait of an astronaut that scikit-image ships."""

from pathlib import Path

import skimage
from PIL import Image

EYES = (63.0, 69.0), (106.0, 71.0)
"""Pupils in `face`, picked by hand."""


def face() -> Image.Image:
    """Return the astronaut's face and some hair, 170 x 170 px."""
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as picture:
        return picture.convert("RGB").crop((140, 30, 310, 200))


def group(rows: int, columns: int, face_px: int, spacing_px: int) -> Image.Image:
    """Return a gray picture with as many small copies of the face, at equal distances."""
    picture = Image.new("RGB", (columns * spacing_px, rows * spacing_px), (120, 120, 120))
    copy = face().resize((face_px, face_px))
    margin = (spacing_px - face_px) // 2
    for row in range(rows):
        for column in range(columns):
            picture.paste(copy, (column * spacing_px + margin, row * spacing_px + margin))
    return picture
