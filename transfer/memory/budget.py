"""How much memory a painting may take, how much there is, and what happens where it runs out."""

import gc
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import torch

from transfer.memory.malloc import trim_malloc
from transfer.memory.plan import (
    LIBRARIES,
    LevelShape,
    MemoryPlan,
    choose_plan,
    default_bytes,
    memory_plans,
)

T = TypeVar("T")

_LASTING = "could not create a primitive"
_SIGNS = ("allocate memory", _LASTING, "bad_alloc", "can't start new thread")
"""Seen when a process runs into its limit: from torch's allocator, oneDNN, C++, and Python."""

MAX_MEMORY_MIN = 500_000_000
"""torch and the backbones alone take 0.4 GB."""


def default_budget(height: int, width: int, device: torch.device) -> int:
    """What a painting may take if nobody says: on a CPU `memory_plans.usual_bytes`.

    On CUDA nine tenths of what is free or already ours.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(0.9 * free) + torch.cuda.memory_reserved(device)
    return default_bytes(height, width)


def bytes_in_use(device: torch.device) -> int:
    """Bytes that this process holds: resident on a CPU, allocated on CUDA."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return LIBRARIES
    return pages * os.sysconf("SC_PAGE_SIZE")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # What torch and oneDNN raise on the CPU has no class of its own.
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def call_in_healthy_thread(call: Callable[[], T]) -> T:
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
    # An attempt that broke off leaves its tensors to cycles of frames.
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim_malloc()


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
        self.lowest = MemoryPlan()
        """The lowest rung that was taken so far."""

    def plans(self, shape: LevelShape) -> tuple[MemoryPlan, ...]:
        """All rungs for a step."""
        return memory_plans(shape, is_cuda=self._device.type == "cuda")

    def first_plan(self, shape: LevelShape) -> int:
        """The place on the ladder of a step to begin at."""
        if self._is_strict:
            free_cache(self._device)
        else:
            trim_malloc()  # What is held does not count; collecting cycles takes 60 ms.
        return choose_plan(self.plans(shape), self._total - self._held(), shape)

    def record_success(self, place: int, plan: MemoryPlan) -> None:
        """A rung that painted."""
        if place > self._place:
            self._place, self.lowest = place, plan

    def record_failure(self, plan: MemoryPlan, shape: LevelShape) -> None:
        """There was no memory for this rung: later steps need not try."""
        free_cache(self._device)
        self._total = min(self._total, self._held() + plan.bytes(shape) - 1)

    def _held(self) -> int:
        return bytes_in_use(self._device) if self._is_strict else LIBRARIES
