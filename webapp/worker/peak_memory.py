"""The most memory that this process held, from a moment on: Linux tells, others do not."""

from contextlib import suppress
from pathlib import Path

_CLEAR_REFS = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"
"""proc_pid_clear_refs(5): resets the peak to what is held now."""
_STATUS = Path("/proc/self/status")
_PEAK = "VmHWM:"


def reset_peak() -> None:
    """Count from now on; where that cannot be, the peak stays that of the whole process."""
    with suppress(OSError):
        _CLEAR_REFS.write_text(_FORGET_PEAK)


def peak_bytes() -> int | None:
    """Most resident memory since then; None where the system does not tell."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    # "VmHWM:     12345 kB"
    kilobytes = next((line.split()[1] for line in lines if line.startswith(_PEAK)), None)
    return None if kilobytes is None else 1024 * int(kilobytes)
