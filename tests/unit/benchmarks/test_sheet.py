import numpy as np
from PIL import Image

from benchmarks.qualitylib.sheet import GAP_PX, LINE_PX, Tile, contact_sheet

CELL_PX = 100
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def place(sheet: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what has that color."""
    rows, columns = np.nonzero((np.asarray(sheet) == color).all(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def tile(width: int, height: int, color: tuple[int, int, int], *lines: str) -> Tile:
    return Tile(Image.new("RGB", (width, height), color), lines)


def test_pictures_keep_their_shape_and_hang_in_their_cells() -> None:
    sheet = contact_sheet(
        [
            [tile(400, 200, RED, "wide"), tile(50, 100, GREEN, "narrow", "second line")],
            [tile(30, 30, BLUE, "small")],
        ],
        CELL_PX,
    )

    second = GAP_PX + CELL_PX + 2 * LINE_PX + GAP_PX
    assert sheet.size == (3 * GAP_PX + 2 * CELL_PX, second + CELL_PX + 2 * LINE_PX + GAP_PX)
    assert place(sheet, RED) == (GAP_PX, GAP_PX, GAP_PX + 100, GAP_PX + 50)
    left = 2 * GAP_PX + CELL_PX + 25
    assert place(sheet, GREEN) == (left, GAP_PX, left + 50, GAP_PX + 100)
    assert place(sheet, BLUE) == (GAP_PX, second, GAP_PX + 100, second + 100)


def test_a_row_of_wide_pictures_is_low() -> None:
    sheet = contact_sheet([[tile(400, 100, RED), tile(200, 100, GREEN)]], CELL_PX)

    assert sheet.size == (3 * GAP_PX + 2 * CELL_PX, 2 * GAP_PX + 50)


def test_text_stands_under_its_picture() -> None:
    sheet = contact_sheet([[tile(200, 100, RED, "text"), tile(100, 100, GREEN)]], CELL_PX)

    ink = np.asarray(sheet.convert("L").point(lambda value: 255 * (value < 40)))
    rows, columns = np.nonzero(ink)
    assert GAP_PX + 50 <= rows.min() <= rows.max() < GAP_PX + 50 + LINE_PX
    assert GAP_PX <= columns.min() <= columns.max() < GAP_PX + CELL_PX
