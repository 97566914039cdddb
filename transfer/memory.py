"""How much memory a painting may take, and what gives way when there is less.

A painting goes down a ladder of rungs: the whole picture at once; tiles, and smaller ones; and ever
fewer steps that L-BFGS remembers. All rungs have the same gradient but for rounding, so the picture
is the same to the eye.
"""

import ctypes
import gc
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from transfer.checkpoints import MEMORY_MAX_BYTES

T = TypeVar("T")

_LASTING = "could not create a primitive"
_SIGNS = ("allocate memory", _LASTING, "bad_alloc", "can't start new thread")
"""Seen when a process runs into its limit: from torch's allocator, oneDNN, C++, and Python."""

MAX_MEMORY_MIN = 500_000_000
"""torch and the backbones alone take 0.4 GB."""

_MARGIN_PX = 8
"""At most around a tile of the image, see `tiles.Leg.margin`."""

_SEEN = {"compact": 310, "vgg19": 1250, "vgg19-torchvision": 1250}
"""Bytes per pixel looked at together in one evaluation, with gradients in single precision; in half
it is a fifth less. docs/engine.md says how they were measured."""
_MAPS = {"compact": 26, "vgg19": 104, "vgg19-torchvision": 104}
"""Bytes per pixel of the picture: maps between the legs of a walk in tiles, and their gradients."""
_ANY_BYTES = 90_000_000
"""What the first evaluation takes at any size: workspaces of the convolutions, mostly."""
_KEPT = {"compact": 10, "vgg19": 30, "vgg19-torchvision": 30}
"""Bytes per pixel of the picture: the photo's features, kept for the content."""

_VECTORS = 8
"""Images held at once: photo, image, best one and its gradient, step and gradient before, the new
gradient, and the oldest step and change, of which the last progress still knows."""
_FLOAT_BYTES, _HALF_BYTES = 4, 2
_TILES_PX = (2048, 1536, 1024, 768, 512, 384, 256, 128)
_HISTORIES = (6, 4, 3, 2)

HISTORY = 10
"""Steps that a painting remembers, in half precision: half a percent from 20 in full, 6 one percent
worse (four pairs, draft, 512 px)."""


@dataclass(frozen=True)
class Rung:
    """How one step of a painting is computed."""

    tile_px: int | None = None
    """Longest edge of a tile without its margin; None: the whole picture at once."""
    history: int = HISTORY
    """Steps that L-BFGS remembers."""

    def bytes(self, backbone: str, height: int, width: int, channels: int = 3) -> int:
        """Memory that an evaluation takes beyond what the process has before it, about."""
        pixels = height * width
        images = pixels * channels * _FLOAT_BYTES * _VECTORS
        remembered = 2 * self.history * pixels * channels * _HALF_BYTES
        if remembered < MEMORY_MAX_BYTES:
            remembered *= 2  # Once more, in a checkpoint.
        found = images + remembered + _ANY_BYTES + _KEPT[backbone] * pixels
        if self.tile_px is None:
            return found + _SEEN[backbone] * pixels
        seen = _seen_px(height, self.tile_px) * _seen_px(width, self.tile_px)
        return found + _SEEN[backbone] * seen + _MAPS[backbone] * pixels


def _seen_px(edge_px: int, tile_px: int) -> int:
    return min(edge_px, tile_px + 2 * _MARGIN_PX)


def ladder(height: int, width: int) -> tuple[Rung, ...]:
    """All rungs for a picture of this size, from the fastest to the smallest.

    Tiles of 512 px and more cost less time than what a short history costs in quality; smaller
    ones cost more, so the history gives way before them.
    """
    rungs = [Rung()]
    tiles = [tile_px for tile_px in _TILES_PX if tile_px < max(height, width)]
    large = [tile_px for tile_px in tiles if tile_px >= 512]
    small = [tile_px for tile_px in tiles if tile_px < 512]
    rungs += [Rung(tile_px) for tile_px in large]
    least = large[-1] if large else None
    rungs += [Rung(least, history) for history in _HISTORIES]
    rungs += [Rung(tile_px, _HISTORIES[-1]) for tile_px in small]
    return tuple(rungs)


