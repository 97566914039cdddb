"""Programs run with their time, processor time and memory, and the load of all others."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from benchmarks.common.machine import MAXRSS_UNIT, busy_s, peak_bytes
from config import PROJECT_ROOT
from deploy import parent_death

_POLL_EVERY_S = 0.02
BUSY_SHARE = 0.05
"""Share of the machine's processor time beyond which others' use makes wall-clock times mislead."""


@dataclass(frozen=True)
class Took:
    """Time, processor time and memory of a program from its start to its end."""

    wall_s: float
    cpu_s: float
    """Processor time of all its threads, in user and kernel."""
    others_cpu_s: float | None
    """Processor time of all other programs meanwhile; None where the system does not tell."""
    peak_bytes: int

    @property
    def is_disturbed(self) -> bool:
        """True if others used so much of the processor that the wall-clock time misleads."""
        shared_s = self.wall_s * (os.cpu_count() or 1)
        return self.others_cpu_s is not None and self.others_cpu_s > BUSY_SHARE * shared_s


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    status: int
    lines: tuple[str, ...]
    """Lines that it printed, on both streams."""
    took: Took

    @property
    def last_words(self) -> str:
        """End of an error's sentence: its status and the last line that it printed."""
        said = next((line for line in reversed(self.lines) if line.strip()), "nothing")
        return f"ended with status {self.status} and last said: {said}"


def run_timed(command: Sequence[str], on_line: Callable[[str], None] | None = None) -> Ended:
    """Run a program in the project's folder; it ends with the caller.

    Args:
        command: what to run.
        on_line: gets each line that it prints, as soon as it does.
    """
    lines = []
    began, busy = time.monotonic(), busy_s()
    with (
        subprocess.Popen(
            [sys.executable, parent_death.__file__, *command],
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
        _PeakWatcher(process.pid) as peak,
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
    others_s = None if busy is None else max(0.0, (busy_s() or busy) - busy - cpu_s)
    # Where nothing was seen: including what the caller held when it started the program.
    most_bytes = peak.bytes or used.ru_maxrss * MAXRSS_UNIT
    return Ended(process.returncode, tuple(lines), Took(wall_s, cpu_s, others_s, most_bytes))


class _PeakWatcher:
    """A thread that polls the most memory that a process has held.

    What wait4 tells counts the process that started it, too, as it was when it did.
    """

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, peak_bytes(self._pid) or 0)
            if self._ended.wait(_POLL_EVERY_S):
                return
