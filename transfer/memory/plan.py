"""The ways to compute one step of a painting, and the memory that each of them takes.

A step is computed by a `MemoryPlan`. `memory_plans` lists the plans for a step from the fastest to
the smallest, and `choose_plan` picks the first that fits. In this order they give up speed: the
whole picture at once; tiles, whose feature maps may be saved for the backward pass; a shorter
L-BFGS history; fewer saved maps; smaller tiles. All plans have the same gradient but for rounding,
so the picture is the same to the eye. Free of torch: the web pages estimate memory, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transfer.optim.history import (
    PAINTING_HISTORY,
    SHORTER_HISTORIES,
    STORED_HISTORY_MAX_BYTES,
    history_bytes,
)

PROCESS_BYTES = 400_000_000
"""Memory of a process that has not painted yet: libraries, mostly."""

_MARGIN_PX = 8
"""Largest margin around a tile of the image, see `tiling.StageGroup.margin`."""

# Bytes per pixel in compact, with gradients in single precision; docs/engine.md says how they were
# measured.
_ACTIVATIONS = 310
"""Activations and gradients, per pixel of one tile or of the whole picture."""
_TARGET = 0.7
"""Activations of a picture without gradients, relative to `_ACTIVATIONS`."""
_MAPS = 16
"""Maps passed between groups of stages, and their gradients, per pixel of a tiled picture."""
_SAVED_MAPS = {0: 90, 2: 26, 3: 9}
"""Maps saved for the backward pass, per pixel of the picture, by the first stage saved."""
_CONTENT_FEATURES = 9
"""Features of the photo, for the content loss, per pixel of the picture."""
_FACE_FEATURES = 16
"""Finer features of the photo, for the faces in it, per pixel of the picture."""
_FP16_ACTIVATIONS = 0.8
"""Activations and saved maps with gradients in half precision, relative to single."""
_FP16_MAPS = 0.56
"""Maps and content features with gradients in half precision, relative to single: then they are
stored in half precision, too."""
_WIDTH = {"compact": 1, "vgg19": 4, "vgg19-torchvision": 4}
"""Number of channels relative to compact, and so of bytes."""
_WORKSPACE_BYTES = 90_000_000
"""Memory that the first evaluation takes at any size: workspaces of the convolutions, mostly."""

_VECTORS = 6
"""Images held at once: photo, image, its calm image, the best, the gradient before, the new one."""
_FLOAT_BYTES = 4

_WHOLE_PX = 768
"""Longest edge up to which the whole picture at once is quickest on a CPU. Beyond, blocks of memory
are so large that the C library has the system clear each anew: at 2048 px an evaluation of compact
took 1.24 us per pixel at once, and 0.74 in tiles of 512 px."""
_TILE_PX = {1: 512, 4: 256}
"""Edge of the largest tiles, by `_WIDTH`. Smaller tiles are slower; larger ones of vgg19 are not
quicker."""
_SMALL_PX, _SMALLEST_PX = 256, 128
"""Edges of the tiles that are tried when the largest do not fit."""
_CUDA_TILES_PX = (2048, 1024)
"""Edges of tiles that CUDA tries before `_TILE_PX`."""
_HISTORIES = (PAINTING_HISTORY, *SHORTER_HISTORIES)
_HISTORY_MAX_BYTES = 400_000_000
"""Largest L-BFGS history on a CPU, except the shortest one, which is always allowed. At 4096 px
that leaves two pairs, for which the loss is half a percent higher than for four, and 0.3 GB less
are taken."""
_DEEP_STAGE, _DEEPEST_STAGE = 2, 3
"""First stages from which saved maps are small for the time they save; stages count from 0."""


@dataclass(frozen=True)
class LevelShape:
    """The properties of a step that decide how much memory it takes."""

    backbone: str
    height: int
    width: int
    channels: int = 3
    """Channels of the image."""
    brush_size: float = 1.0
    """Size of the style relative to the painting; above 1 its features take more memory."""
    is_fp16: bool = False
    """True if gradients are in half precision."""
    has_faces: bool = False
    """True if faces of the photo are kept."""

    @property
    def pixels(self) -> int:
        """Number of pixels of the picture."""
        return self.height * self.width

    def history_bytes(self, history: int) -> int:
        """Return the bytes of an L-BFGS history of so many pairs, two vectors each."""
        return history_bytes(history, self.channels * self.pixels)


@dataclass(frozen=True)
class MemoryPlan:
    """One way to compute a step of a painting."""

    tile_px: int | None = None
    """Longest edge of a tile without its margin; None: the whole picture at once."""
    history: int = PAINTING_HISTORY
    """Number of curvature pairs in the L-BFGS history."""
    saved_from: int | None = None
    """First stage whose maps are saved for the backward pass, see `extractor.TiledExtractor`; None:
    tiles compute all maps again, and a whole picture saves all."""

    def bytes(self, shape: LevelShape) -> int:
        """Estimate the memory that a step takes beyond that of the process before it."""
        values = shape.channels * shape.pixels
        stored, vectors = shape.history_bytes(self.history), _VECTORS
        if stored < STORED_HISTORY_MAX_BYTES:
            stored *= 2  # Once more, in a checkpoint, with the image before.
            vectors += 1
        fixed = vectors * _FLOAT_BYTES * values + stored + _WORKSPACE_BYTES
        return fixed + int(_WIDTH[shape.backbone] * self._compact_bytes(shape))

    def _compact_bytes(self, shape: LevelShape) -> float:
        """Estimate the bytes of the network's maps as if the backbone were compact."""
        photo = _CONTENT_FEATURES + (_FACE_FEATURES if shape.has_faces else 0)
        half, half_maps = (_FP16_ACTIVATIONS, _FP16_MAPS) if shape.is_fp16 else (1.0, 1.0)
        if self.tile_px is None:
            # Either the painting's evaluation, or the style's features where it is larger.
            largest = max(1.0, _TARGET * shape.brush_size**2)
            return half * (photo + _ACTIVATIONS * largest) * shape.pixels
        saved = 0 if self.saved_from is None else _SAVED_MAPS[self.saved_from]
        tile_pixels = _tile_edge(shape.height, self.tile_px) * _tile_edge(shape.width, self.tile_px)
        maps = half_maps * (photo + _MAPS) * shape.pixels
        return half * (_ACTIVATIONS * tile_pixels + saved * shape.pixels) + maps


