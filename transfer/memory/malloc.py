"""The heap of the C library, which decides what freed memory is worth. Free of torch."""

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""From malloc.h."""


def trim_malloc() -> None:
    """Give the holes in the heap back to the system."""
    with suppress(OSError, TypeError, AttributeError):  # Only glibc has it.
        ctypes.CDLL(None).malloc_trim(0)


def configure_malloc(*, is_limited: bool) -> None:
    """How glibc is to treat large blocks of memory from now on; elsewhere nothing happens.

    Left alone, it gives the end of its heap back to the system after each evaluation, and has it
    cleared again in the next, at a microsecond for 4 kB: evaluations of compact took 1.1 times as
    long at 512 px, and up to 1.3 times at 1024 and 2048 px. So it keeps what is freed; a larger
    peak was not seen.

    Args:
        is_limited: whether the process has a limit of memory. Against that, holes in the heap count
            for good, so every block of a megabyte or more is mapped apart, and given back as soon
            as it is freed, which takes time. From the process's beginning: what is mapped cannot
            use holes that are there already.
    """
    mapped_from, kept = (1 << 20, 1 << 17) if is_limited else (1 << 25, 1 << 28)
    with suppress(OSError, TypeError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, mapped_from)
        libc.mallopt(_M_TRIM_THRESHOLD, kept)
