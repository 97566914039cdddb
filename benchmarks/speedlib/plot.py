"""Lines over pixels on logarithmic axes, drawn with Pillow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

PANEL_PX = (760, 620)
"""Width and height of a panel, its labels included."""
_SCALE = 2
"""Everything is drawn this much larger, and stays sharp when a page shrinks it."""
_MARGIN = (86, 56, 24, 66)
"""Left, top, right, bottom, for labels."""
_FONT_PX, _TITLE_PX = 15, 18
_PAPER, _INK, _GRID, _FINE_GRID = "#ffffff", "#222222", "#c9c9c9", "#ececec"
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b3a99", "#777777")
"""After Okabe & Ito: they can be told apart by the color-blind."""
_MARKER_PX = 5
_LEGEND_PX = 270
"""Width of the strip on the right that names the lines."""
_LABELED = ((1.1, {1, 2, 3, 4, 5, 7}), (3.2, {1, 2, 5}), (99.0, {1}))
"""Up to how many decades of an axis which digits have a label."""


@dataclass(frozen=True)
class Line:
    """Points that belong together, joined from left to right; a single one is a mark."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Positive."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    across: str
    """What the horizontal axis shows, with its unit."""
    up: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    begin: float
    end: float
    """Positions of low and high, px."""

    @classmethod
    def of(cls, values: Sequence[float], begin: float, end: float) -> "_Axis":
        # A little room, so that no mark lies on the frame.
        return cls(min(values) / 1.25, max(values) * 1.25, begin, end)

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[tuple[float, bool]]:
        """Values to draw a line at, and whether they have a label."""
        length = math.log10(self.high / self.low)
        labeled = next(digits for longest, digits in _LABELED if length <= longest)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        return [
            (digit * 10.0**decade, digit in labeled)
            for decade in decades
            for digit in range(1, 10)
            if self.low <= digit * 10.0**decade <= self.high
        ]


def drawn(panels: Sequence[Panel]) -> Image.Image:
    """All panels side by side, and what their lines are called; panels have the same lines.

    Panels without points are left out.

    Raises:
        ValueError: if none has points.
    """
    shown = [panel for panel in panels if any(line.points for line in panel.lines)]
    if not shown:
        raise ValueError("there is nothing to draw: no panel has points")
    width, height = (_SCALE * edge for edge in PANEL_PX)
    panels_end = width * len(shown)
    sheet = Image.new("RGB", (panels_end + _SCALE * _LEGEND_PX, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, panel in enumerate(shown):
        _draw(draw, panel, number * width)
    _draw_legend(draw, shown[0].lines, (panels_end, _SCALE * _MARGIN[1]))
    return sheet


def _draw(draw: ImageDraw.ImageDraw, panel: Panel, offset: int) -> None:
    left, top, right, bottom = (_SCALE * margin for margin in _MARGIN)
    width, height = (_SCALE * edge for edge in PANEL_PX)
    points = [point for line in panel.lines for point in line.points]
    across = _Axis.of([x for x, _ in points], offset + left, offset + width - right)
    up = _Axis.of([y for _, y in points], height - bottom, top)
    font = ImageFont.load_default(_SCALE * _FONT_PX)
    title = ImageFont.load_default(_SCALE * _TITLE_PX)
    for axis, is_across in ((across, True), (up, False)):
        for value, has_label in axis.ticks():
            at = axis.at(value)
            ends = (at, up.begin, at, up.end) if is_across else (across.begin, at, across.end, at)
            draw.line(ends, _GRID if has_label else _FINE_GRID, _SCALE)
            if has_label:
                place = (
                    (at, up.begin + _SCALE * 8) if is_across else (across.begin - _SCALE * 8, at)
                )
                draw.text(place, f"{value:g}", _INK, font, anchor="mt" if is_across else "rm")
    draw.rectangle((across.begin, up.end, across.end, up.begin), outline=_INK, width=_SCALE)
    draw.text((across.begin, _SCALE * 18), panel.title, _INK, title, anchor="lt")
    # The vertical axis is named above it: upright text is read at once.
    draw.text((across.end, _SCALE * 22), panel.up, _INK, font, anchor="rt")
    middle = (across.begin + across.end) / 2
    draw.text((middle, height - _SCALE * 14), panel.across, _INK, font, anchor="mb")
    for number, line in enumerate(panel.lines):
        _draw_line(draw, line, _COLORS[number % len(_COLORS)], across, up)


def _draw_line(draw: ImageDraw.ImageDraw, line: Line, color: str, across: _Axis, up: _Axis) -> None:
    places = [(across.at(x), up.at(y)) for x, y in sorted(line.points)]
    if len(places) > 1:
        draw.line(places, color, 3 * _SCALE, joint="curve")
    for place in places:
        draw.circle(place, _MARKER_PX * _SCALE, color, _PAPER, _SCALE)


def _draw_legend(
    draw: ImageDraw.ImageDraw, lines: Sequence[Line], corner: tuple[float, float]
) -> None:
    # Beside the panels: nothing that is measured may be hidden by it.
    x, y = corner
    row = _SCALE * (_FONT_PX + 9)
    font = ImageFont.load_default(_SCALE * _FONT_PX)
    for number, line in enumerate(lines):
        middle = y + (number + 0.5) * row
        color = _COLORS[number % len(_COLORS)]
        draw.line((x, middle, x + _SCALE * 24, middle), color, 3 * _SCALE)
        draw.circle((x + _SCALE * 12, middle), _MARKER_PX * _SCALE, color, _PAPER, _SCALE)
        draw.text((x + _SCALE * 34, middle), line.name, _INK, font, anchor="lm")
