"""Contact sheet: a row per pair, with content, style and paintings side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

CELL_PX = 288
GAP_PX = 12
"""Gap around every cell."""
LINE_PX = 18
FONT_PX = 14
_PAPER, _INK = "white", "black"


@dataclass(frozen=True)
class Tile:
    """A picture and the lines under it."""

    picture: Image.Image
    lines: tuple[str, ...]


def contact_sheet(rows: Sequence[Sequence[Tile]], cell_px: int = CELL_PX) -> Image.Image:
    """Draw all tiles on white; pictures are fitted into squares, and keep their shape.

    Columns are as wide as a cell. The pictures of a row hang from the same line, each with its
    text under it; the row is as high as its highest picture with the longest text.

    Args:
        rows: at least one, with at least one tile.
        cell_px: long edge of a picture on the sheet.
    """
    fitted = [
        [ImageOps.contain(tile.picture.convert("RGB"), (cell_px, cell_px)) for tile in row]
        for row in rows
    ]
    lines = max(len(tile.lines) for row in rows for tile in row)
    heights = [max(picture.height for picture in row) + lines * LINE_PX for row in fitted]
    columns = max(len(row) for row in rows)
    width = GAP_PX + columns * (cell_px + GAP_PX)
    sheet = Image.new("RGB", (width, GAP_PX + sum(height + GAP_PX for height in heights)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_PX)
    top = GAP_PX
    for row, pictures, height in zip(rows, fitted, heights, strict=True):
        for column, (tile, picture) in enumerate(zip(row, pictures, strict=True)):
            left = GAP_PX + column * (cell_px + GAP_PX)
            sheet.paste(picture, (left + (cell_px - picture.width) // 2, top))
            for number, line in enumerate(tile.lines):
                place = (left, top + picture.height + number * LINE_PX)
                draw.text(place, line, fill=_INK, font=font)
        top += height + GAP_PX
    return sheet
