"""In how much memory a step of a painting can be computed, and what gives way when there is less.

A painting goes down a ladder of rungs: the whole picture at once; tiles, of which traces may be
kept for the way back; ever fewer steps that L-BFGS remembers; fewer traces; smaller tiles. All
rungs have the same gradient but for rounding, so the picture is the same to the eye. Free of torch:
pages tell what a painting will take.
"""

from collections.abc import Sequence
from dataclasses import dataclass

HISTORY = 10
"""Steps that a painting remembers, in half precision: half a percent from 20 in full, 6 one percent
worse (four pairs, draft, 512 px)."""

LIBRARIES = 400_000_000
"""What a process holds that has not painted yet."""

MEMORY_MAX_BYTES = 192_000_000
"""What L-BFGS remembers is stored in checkpoints if it is no more than this. 10 steps and how the
gradient changed along them, 20 vectors as long as the image in half precision, take 24 MB at 512 px
and 94 MB at 1024 px."""

_MARGIN_PX = 8
"""At most around a tile of the image, see `tiling.StageGroup.margin`."""

# Bytes per pixel in compact, with gradients in single precision; docs/engine.md says how they were
# measured.
_SEEN = 310
"""Of what is looked at together in one evaluation."""
_TARGET = 0.7
"""The same of a picture that is only looked at, relative to that."""
_MAPS = 16
"""Of the picture: maps between the legs of a walk in tiles, and their gradients."""
_TRACES = {0: 90, 2: 26, 3: 9}
"""Of the picture: traces from this stage on."""
_KEPT = 9
"""Of the picture: the photo's features, for the content."""
_HALVED = 0.8
_HALVED_MAPS = 0.56
"""With gradients in half precision, relative to that: of what is looked at together and its traces,
and of maps and the photo's features, which are then kept in half precision, too."""
_WIDTH = {"compact": 1, "vgg19": 4, "vgg19-torchvision": 4}
"""How many times as many channels as compact a network has, and so as many bytes."""
_ANY_BYTES = 90_000_000
"""What the first evaluation takes at any size: workspaces of the convolutions, mostly."""

_VECTORS = 6
"""Images held at once: photo, image, the one before, the best, the gradient before, the new one."""
_FLOAT_BYTES, _HALF_BYTES = 4, 2

_WHOLE_PX = 768
"""Up to this long an edge, one go is quickest on a CPU. Beyond, blocks of memory are so large that
the C library has the system clear each anew: at 2048 px an evaluation of compact took 1.24 us per
pixel in one go, and 0.74 in tiles of 512 px."""
_TILE_PX = {1: 512, 4: 256}
"""By `_WIDTH`. Smaller ones are slower; but larger ones of vgg19 are not quicker."""
_SMALL_PX, _SMALLEST_PX = 256, 128
_CUDA_TILES_PX = (2048, 1024)
_HISTORIES = (HISTORY, 6, 4, 3, 2)
_HISTORY_MAX_BYTES = 400_000_000
"""On a CPU nothing is remembered beyond this but the last two steps. At 4096 px that leaves these
two, for which the loss is half a percent higher than for four, and 0.3 GB less are taken."""
_DEEP, _DEEPEST = 2, 3
"""The stages, from 0 on, from which traces are small for the time they save."""


@dataclass(frozen=True)
class LevelShape:
    """What a step computes, as far as it takes memory."""

    backbone: str
    height: int
    width: int
    channels: int = 3
    """Of the image."""
    brush_size: float = 1.0
    """A style may be seen larger than the picture."""
    is_fp16: bool = False
    """Whether gradients are in half precision."""

    @property
    def pixels(self) -> int:
        """Of the picture."""
        return self.height * self.width

    def history_bytes(self, history: int) -> int:
        """What so many steps take that L-BFGS remembers: two vectors each."""
        return 2 * history * self.channels * self.pixels * _HALF_BYTES


