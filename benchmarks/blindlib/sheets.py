"""Sheets for raters: photo and style above, two finished pictures below."""

from PIL import Image, ImageDraw, ImageFont, ImageOps

from benchmarks.common.errors import BenchmarkError
from transfer.imaging.images import as_rgb, fit_size

LARGEST_PX = 1024
"""Longest edge of a picture on a sheet."""
GAP_PX = 16
CAPTION_PX = 32
_FONT_PX = 24
_PAPER, _INK = "white", "black"


class PicturesDiffer(BenchmarkError):
    """Two pictures of a pair do not have the same shape."""


def draw_sheet(
    title: str, photo: Image.Image, style: Image.Image, a: Image.Image, b: Image.Image
) -> Image.Image:
    """Draw one sheet.

    A and B get the size of the smaller one of them, so that size gives none of them away; pictures
    of equal size are shown pixel by pixel up to `LARGEST_PX`.

    Args:
        title: name of the sheet.
        photo: what was to be painted.
        style: in whose style.
        a: the left picture.
        b: the right picture, in the shape of the left one.

    Raises:
        PicturesDiffer: if A and B have different shapes.
    """
    width, height = _common_size(a, b)
    below = [
        as_rgb(picture).resize((width, height), Image.Resampling.LANCZOS) for picture in (a, b)
    ]
    above = [ImageOps.contain(as_rgb(picture), (width, height)) for picture in (photo, style)]
    row_px = CAPTION_PX + height + GAP_PX
    sheet = Image.new("RGB", (3 * GAP_PX + 2 * width, CAPTION_PX + 2 * row_px + GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_PX)
    draw.text((GAP_PX, 2), f"Sheet {title}", fill=_INK, font=font)
    rows = (("Photo", above[0]), ("Style", above[1])), (("A", below[0]), ("B", below[1]))
    for row, cells in enumerate(rows):
        for column, (caption, picture) in enumerate(cells):
            left = GAP_PX + column * (width + GAP_PX)
            top = CAPTION_PX + row * row_px
            draw.text((left, top), caption, fill=_INK, font=font)
            sheet.paste(picture, (left + (width - picture.width) // 2, top + CAPTION_PX))
    return sheet


def _common_size(a: Image.Image, b: Image.Image) -> tuple[int, int]:
    """Return width and height for both pictures."""
    long_edge_px = min(max(a.size), max(b.size), LARGEST_PX)
    sizes = [fit_size(one.height, one.width, long_edge_px) for one in (a, b)]
    # Engines round the short side each in their own way: by a pixel, but not by more.
    if max(abs(one - other) for one, other in zip(*sizes, strict=True)) > 1:
        shapes = " and ".join(f"{one.width} x {one.height}" for one in (a, b))
        raise PicturesDiffer(f"The two pictures have different shapes: {shapes} px.")
    height, width = sizes[0]
    return width, height