def chosen(
    rungs: Sequence[Rung], room: int, backbone: str, height: int, width: int, channels: int
) -> int:
    """The first rung that fits into so many bytes; the last if none does."""
    for number, rung in enumerate(rungs):
        if rung.bytes(backbone, height, width, channels) <= room:
            return number
    return len(rungs) - 1


def default_budget(height: int, width: int, device: torch.device) -> int:
    """What a painting may take if nobody says: on a CPU 1.1 GB and 110 bytes a pixel.

    On CUDA nine tenths of what is free or already ours.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(0.9 * free) + torch.cuda.memory_reserved(device)
    return 1_100_000_000 + 110 * height * width


def in_use(device: torch.device) -> int:
    """Bytes that this process holds: resident on a CPU, allocated on CUDA."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return _LIBRARIES
    return pages * os.sysconf("SC_PAGE_SIZE")


_LIBRARIES = 400_000_000
"""What a new process holds; stands in where the system does not tell, too."""


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # What torch and oneDNN raise on the CPU has no class of its own.
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def soundly(call: Callable[[], T]) -> T:
    """What a call returns or raises, in another thread if this one cannot compute any more.

    oneDNN notes in a thread's own memory that it could not get room for its code once, and refuses
    to make any more of it there, however much room there is later.
    """
    if not getattr(_thread, "is_spoiled", False):
        try:
            return call()
        except RuntimeError as error:
            _thread.is_spoiled = _LASTING in str(error)
            raise
    # Made before the thread: there may be room for nothing in it.
    future: Future[T] = Future()

    def answer() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    # A daemon: who stops the program does not wait for the painting.
    thread = threading.Thread(target=answer, name="painter", daemon=True)
    thread.start()
    thread.join()
    if not future.done():
        raise MemoryError("a thread ended without an answer")
    return future.result()


_thread = threading.local()


def free_cache(device: torch.device) -> None:
    """Give back what allocators keep for later, which others could use now."""
    # An attempt that broke off leaves its tensors to cycles of frames and autograd's nodes.
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    with suppress(OSError, TypeError, AttributeError):  # Only glibc has it.
        ctypes.CDLL(None).malloc_trim(0)


def map_large_blocks() -> None:
    """From now on, have every block of a megabyte or more given back as soon as it is freed.

    glibc lets blocks of up to 32 MB share one heap, of which holes count against the limit of a
    process for good. Mapping each costs time, so for processes with a limit only; and from their
    beginning, since what is mapped cannot use holes that are there already.
    """
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


_M_MMAP_THRESHOLD = -3
"""From malloc.h."""


class Budget:
    """How much a painting may take, less what the process holds; shrinks where a rung fails.

    Args:
        total: bytes of the whole process on a CPU, of ours on CUDA.
        device: where it paints.
        is_strict: whether what the process really holds counts, or what a new one would on a CPU.
            Without, the rung depends on the painting alone: the same picture every time.
    """

    def __init__(self, total: int, device: torch.device, *, is_strict: bool) -> None:
        self._total = total
        self._device = device
        self._is_strict = is_strict or device.type == "cuda"
        self._place = -1
        self.lowest = Rung()
        """The lowest rung that was taken so far."""

    def first(self, backbone: str, height: int, width: int, channels: int) -> int:
        """The place on the ladder of this size to begin at."""
        free_cache(self._device)
        room = self._total - self._held()
        return chosen(ladder(height, width), room, backbone, height, width, channels)

    def taken(self, place: int, rung: Rung) -> None:
        """A rung that painted."""
        if place > self._place:
            self._place, self.lowest = place, rung

    def failed(self, rung: Rung, backbone: str, height: int, width: int, channels: int) -> None:
        """There was no memory for this rung: later steps need not try."""
        free_cache(self._device)
        needed = rung.bytes(backbone, height, width, channels)
        self._total = min(self._total, self._held() + needed - 1)

    def _held(self) -> int:
        return in_use(self._device) if self._is_strict else _LIBRARIES
