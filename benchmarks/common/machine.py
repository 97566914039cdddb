"""The machine: a description, and its memory and processor, as far as the system tells."""

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of ``ru_maxrss``: kilobytes on Linux, bytes on macOS (getrusage(2) of each)."""
_IDLE_FIELDS = (3, 4)
"""Fields of the first line of /proc/stat that count idle time, and time waiting for disks."""
_OWN_FIELDS = 8
"""Number of fields of that line before those of guests, whose time is in the others already."""
_FREE_SHARE = 0.95
"""Share of the free memory that may be used."""


def describe() -> dict[str, str | int]:
    """Describe the machine and the software, on which times depend."""
    threads = {name: os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT")}
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("cpuinfo", "model name")), None
    )
    return {
        "system": platform.platform(),
        "processor": processor or platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        **{name: value for name, value in threads.items() if value},
    }


def busy_s() -> float | None:
    """Return the processor time used on this machine since it started; None if unknown."""
    for line in _lines("stat", "cpu "):
        fields = line.split()[1 : 1 + _OWN_FIELDS]
        ticks = sum(int(field) for at, field in enumerate(fields) if at not in _IDLE_FIELDS)
        return ticks / float(os.sysconf("SC_CLK_TCK"))
    return None


def peak_bytes(pid: int | str) -> int | None:
    """Return the most memory that a process has held; None if unknown."""
    return _bytes(_lines(f"{pid}/status", "VmHWM:"))


def own_peak_bytes() -> int:
    """Return the most memory that this process has held."""
    return peak_bytes("self") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT


def free_bytes() -> int | None:
    """Return the memory that a process may take at the cost of no other; None if unknown."""
    available = _bytes(_lines("meminfo", "MemAvailable:"))
    if available is None:
        return None
    limit, used = (_number(_CGROUP / f"memory.{name}") for name in ("max", "current"))
    if limit is not None and used is not None:
        available = min(available, max(0, limit - used))
    return round(_FREE_SHARE * available)


def _lines(name: str, start: str) -> list[str]:
    try:
        lines = (_PROC / name).read_text().splitlines()
    except OSError:
        return []
    return [line for line in lines if line.startswith(start)]


def _bytes(lines: list[str]) -> int | None:
    # "VmHWM:    12345 kB"
    return 1024 * int(lines[0].split()[1]) if lines else None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        # There is none, or it says "max".
        return None
