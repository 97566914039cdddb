"""How much memory is free here: Linux tells, others do not."""

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_RESERVE = 0.95
"""Some is left to everything else."""


def free_bytes() -> int | None:
    """What a process may take without others having to give way; None: the system does not tell."""
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return None
    # "MemAvailable:    12345 kB"
    found = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    limit, used = (_number(_CGROUP / f"memory.{name}") for name in ("max", "current"))
    if limit is not None and used is not None:
        found.append(max(0, limit - used))
    return round(_RESERVE * min(found)) if found else None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        # There is none, or it says "max".
        return None
