"""The coarse-to-fine schedule of a painting, as data. Free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transfer.settings import Backbone, Effort, Method, Rendition, Settings
from transfer.stages import Stage

MIN_EDGE_PX = 16
"""Smallest short edge of any picture: four poolings leave one position of it."""

_COARSEST_LONG_EDGE_PX = 96
_COARSEST_SHORT_EDGE_PX = 32
"""A coarser scale than these has nothing left to lay out."""

# Evaluations of the method of statistics, from the coarsest scale on; the last number holds for
# every larger scale.
_FIRST = {
    (Effort.DRAFT, "compact"): (120, 80, 50, 20),
    (Effort.STANDARD, "compact"): (100, 60, 25, 20, 30),
    (Effort.FINE, "compact"): (250, 150, 100, 50),
    (Effort.DRAFT, "vgg19"): (60, 40, 12, 6),
    (Effort.STANDARD, "vgg19"): (80, 50, 20, 8),
    (Effort.FINE, "vgg19"): (120, 80, 50, 30),
}
# The same network with other weights.
_FIRST |= {(effort, "vgg19-torchvision"): _FIRST[effort, "vgg19"] for effort in Effort}
_VGG19_FINISH = (12, 12, 10, 4, 0)
"""Evaluations of vgg19 after compact has painted, by number of scales - 1. The fifth scale is that
of paintings from 1528 px on: at 2048 px four evaluations took half of the time, and ten more of
compact, in a tenth of it, come as close to the style; docs/engine.md has the figures."""

_LAYOUT = 60
"""Evaluations that lay out colors and large forms, at the coarsest scale, before matching."""
# All efforts begin alike, so that they are steps of one picture: what a draft shows, stays where it
# is.
_SHAPES = {
    Effort.DRAFT: (40,),
    Effort.STANDARD: (40, 24),
    Effort.FINE: (40, 60),
}
"""Evaluations of `Stage.SHAPES` at the coarsest two scales."""
_STROKES = {
    Effort.DRAFT: (8, 10, 6, 4, 3, 2),
    Effort.STANDARD: (24, 24, 24, 8, 4, 3),
    Effort.FINE: (40, 40, 40, 20, 8, 5),
}
"""Evaluations of `Stage.STROKES` at all larger scales, and at the last one in any case; the last
number holds for every larger scale."""

_LEAST_CONTINUED = 24
"""Least evaluations of a painting that continues an earlier one of its size."""

_REFINE = 16
"""Evaluations of each later rendition where statistics paint."""
_REFINE_STROKES = 6
"""Evaluations of each later rendition where places are matched."""

# Time of one evaluation per pixel, relative to compact: measured at 512 px on a CPU
# (0.086 and 0.75 s on two cores).
_COST = {"compact": 1.0, "vgg19": 9.0, "vgg19-torchvision": 9.0}
_STAGE_COST = {Stage.SHAPES: 1.3, Stage.STROKES: 0.7}
"""Time of an evaluation of the stage relative to one of statistics, such that draft (15.2 s) and
standard (37.6 s) of 512 px come out within a tenth, on two cores."""
MATCH_PIXELS = 35_000
"""Time to find the matches of one evaluation, in pixels; it hardly depends on the size."""


@dataclass(frozen=True)
class Level:
    """One step: a number of evaluations of one backbone at one size."""

    backbone: str
    height: int
    width: int
    evaluations: int
    stage: Stage = Stage.STATISTICS
    """Loss that the evaluations minimize."""

    @property
    def long_edge_px(self) -> int:
        """Long edge of the image at this step."""
        return max(self.height, self.width)

    @property
    def cost(self) -> float:
        """Expected time, relative to an evaluation of compact on one pixel."""
        return self.evaluations * self.evaluation_cost

    @property
    def evaluation_cost(self) -> float:
        """Expected time of one evaluation, in the same unit."""
        return _COST[self.backbone] * self.evaluation_pixels

    @property
    def evaluation_pixels(self) -> float:
        """Number of pixels for which an evaluation of statistics would take as long."""
        pixels = self.height * self.width
        if not self.stage.is_matching:
            return pixels
        return _STAGE_COST[self.stage] * pixels + MATCH_PIXELS


def scales(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Return heights and widths from the coarsest to the given one, each twice the one before."""
    sizes = [(height, width)]
    while True:
        divisor = 2 ** len(sizes)
        coarser = (round(height / divisor), round(width / divisor))
        if max(coarser) < _COARSEST_LONG_EDGE_PX or min(coarser) < _COARSEST_SHORT_EDGE_PX:
            return tuple(reversed(sizes))
        sizes.append(coarser)


def first_schedule(settings: Settings, height: int, width: int) -> tuple[Level, ...]:
    """Return all steps of the first rendition, for a picture of this size."""
    levels = _levels(settings, height, width)
    return _scale_evaluations(levels, _factor(settings, levels))


