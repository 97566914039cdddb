"""The coarse-to-fine schedule of a painting, as data. Free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transfer.settings import Backbone, Effort, Rendition, Settings

MIN_EDGE_PX = 16
"""Smallest short edge of any picture: four poolings leave one position of it."""

_COARSEST_LONG_EDGE_PX = 96
_COARSEST_SHORT_EDGE_PX = 32
"""A coarser scale than these has nothing left to lay out."""

# Evaluations from the coarsest scale on; the last number holds for every larger scale.
_PAINTING = {
    (Effort.DRAFT, "compact"): (120, 80, 50, 20),
    (Effort.STANDARD, "compact"): (100, 60, 25, 20, 30),
    (Effort.FINE, "compact"): (250, 150, 100, 50),
    (Effort.DRAFT, "vgg19"): (60, 40, 12, 6),
    (Effort.STANDARD, "vgg19"): (80, 50, 20, 8),
    (Effort.FINE, "vgg19"): (120, 80, 50, 30),
}
# The same network with other weights.
_PAINTING |= {(effort, "vgg19-torchvision"): _PAINTING[effort, "vgg19"] for effort in Effort}
_FINISHING = (12, 12, 10, 4, 0)
"""Evaluations of vgg19 after compact has painted, by number of scales - 1. The fifth scale is that
of paintings from 1528 px on: at 2048 px four evaluations took half of the time, and ten more of
compact, in a tenth of it, come as close to the style; docs/engine.md has the figures."""

_MORE = 24
"""Evaluations that are worth asking for once more."""

_RETOUCHING = {Effort.DRAFT: 16, Effort.STANDARD: 16, Effort.FINE: 16}

# Time of one evaluation per pixel, relative to compact: measured at 512 px on a CPU
# (0.086 and 0.75 s on two cores).
_COST = {"compact": 1.0, "vgg19": 9.0, "vgg19-torchvision": 9.0}


@dataclass(frozen=True)
class Level:
    """Some evaluations of one backbone at one size."""

    backbone: str
    height: int
    width: int
    evaluations: int

    @property
    def long_edge_px(self) -> int:
        """Long edge of the image meanwhile."""
        return max(self.height, self.width)

    @property
    def cost(self) -> float:
        """Expected time, in a unit of its own."""
        return self.evaluations * self.evaluation_cost

    @property
    def evaluation_cost(self) -> float:
        """Expected time of one evaluation, in the same unit."""
        return _COST[self.backbone] * self.height * self.width


def scales(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Heights and widths from the coarsest to the given one, each twice the one before."""
    found = [(height, width)]
    while True:
        divisor = 2 ** len(found)
        coarser = (round(height / divisor), round(width / divisor))
        if max(coarser) < _COARSEST_LONG_EDGE_PX or min(coarser) < _COARSEST_SHORT_EDGE_PX:
            return tuple(reversed(found))
        found.append(coarser)


def first_schedule(settings: Settings, height: int, width: int) -> tuple[Level, ...]:
    """All steps of the first rendition, for a picture of this size."""
    levels = _as_effort_says(settings, height, width)
    return _scaled(levels, _factor(settings, levels))


def refine_schedule(settings: Settings, height: int, width: int) -> tuple[Level, ...]:
    """The steps of a later rendition, which starts from what is already painted."""
    backbone = "compact" if settings.backbone is Backbone.AUTO else settings.backbone.value
    factor = _factor(settings, _as_effort_says(settings, height, width))
    return _scaled((Level(backbone, height, width, _RETOUCHING[settings.effort]),), factor)


def enlarge_schedule(
    settings: Settings, height: int, width: int, base_px: int
) -> tuple[Level, ...]:
    """The steps of a first rendition that goes on from an earlier painting.

    Those at sizes larger than it; if it is as large, the last step once more, and longer.
    """
    levels = _as_effort_says(settings, height, width)
    larger = tuple(level for level in levels if level.long_edge_px > base_px)
    if not larger:
        larger = (replace(levels[-1], evaluations=max(_MORE, levels[-1].evaluations)),)
    return _scaled(larger, _factor(settings, levels))


def schedules(
    settings: Settings, height: int, width: int, base_px: int | None = None
) -> dict[Rendition, tuple[Level, ...]]:
    """All steps of all renditions, in painting order.

    Args:
        settings: of the painting.
        height: of the painting, px.
        width: of the painting, px.
        base_px: long edge of an earlier painting that this one goes on from; None: of nothing.
    """
    first, *later = settings.renditions
    if base_px is None:
        levels = first_schedule(settings, height, width)
    else:
        levels = enlarge_schedule(settings, height, width, base_px)
    return {first: levels} | {
        rendition: refine_schedule(settings, height, width) for rendition in later
    }


def _as_effort_says(settings: Settings, height: int, width: int) -> tuple[Level, ...]:
    sizes = scales(height, width)
    painter = _painter(settings)
    levels = [
        Level(painter, *size, _at(_PAINTING[settings.effort, painter], scale))
        for scale, size in enumerate(sizes)
    ]
    if settings.effort is Effort.STANDARD and settings.backbone is Backbone.AUTO:
        # vgg19 finishes at the size that the table was tuned at: at larger ones each evaluation
        # costs four times as much, and what it mends there was painted at this one.
        for scale in range(min(2, len(sizes) - 1), len(sizes)):
            evaluations = _at(_FINISHING, scale)
            if not evaluations:
                break
            level = Level("vgg19", *sizes[scale], evaluations)
            after = max(i for i, s in enumerate(levels) if (s.height, s.width) == sizes[scale])
            levels.insert(after + 1, level)
    return tuple(levels)


def _factor(settings: Settings, levels: Sequence[Level]) -> float:
    """What the expert's number of evaluations makes of the planned numbers."""
    wanted = settings.advanced.evaluations
    return 1.0 if wanted is None else wanted / sum(level.evaluations for level in levels)


def _scaled(levels: Sequence[Level], factor: float) -> tuple[Level, ...]:
    return tuple(
        replace(level, evaluations=max(1, round(factor * level.evaluations))) for level in levels
    )


def _painter(settings: Settings) -> str:
    if settings.backbone is Backbone.AUTO:
        return "vgg19" if settings.effort is Effort.FINE else "compact"
    return settings.backbone.value


def _at(numbers: tuple[int, ...], scale: int) -> int:
    return numbers[min(scale, len(numbers) - 1)]
