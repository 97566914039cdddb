import numpy as np
import pytest
from PIL import Image

from benchmarks.blindlib.sheets import CAPTION_PX, GAP_PX, LARGEST_PX, PicturesDiffer, draw_sheet
from tests.unit.benchmarks.fakes import picture

RED, BLUE = (255, 0, 0), (0, 0, 255)


def plain(width: int, height: int, color: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (width, height), color)


def place(sheet: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what has that color."""
    rows, columns = np.nonzero((np.asarray(sheet) == color).all(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_both_pictures_are_shown_side_by_side_pixel_by_pixel() -> None:
    photo, style, a, b = (picture(90, 120, seed) for seed in range(4))

    sheet = draw_sheet("3f9a-01", photo, style, a, b)

    top = 2 * CAPTION_PX + 90 + GAP_PX + CAPTION_PX
    for left, shown in ((GAP_PX, a), (2 * GAP_PX + 120, b)):
        assert sheet.crop((left, top, left + 120, top + 90)) == shown
    top = 2 * CAPTION_PX
    for left, shown in ((GAP_PX, photo), (2 * GAP_PX + 120, style)):
        assert sheet.crop((left, top, left + 120, top + 90)) == shown


def test_pictures_of_two_sizes_are_shown_in_one() -> None:
    photo, style = picture(90, 120, 0), picture(90, 120, 1)

    # The short side of one is rounded to another pixel.
    sheet = draw_sheet("01", photo, style, plain(120, 90, RED), plain(240, 181, BLUE))

    red, blue = place(sheet, RED), place(sheet, BLUE)
    assert (red[2] - red[0], red[3] - red[1]) == (120, 90)
    assert (blue[2] - blue[0], blue[3] - blue[1]) == (120, 90)
    assert red[1] == blue[1]
    assert red[2] + GAP_PX == blue[0]


def test_large_pictures_are_made_smaller_together() -> None:
    large = 2 * LARGEST_PX, LARGEST_PX

    sheet = draw_sheet(
        "01", picture(90, 120, 0), picture(90, 60, 1), plain(*large, RED), plain(*large, BLUE)
    )

    left, top, right, bottom = place(sheet, BLUE)
    assert (right - left, bottom - top) == (LARGEST_PX, LARGEST_PX // 2)


def test_pictures_of_two_shapes_are_refused() -> None:
    photo = picture(90, 120, 0)

    with pytest.raises(PicturesDiffer, match="120 x 90 and 120 x 80 px"):
        draw_sheet("01", photo, photo, plain(120, 90, RED), plain(120, 80, BLUE))
