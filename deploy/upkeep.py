"""What is done about programs that supervisor has given up on while the site runs."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

RETRY_EVERY_S = 30.0
"""Supervisor tries five times with growing pauses, then gives up; this long after that it is asked
to try again. Whatever is wrong may be mended meanwhile, and the rest of the site goes on."""


class Starter(Protocol):
    """Starts a program by name."""

    def start(self, name: str) -> None:
        """Start it, without waiting until it is up."""


class Upkeep:
    """Keeps asking for programs that do not stay up, and says so once per program and time.

    Args:
        starter: supervisor.
        log_of: where a program's log is.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        starter: Starter,
        log_of: Callable[[str], Path],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._starter = starter
        self._log_of = log_of
        self._clock = clock
        self._retry_at: dict[str, float] = {}

    def look(self, states: Mapping[str, str]) -> None:
        """One round, with the state of each program in supervisor's words."""
        for name, state in states.items():
            if state == "RUNNING":
                self._retry_at.pop(name, None)
            elif state == "FATAL":
                self._tend(name)

    def _tend(self, name: str) -> None:
        moment = self._clock()
        if name not in self._retry_at:
            print(
                f"The {name} process does not stay up; the site goes on without it. "
                f"See {self._log_of(name)}",
                file=sys.stderr,
                flush=True,
            )
        elif moment >= self._retry_at[name]:
            self._starter.start(name)
        else:
            return
        self._retry_at[name] = moment + RETRY_EVERY_S