def _tile_edge(edge_px: int, tile_px: int) -> int:
    """Return the edge of a tile with its margins, at most that of the picture."""
    return min(edge_px, tile_px + 2 * _MARGIN_PX)


def memory_plans(shape: LevelShape, *, is_cuda: bool = False) -> tuple[MemoryPlan, ...]:
    """Return all plans for a step, from the fastest to the smallest.

    In single precision saving all maps saves a fifth of the time, in which the loss would fall by
    more than it rises with the shortest history. On a CPU in half precision, computing again what
    was not saved takes a seventh longer in vgg19, and no longer in compact. Tiles of 128 px cost
    more than anything. docs/engine.md has the figures.
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
    shortest = _HISTORIES[-1]
    # First stages to save from: with the longest history, and with the shortest.
    most_saved: tuple[int | None, ...] = (0,)
    fewer_saved: tuple[int, ...] = (_DEEP_STAGE, _DEEPEST_STAGE)
    if shape.is_fp16 and not is_cuda:
        most_saved, fewer_saved = (0, None) if width > 1 else (None,), ()

    plans = [MemoryPlan(None, longest)] if is_cuda or edge_px <= _WHOLE_PX else []
    largest = (*_CUDA_TILES_PX, _TILE_PX[width]) if is_cuda else (_TILE_PX[width],)
    tiles_px = [tile_px for tile_px in largest if tile_px < edge_px]
    plans += [MemoryPlan(tile_px, longest, stage) for tile_px in tiles_px for stage in most_saved]
    if tiles_px:
        tile_px = tiles_px[-1]
        plans += [MemoryPlan(tile_px, history, most_saved[-1]) for history in shorter]
        if tile_px > _SMALL_PX:
            plans += [MemoryPlan(tile_px, shortest, stage) for stage in fewer_saved[:1]]
    if edge_px > _SMALL_PX:
        stages = *fewer_saved, None
        histories = () if tiles_px else (longest, *shorter)
        plans += [MemoryPlan(_SMALL_PX, history, stages[0]) for history in histories]
        plans += [MemoryPlan(_SMALL_PX, shortest, stage) for stage in stages]
    else:
        plans += [MemoryPlan(None, history) for history in shorter]
    if edge_px > _SMALLEST_PX:
        plans.append(MemoryPlan(_SMALLEST_PX, shortest))
    # Without repetitions.
    return tuple(dict.fromkeys(plans))


def default_bytes(height: int, width: int) -> int:
    """Return the default limit of a process on a CPU: 1.11 GB and 110 bytes a pixel."""
    return 1_110_000_000 + 110 * height * width


def choose_plan(plans: Sequence[MemoryPlan], available_bytes: int, shape: LevelShape) -> int:
    """Return the index of the first plan that fits into so many bytes; the last if none does."""
    for index, plan in enumerate(plans):
        if plan.bytes(shape) <= available_bytes:
            return index
    return len(plans) - 1
