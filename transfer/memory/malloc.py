"""Settings of the C library's heap, which may keep freed memory. Free of torch."""

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, from malloc.h."""


def trim_malloc() -> None:
    """Give the holes in the heap back to the system."""
    with suppress(OSError, TypeError, AttributeError):  # Only glibc has it.
        ctypes.CDLL(None).malloc_trim(0)


def configure_malloc(*, is_limited: bool) -> None:
    """Choose how glibc treats large blocks of memory from now on; elsewhere do nothing.

    By default, glibc gives the end of its heap back to the system after each evaluation, and has it
    cleared again in the next, at a microsecond for 4 kB: evaluations of compact took 1.1 times as
    long at 512 px, and up to 1.3 times at 1024 and 2048 px. So it is told to keep freed memory; a
    larger peak was not measured.

    Args:
        is_limited: True if the process has a memory limit. Holes in the heap count against it for
            good, so every block of a megabyte or more is mapped separately, and given back as soon
            as it is freed, which takes time. Call this when the process begins: mapped blocks
            cannot use holes that are there already.
    """
    mmap_bytes, trim_bytes = (1 << 20, 1 << 17) if is_limited else (1 << 25, 1 << 28)
    with suppress(OSError, TypeError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, mmap_bytes)
        libc.mallopt(_M_TRIM_THRESHOLD, trim_bytes)
