"""What it takes to run a program: time, processor, memory, and who else was busy."""

import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Self

from config import PROJECT_ROOT
from deploy import tether

_PROC_STAT = Path("/proc/stat")
_LOOK_EVERY_S = 0.02
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Kilobytes on Linux, bytes on macOS: getrusage(2) of each."""
_IDLE_FIELDS = (3, 4)
"""Of the first line of /proc/stat: idle, and waiting for disks."""
_OWN_FIELDS = 8
"""Of the same line: what follows counts time of guests, which is in the others already."""
BUSY_SHARE = 0.05
"""Of the machine's processor time: if others used more, wall-clock times mislead."""


@dataclass(frozen=True)
class Took:
    """A program from its start to its end."""

    wall_s: float
    cpu_s: float
    """Of all its threads, in user and kernel."""
    others_cpu_s: float | None
    """Used by all other programs meanwhile; None where the system does not tell."""
    peak_bytes: int

    @property
    def is_disturbed(self) -> bool:
        """Whether others used so much of the processor that the wall-clock time misleads."""
        shared_s = self.wall_s * (os.cpu_count() or 1)
        return self.others_cpu_s is not None and self.others_cpu_s > BUSY_SHARE * shared_s


@dataclass(frozen=True)
class Ended:
    """What became of a program."""

    status: int
    lines: tuple[str, ...]
    """What it printed, on both streams."""
    took: Took


def run_timed(command: Sequence[str], on_line: Callable[[str], None] | None = None) -> Ended:
    """Run a program in the project's folder; it ends with the caller.

    Args:
        command: what to run.
        on_line: gets each line that it prints, as soon as it does.
    """
    lines = []
    began, busy = time.monotonic(), _busy_s()
    with (
        subprocess.Popen(
            [sys.executable, tether.__file__, *command],
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
        _Peak(process.pid) as peak,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - for mypy: it is a pipe
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if on_line is not None:
                    on_line(lines[-1])
            # Only wait4 tells what this one child used; Popen.wait would throw that away.
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            # After a KeyboardInterrupt, Popen itself would give it a quarter of a second only.
            process.wait()
            raise
    wall_s, cpu_s = time.monotonic() - began, used.ru_utime + used.ru_stime
    others_s = None if busy is None else max(0.0, (_busy_s() or busy) - busy - cpu_s)
    # Where nothing was seen: with what whoever started it held at the moment.
    peak_bytes = peak.bytes or used.ru_maxrss * _MAXRSS_UNIT
    return Ended(process.returncode, tuple(lines), Took(wall_s, cpu_s, others_s, peak_bytes))


class _Peak:
    """Looks every moment how much memory a process has held at most.

    What wait4 tells counts the process that started it, too, as it was when it did.
    """

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.bytes = max(self.bytes, _most_bytes(self._status) or 0)
            if self._ended.wait(_LOOK_EVERY_S):
                return


def own_peak_bytes() -> int:
    """Most memory that this process held."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return _most_bytes(Path("/proc/self/status")) or usage.ru_maxrss * _MAXRSS_UNIT


def _most_bytes(status: Path) -> int | None:
    """The most memory that a process held since its program began; None if it does not tell."""
    with suppress(OSError):
        for line in status.read_text().splitlines():
            # "VmHWM:    12345 kB"
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return None


def machine() -> dict[str, str | int]:
    """What times depend on."""
    threads = {name: os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT")}
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        **{name: value for name, value in threads.items() if value},
    }


def _busy_s() -> float | None:
    """Processor time used on this machine since it started."""
    try:
        fields = _PROC_STAT.read_text().partition("\n")[0].split()[1 : 1 + _OWN_FIELDS]
    except OSError:
        return None
    ticks = sum(int(field) for at, field in enumerate(fields) if at not in _IDLE_FIELDS)
    return ticks / float(os.sysconf("SC_CLK_TCK"))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
