"""Programs of the site as real processes, restarted at once when they end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from config import PROJECT_ROOT
from deploy import parent_death

POLL_EVERY_S = 0.02
_YOUNG_S = 1.0
"""Age below which a process that ended is not restarted yet."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def happens_within(predicate: Callable[[], bool], timeout_s: float, every_s: float = 0.05) -> bool:
    """Wait until ``predicate`` is true, and return whether that was in time."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


class Program:
    """A program of the site, in a process group of its own.

    Args:
        name: for its log.
        command: what to run, in the project's folder.
        environ: its environment; changes take effect at the next start.
        log: where its output is appended.
    """

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.environ = dict(environ)
        self.is_held_down = False
        """True if it is not restarted when it ends."""
        self._command = list(command)
        self._log = log
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int:
        """Process id of the latest process."""
        with self._lock:
            return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Start a process, whatever became of the one before."""
        with self._lock, self._log.open("ab") as log:
            self._started_at = time.monotonic()
            self._process = subprocess.Popen(
                # The tether ends it with the thread that starts it, even if that dies by SIGKILL.
                [sys.executable, parent_death.__file__, *self._command],
                cwd=PROJECT_ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def restart_if_ended(self) -> None:
        """Start the program again if its process has ended."""
        with self._lock:
            is_over = self._process is not None and self._process.poll() is not None
            is_young = time.monotonic() - self._started_at < _YOUNG_S
            if is_over and not is_young and not self.is_held_down:
                self.start()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of the program's processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> float:
        """Send SIGKILL, and return the time at which it was sent, by the wall clock."""
        return self._end(signal.SIGKILL)

    def terminate(self) -> float:
        """Send SIGTERM, and return the time at which the process had ended."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> float:
        # Held, so that nobody starts the next process before this one's end was seen.
        with self._lock:
            process = self._process
            if process is None:
                return time.time()
            sent_at = time.time()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            return sent_at if number is signal.SIGKILL else time.time()

    def cpu_seconds(self) -> float:
        """Return the CPU time of all of the program's processes so far."""
        total = 0
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                # After the name in parentheses: state, parent, group, ...; utime is field 14.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.pid:
                    total += int(fields[11]) + int(fields[12])
        return total / _TICKS_PER_S


class Restarter:
    """A thread that restarts programs until its `with` block ends, and then ends them."""

    def __init__(self, programs: Iterable[Program]) -> None:
        self._programs = list(programs)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="restarter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        for program in reversed(self._programs):
            # One that is stopped would never see another signal.
            program.send(signal.SIGCONT)
            program.kill()

    def _run(self) -> None:
        while not self._ended.wait(POLL_EVERY_S):
            for program in self._programs:
                program.restart_if_ended()
