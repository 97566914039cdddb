"""Peak memory of this process since a moment; only Linux reports it."""

from contextlib import suppress
from pathlib import Path

_CLEAR_REFS = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"
"""Text that resets the peak to the present resident memory; see proc_pid_clear_refs(5)."""
_STATUS = Path("/proc/self/status")
_PEAK = "VmHWM:"


def reset_peak() -> None:
    """Reset the peak; where that is not possible, it stays that of the whole process."""
    with suppress(OSError):
        _CLEAR_REFS.write_text(_FORGET_PEAK)


def peak_bytes() -> int | None:
    """Return the peak resident memory since the reset; None where the system reports none."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    # "VmHWM:     12345 kB"
    kilobytes = next((line.split()[1] for line in lines if line.startswith(_PEAK)), None)
    return None if kilobytes is None else 1024 * int(kilobytes)
