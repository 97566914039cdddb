import numpy as np
import pytest

from benchmarks.speedlib import plot
from benchmarks.speedlib.plot import Line, Panel, drawn

SLOW = Line("slow", ((0.05, 0.3), (0.2, 1.2), (0.8, 4.8)))
FAST = Line("fast", ((0.05, 0.01), (0.8, 0.16)))
MARK = Line("once", ((0.2, 900.0),))


def colors(image: np.ndarray, color: str) -> int:
    wanted = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    return int((image == wanted).all(axis=2).sum())


def test_every_line_is_drawn_in_its_color() -> None:
    sheet = np.asarray(drawn([Panel("Time", "megapixels", "seconds", [SLOW, FAST, MARK])]))

    assert sheet.shape[0] == 2 * plot.PANEL_PX[1]
    panel = sheet[:, : 2 * plot.PANEL_PX[0]]
    for color in plot._COLORS[:2]:
        assert colors(panel, color) > 2000
    assert 50 < colors(panel, plot._COLORS[2]) < 1000
    assert colors(panel, plot._COLORS[3]) == 0


def test_a_straight_line_of_powers_is_straight() -> None:
    # Seconds that grow with pixels: equal factors are equal distances, whatever they are.
    panel = np.asarray(drawn([Panel("Time", "x", "y", [SLOW])]))[:, : 2 * plot.PANEL_PX[0]]
    wanted = [int(plot._COLORS[0][at : at + 2], 16) for at in (1, 3, 5)]
    rows, columns = np.nonzero((panel == wanted).all(axis=2))
    slope, start = np.polyfit(columns, rows, 1)

    assert slope < 0
    assert np.abs(rows - (slope * columns + start)).max() < 15


@pytest.mark.parametrize("value", [1e-9, 1.0, 3.7, 1e12])
def test_one_point_is_enough(value: float) -> None:
    sheet = np.asarray(drawn([Panel("Time", "x", "y", [Line("one", ((value, value),))])]))

    assert colors(sheet, plot._COLORS[0]) > 50


def test_panels_without_points_are_left_out() -> None:
    empty, full = Panel("a", "x", "y", [Line("n", ())]), Panel("b", "x", "y", [SLOW])

    assert drawn([empty, full]).size == drawn([full]).size
    assert drawn([full, full]).size[0] == drawn([full]).size[0] + 2 * plot.PANEL_PX[0]
    with pytest.raises(ValueError, match="nothing to draw"):
        drawn([empty])
