"""The memory limit of a painting, and the choice of plans that keep within it."""

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
    PROCESS_BYTES,
    LevelShape,
    MemoryPlan,
    choose_plan,
    default_bytes,
    memory_plans,
)

T = TypeVar("T")

_ONEDNN_REFUSAL = "could not create a primitive"
_OUT_OF_MEMORY_TEXTS = ("allocate memory", _ONEDNN_REFUSAL, "bad_alloc", "can't start new thread")
"""Texts of errors at a process's limit: from torch's allocator, oneDNN, C++, and Python."""

MAX_MEMORY_MIN = 500_000_000
"""Smallest limit that is accepted: torch and the backbones alone take 0.4 GB."""


def default_budget(height: int, width: int, device: torch.device) -> int:
    """Return the default limit of a painting: on a CPU `plan.default_bytes`.

    On CUDA it is nine tenths of the free memory, and all that this process has reserved.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(0.9 * free) + torch.cuda.memory_reserved(device)
    return default_bytes(height, width)


def bytes_in_use(device: torch.device) -> int:
    """Return the bytes that this process holds: resident on a CPU, allocated on CUDA."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return PROCESS_BYTES
    return pages * os.sysconf("SC_PAGE_SIZE")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # What torch and oneDNN raise on the CPU has no class of its own.
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in _OUT_OF_MEMORY_TEXTS
    )


def call_in_healthy_thread(call: Callable[[], T]) -> T:
    """Make a call, in another thread if this one cannot compute any more.

    When oneDNN once fails to allocate memory for its code, it notes that in the thread's own
    storage and refuses to make code there for good, however much memory is free later.

    Returns:
        what the call returns; what it raises is raised.
    """
    if not getattr(_thread, "is_spoiled", False):
        try:
            return call()
        except RuntimeError as error:
            _thread.is_spoiled = _ONEDNN_REFUSAL in str(error)
            raise
    # Made before the thread, in which nothing might be allocated any more.
    future: Future[T] = Future()

    def answer() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    # A daemon: stopping the program does not wait for the painting.
    thread = threading.Thread(target=answer, name="painter", daemon=True)
    thread.start()
    thread.join()
    if not future.done():
        raise MemoryError("a thread ended without an answer")
    return future.result()


_thread = threading.local()


def free_cache(device: torch.device) -> None:
    """Give memory that allocators keep for later back to the system."""
    # An attempt that broke off leaves its tensors to cycles of frames.
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim_malloc()


class Budget:
    """The memory limit of one painting; shrinks when a plan fails.

    Args:
        total: limit in bytes, of the whole process on a CPU, of its allocations on CUDA.
        device: device that paints.
        is_strict: True if the memory that the process really holds counts. Otherwise, on a CPU,
            that of a new process does: the plan then depends on the painting alone, which gives
            the same picture every time.
    """

    def __init__(self, total: int, device: torch.device, *, is_strict: bool) -> None:
        self._total = total
        self._device = device
        self._is_strict = is_strict or device.type == "cuda"
        self._lowest_index = -1
        self.lowest = MemoryPlan()
        """Smallest plan that has painted so far."""

    def plans(self, shape: LevelShape) -> tuple[MemoryPlan, ...]:
        """Return all plans for a step, from the fastest to the smallest."""
        return memory_plans(shape, is_cuda=self._device.type == "cuda")

    def first_plan(self, shape: LevelShape) -> int:
        """Return the index of the plan to begin a step with."""
        if self._is_strict:
            free_cache(self._device)
        else:
            trim_malloc()  # Held memory does not count, and collecting cycles takes 60 ms.
        return choose_plan(self.plans(shape), self._total - self._bytes_held(), shape)

    def record_success(self, index: int, plan: MemoryPlan) -> None:
        """Note that a plan, by its index in `plans`, has painted."""
        if index > self._lowest_index:
            self._lowest_index, self.lowest = index, plan

    def record_failure(self, plan: MemoryPlan, shape: LevelShape) -> None:
        """Lower the limit below a plan that ran out of memory, so that later steps skip it."""
        free_cache(self._device)
        self._total = min(self._total, self._bytes_held() + plan.bytes(shape) - 1)

    def _bytes_held(self) -> int:
        return bytes_in_use(self._device) if self._is_strict else PROCESS_BYTES