def refine_schedule(settings: Settings, height: int, width: int) -> tuple[Level, ...]:
    """Return the steps of a later rendition, which starts from the first one."""
    factor = _factor(settings, _levels(settings, height, width))
    if settings.method is Method.MATCHING:
        backbone = _matching_backbone(settings)
        level = Level(backbone, height, width, _REFINE_STROKES, Stage.STROKES)
    else:
        backbone = "compact" if settings.backbone is Backbone.AUTO else settings.backbone.value
        level = Level(backbone, height, width, _REFINE)
    return _scale_evaluations((level,), factor)


def enlarge_schedule(
    settings: Settings, height: int, width: int, base_px: int
) -> tuple[Level, ...]:
    """Return the steps of a first rendition that continues an earlier painting.

    These are the steps at larger sizes than the earlier painting, whose long edge is ``base_px``;
    if there are none, the last step, with at least `_LEAST_CONTINUED` evaluations.
    """
    levels = _levels(settings, height, width)
    larger = tuple(level for level in levels if level.long_edge_px > base_px)
    if not larger:
        larger = (replace(levels[-1], evaluations=max(_LEAST_CONTINUED, levels[-1].evaluations)),)
    return _scale_evaluations(larger, _factor(settings, levels))


def schedules(
    settings: Settings, height: int, width: int, base_px: int | None = None
) -> dict[Rendition, tuple[Level, ...]]:
    """Return all steps of all renditions, in painting order.

    Args:
        settings: of the painting.
        height: of the painting, px.
        width: of the painting, px.
        base_px: long edge of the earlier painting that this one continues; None: there is none.
    """
    first, *later = settings.renditions
    if base_px is None:
        levels = first_schedule(settings, height, width)
    else:
        levels = enlarge_schedule(settings, height, width, base_px)
    return {first: levels} | {
        rendition: refine_schedule(settings, height, width) for rendition in later
    }


def _levels(settings: Settings, height: int, width: int) -> tuple[Level, ...]:
    if settings.method is Method.MATCHING:
        return _matching_levels(settings, height, width)
    return _statistics_levels(settings, height, width)


def _matching_levels(settings: Settings, height: int, width: int) -> tuple[Level, ...]:
    sizes = scales(height, width)
    backbone = _matching_backbone(settings)
    layout = "compact" if settings.backbone is Backbone.AUTO else backbone
    levels = [Level(layout, *sizes[0], _LAYOUT)]
    shapes, strokes = _SHAPES[settings.effort], _STROKES[settings.effort]
    last = len(sizes) - 1
    for scale, size in enumerate(sizes):
        # The coarsest scale has shapes even if it is the last one, too.
        if scale == 0 or scale < min(len(shapes), last):
            levels.append(Level(backbone, *size, shapes[scale], Stage.SHAPES))
        if scale == last or scale >= len(shapes):
            levels.append(Level(backbone, *size, _at(strokes, scale), Stage.STROKES))
    return tuple(levels)


def _statistics_levels(settings: Settings, height: int, width: int) -> tuple[Level, ...]:
    sizes = scales(height, width)
    backbone = _main_backbone(settings)
    levels = [
        Level(backbone, *size, _at(_FIRST[settings.effort, backbone], scale))
        for scale, size in enumerate(sizes)
    ]
    if settings.effort is Effort.STANDARD and settings.backbone is Backbone.AUTO:
        # vgg19 finishes at the size that the table was tuned at: at larger ones each evaluation
        # costs four times as much, and what it mends there was painted at this one.
        for scale in range(min(2, len(sizes) - 1), len(sizes)):
            evaluations = _at(_VGG19_FINISH, scale)
            if not evaluations:
                break
            level = Level("vgg19", *sizes[scale], evaluations)
            after = max(i for i, s in enumerate(levels) if (s.height, s.width) == sizes[scale])
            levels.insert(after + 1, level)
    return tuple(levels)


def _factor(settings: Settings, levels: Sequence[Level]) -> float:
    """Return the factor by which the advanced setting changes the planned evaluations."""
    asked = settings.advanced.evaluations
    return 1.0 if asked is None else asked / sum(level.evaluations for level in levels)


def _scale_evaluations(levels: Sequence[Level], factor: float) -> tuple[Level, ...]:
    return tuple(
        replace(level, evaluations=max(1, round(factor * level.evaluations))) for level in levels
    )


def _main_backbone(settings: Settings) -> str:
    if settings.backbone is Backbone.AUTO:
        return "vgg19" if settings.effort is Effort.FINE else "compact"
    return settings.backbone.value


def _matching_backbone(settings: Settings) -> str:
    """Return the network that matches: compact's gradients leave grain, so only if it is named."""
    return "vgg19" if settings.backbone is Backbone.AUTO else settings.backbone.value


def _at(numbers: tuple[int, ...], scale: int) -> int:
    return numbers[min(scale, len(numbers) - 1)]