@dataclass(frozen=True)
class MemoryPlan:
    """How one step of a painting is computed."""

    tile_px: int | None = None
    """Longest edge of a tile without its margin; None: the whole picture at once."""
    history: int = HISTORY
    """Steps that L-BFGS remembers."""
    saved_from: int | None = None
    """The first stage of which traces are kept; see `extractor.TiledExtractor`."""

    def bytes(self, shape: LevelShape) -> int:
        """Memory that a step takes beyond what the process has before it, about."""
        values = shape.channels * shape.pixels
        remembered = shape.history_bytes(self.history)
        if remembered < MEMORY_MAX_BYTES:
            remembered *= 2  # Once more, in a checkpoint.
        fixed = _VECTORS * _FLOAT_BYTES * values + remembered + _ANY_BYTES
        return fixed + int(_WIDTH[shape.backbone] * self._compact_bytes(shape))

    def _compact_bytes(self, shape: LevelShape) -> float:
        """Those of the network, were it compact."""
        half, half_maps = (_HALVED, _HALVED_MAPS) if shape.is_fp16 else (1.0, 1.0)
        if self.tile_px is None:
            seen = max(1.0, _TARGET * shape.brush_size**2)
            return half * (_KEPT + _SEEN * seen) * shape.pixels
        traces = 0 if self.saved_from is None else _TRACES[self.saved_from]
        seen_px = _seen_px(shape.height, self.tile_px) * _seen_px(shape.width, self.tile_px)
        maps = half_maps * (_KEPT + _MAPS) * shape.pixels
        return half * (_SEEN * seen_px + traces * shape.pixels) + maps


def _seen_px(edge_px: int, tile_px: int) -> int:
    return min(edge_px, tile_px + 2 * _MARGIN_PX)


def memory_plans(shape: LevelShape, *, is_cuda: bool = False) -> tuple[MemoryPlan, ...]:
    """All rungs for a step, from the fastest to the smallest.

    In single precision traces of all save a fifth of the time, for which the loss would fall by
    more than it rises with the shortest history. In half precision computing once more what was not
    kept takes a seventh longer in vgg19, and no longer in compact; on a CPU, that is. Tiles of
    128 px cost more than anything. docs/engine.md has the figures.
    """
    edge_px = max(shape.height, shape.width)
    width = _WIDTH[shape.backbone]
    longest, *shorter = (
        history
        for history in _HISTORIES
        if is_cuda
        or history == _HISTORIES[-1]
        or shape.history_bytes(history) <= _HISTORY_MAX_BYTES
    )
    plans = [MemoryPlan(None, longest)] if is_cuda or edge_px <= _WHOLE_PX else []
    large = (*_CUDA_TILES_PX, _TILE_PX[width]) if is_cuda else (_TILE_PX[width],)
    tiles_px = [tile_px for tile_px in large if tile_px < edge_px]
    # Which traces are kept with a long history, with a short one, and at last.
    most: tuple[int | None, ...] = (0,)
    fewer: tuple[int, ...] = (_DEEP, _DEEPEST)
    if shape.is_fp16 and not is_cuda:
        most, fewer = (0, None) if width > 1 else (None,), ()
    plans += [MemoryPlan(tile_px, longest, stage) for tile_px in tiles_px for stage in most]
    shortest = _HISTORIES[-1]
    if tiles_px:
        least = tiles_px[-1]
        plans += [MemoryPlan(least, history, most[-1]) for history in shorter]
        plans += [MemoryPlan(least, shortest, stage) for stage in fewer[:1] if least > _SMALL_PX]
    if edge_px > _SMALL_PX:
        rest = *fewer, None
        histories = () if tiles_px else (longest, *shorter)
        plans += [MemoryPlan(_SMALL_PX, history, rest[0]) for history in histories]
        plans += [MemoryPlan(_SMALL_PX, shortest, stage) for stage in rest]
    else:
        plans += [MemoryPlan(None, history) for history in shorter]
    if edge_px > _SMALLEST_PX:
        plans.append(MemoryPlan(_SMALLEST_PX, shortest))
    # Without what was said twice.
    return tuple(dict.fromkeys(plans))


def default_bytes(height: int, width: int) -> int:
    """What a process may take on a CPU if nobody says: 1.11 GB and 110 bytes a pixel."""
    return 1_110_000_000 + 110 * height * width


def choose_plan(plans: Sequence[MemoryPlan], available_bytes: int, shape: LevelShape) -> int:
    """The place of the first rung that fits into so many bytes; the last if none does."""
    for number, plan in enumerate(plans):
        if plan.bytes(shape) <= available_bytes:
            return number
    return len(plans) - 1
