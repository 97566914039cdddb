"""One round: what was ordered, what was done to it, and whether all of it ended as it must."""

import contextlib
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.faultlib.processes import Program, wait_until
from benchmarks.faultlib.site import COLORS, LONG_EDGE_PX, Site, wall_seconds
from transfer.settings import Rendition
from webapp.models import Outcome, State
from webapp.storage import THUMBNAIL_EDGES_PX

END_TIMEOUT_S = 150
START_TIMEOUT_S = 60
_SETTLE_TIMEOUT_S = 5.0
"""The row says "done" a moment before the last leftovers are deleted."""
_WATCH_EVERY_S = 0.004


@dataclass
class Result:
    """A row of the report."""

    fault: str
    number: int
    lost: int = 0
    doubled: int = 0
    hanging: int = 0
    broken: int = 0
    """Listed files that do not open as listed, and files that nobody lists."""
    lost_work_s: float | None = None
    """The most that one worker's end cost."""
    restart_s: float | None = None
    """The longest from a worker's end to the next attempt."""
    redis_back_s: float | None = None
    """From Redis's return to the next attempt."""
    interrupted: int = 0
    """Attempts that counted as broken off."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    is_run: bool = True

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled, hanging or broken."""
        return not (self.lost or self.doubled or self.hanging or self.broken)


@dataclass(frozen=True)
class End:
    """A worker that was ended while it had a painting."""

    public_id: str
    attempt_id: str
    at: float
    """By the wall clock."""
    stored_at: float
    """When it last stored something to go on from; when it began, if it never did."""


class NotPossible(Exception):
    """This fault cannot be made on this machine; the message says what is missing."""


class Round:
    """What a fault has at hand."""

    def __init__(self, site: Site, fault: str, number: int, seed: str, *, is_full: bool) -> None:
        self.site = site
        self.rng = random.Random(seed)  # noqa: S311  nothing secret is drawn
        self.is_full = is_full
        self.result = Result(fault, number)
        self.expected: dict[str, set[State] | None] = {}
        """Public id -> the states it may end in; None: it is gone."""
        self._ends: list[End] = []
        self._is_checked = False
        self._redis_back_at: float | None = None

    def order(
        self,
        user: int,
        *,
        colors: Sequence[Rendition] = COLORS,
        long_edge_px: int = LONG_EDGE_PX,
        has_ticket: bool = True,
    ) -> str:
        """Order a painting that is to be done in the end."""
        public_id = self.site.order(
            user, self.rng, colors=colors, long_edge_px=long_edge_px, has_ticket=has_ticket
        )
        self.expected[public_id] = {State.DONE}
        return public_id

    def note(self, text: str) -> None:
        """Something to read beside the numbers."""
        self.result.notes.append(text)

    def wrong(self, kind: str, text: str) -> None:
        """Count something as "lost", "doubled", "hanging" or "broken"."""
        setattr(self.result, kind, getattr(self.result, kind) + 1)
        self.note(f"{kind}: {text}")

    def reach(
        self,
        public_id: str,
        test: Callable[[dict[str, Any]], bool],
        timeout_s: float = START_TIMEOUT_S,
    ) -> bool:
        """Whether a painting came to pass a test before it ended, watched closely."""
        is_seen = False

        def is_over() -> bool:
            nonlocal is_seen
            row = self.site.painting(public_id)
            is_seen = row is not None and test(row)
            return is_seen or row is None or State(row["state"]).is_final

        wait_until(is_over, timeout_s, _WATCH_EVERY_S)
        return is_seen

    def reach_running(self, public_id: str, *, progress: float = 0.0) -> bool:
        """Whether a worker came to have it, and as far as this."""
        return self.reach(
            public_id, lambda row: row["state"] == State.RUNNING and row["progress"] >= progress
        )

    def pause(self, longest_s: float) -> None:
        """Wait for a random time."""
        time.sleep(self.rng.uniform(0.0, longest_s))

    def kill(self, worker: Program) -> None:
        """SIGKILL a worker, and note what it had."""
        self._note_ends(worker.pid, worker.kill())

    def terminate(self, worker: Program) -> None:
        """SIGTERM a worker, and note how long it took."""
        pid, asked_at = worker.pid, time.time()
        ended_at = worker.terminate()
        self.note(f"ended {ended_at - asked_at:.1f} s after SIGTERM")
        self._note_ends(pid, ended_at)

    def redis_is_back(self) -> None:
        """Note that Redis answers again; what starts next is timed."""
        if not wait_until(self.site.is_redis_up, START_TIMEOUT_S):
            self.wrong("hanging", "Redis did not come back")
        self._redis_back_at = time.time()

    def wait_for_end(self, timeout_s: float = END_TIMEOUT_S) -> bool:
        """Whether every painting ended in time."""

        def is_over() -> bool:
            rows = [self.site.painting(public_id) for public_id in self.expected]
            return all(row is None or State(row["state"]).is_final for row in rows)

        return wait_until(is_over, timeout_s, 0.1)

    def check_files(self) -> None:
        """Look at the files of what was ordered, whatever became of it."""
        for public_id in self.expected:
            row = self.site.painting(public_id)
            if row is not None and State(row["state"]).is_final:
                self._check_files(public_id, row, State(row["state"]))

    def check(self) -> None:
        """Look at everything that was ordered, once it has ended."""
        if self._is_checked:
            return
        self._is_checked = True
        for public_id, states in self.expected.items():
            self._check_painting(public_id, states)
        self._check_database()
        self._measure()

    def _note_ends(self, pid: int, at: float) -> None:
        for public_id in self.expected:
            row = self.site.painting(public_id)
            for attempt in self.site.attempts(public_id):
                is_its_own = int(attempt["worker"].rpartition(":")[2]) == pid
                was_open = attempt["ended_at"] is None or attempt["outcome"] == Outcome.RETURNED
                if row is None or not is_its_own or not was_open:
                    continue
                if attempt["outcome"] == Outcome.RETURNED:
                    # It painted until then, not until its process ended.
                    at = wall_seconds(attempt["ended_at"])
                stored_at = wall_seconds(attempt["started_at"])
                if row["checkpoint_id"] == attempt["id"]:
                    path = self.site.storage.checkpoint(public_id, attempt["id"])
                    with contextlib.suppress(FileNotFoundError):
                        stored_at = max(stored_at, path.stat().st_mtime)
                self._ends.append(End(public_id, attempt["id"], at, stored_at))

    def _check_painting(self, public_id: str, states: set[State] | None) -> None:
        row = self.site.painting(public_id)
        if row is None or states is None:
            if states is not None:
                self.wrong("lost", f"{public_id} has no row")
            elif row is not None:
                self.wrong("lost", f"{public_id} is {row['state']}, but was removed")
            elif self._files(public_id):
                self.wrong("broken", f"{public_id} was removed, but has files")
            return
        state = State(row["state"])
        if not state.is_final:
            self.wrong("hanging", f"{public_id} is {state.value}")
            return
        if state not in states:
            self.wrong("lost", f"{public_id} ended {state.value}: {row['failure']}")
        attempts = self.site.attempts(public_id)
        outcomes = [attempt["outcome"] for attempt in attempts]
        self.result.interrupted += outcomes.count(Outcome.INTERRUPTED)
        if outcomes.count(None):
            self.wrong("hanging", f"{public_id} has an attempt without end")
        if outcomes.count(Outcome.DONE) != (state is State.DONE):
            self.wrong("doubled", f"{public_id} ended {state.value} after {outcomes}")
        self._check_files(public_id, row, state)

    def _check_files(self, public_id: str, row: dict[str, Any], state: State) -> None:
        listed = self.site.rows("SELECT * FROM rendition WHERE painting_id = ?", row["id"])
        kinds = [made["kind"] for made in listed]
        if state is State.DONE and sorted(kinds) != sorted(json.loads(row["colors"])):
            self.wrong("lost", f"{public_id} lists {kinds}")
        wanted: set[Path] = set()
        for made in listed:
            kind, attempt_id = Rendition(made["kind"]), made["attempt_id"]
            size = made["width"], made["height"]
            path = self.site.storage.rendition(public_id, kind, attempt_id)
            wanted.add(path)
            if max(size) != row["long_edge_px"]:
                self.wrong("broken", f"{public_id} lists {kind.value} as {size}")
            self._check_image(path, size, size)
            for edge_px in THUMBNAIL_EDGES_PX:
                path = self.site.storage.rendition_thumbnail(public_id, kind, attempt_id, edge_px)
                wanted.add(path)
                self._check_image(path, (1, 1), (min(edge_px, size[0]), min(edge_px, size[1])))
        if row["animation_id"] is not None:
            path = self.site.storage.animation(public_id, row["animation_id"])
            wanted.add(path)
            self._check_image(path, (1, 1), (row["long_edge_px"], row["long_edge_px"]))
        elif state is State.DONE:
            self.wrong("lost", f"{public_id} has no animation")
        if row["state_id"] is not None:
            path = self.site.storage.optimizer(public_id, row["state_id"])
            wanted.add(path)
            if not path.is_file() or path.stat().st_size != row["state_bytes"]:
                self.wrong("broken", f"{path.name} has not the {row['state_bytes']} bytes listed")
        wait_until(lambda: self._files(public_id) <= wanted, _SETTLE_TIMEOUT_S)
        for path in sorted(self._files(public_id) - wanted):
            self.wrong("broken", f"nobody lists {path.name}")

    def _check_image(self, path: Path, least: tuple[int, int], most: tuple[int, int]) -> None:
        try:
            with Image.open(path) as image:
                image.load()
        except OSError as error:
            self.wrong("broken", f"{path.name}: {error}")
            return
        if not (least[0] <= image.width <= most[0] and least[1] <= image.height <= most[1]):
            self.wrong("broken", f"{path.name} is {image.size}, listed as {most}")

    def _files(self, public_id: str) -> set[Path]:
        folder = self.site.storage.preview(public_id).parent
        return set(folder.iterdir()) if folder.is_dir() else set()

    def _check_database(self) -> None:
        for check in ("integrity_check", "foreign_key_check"):
            found = [list(row.values()) for row in self.site.rows(f"PRAGMA {check}")]
            if found not in ([], [["ok"]]):
                self.wrong("broken", f"{check}: {found}")
        open_rows = self.site.rows(
            "SELECT public_id, state FROM painting WHERE state IN ('queued', 'running')"
        )
        for row in open_rows:
            if row["public_id"] not in self.expected:
                self.wrong("doubled", f"nobody ordered {row['public_id']}, {row['state']}")

    def _measure(self) -> None:
        for end in self._ends:
            self._longest("lost_work_s", end.at - end.stored_at)
            began = [wall_seconds(a["started_at"]) for a in self.site.attempts(end.public_id)]
            later = [moment for moment in began if moment > end.at]
            if later:
                self._longest("restart_s", min(later) - end.at)
        if self._redis_back_at is not None:
            began = [
                wall_seconds(attempt["started_at"])
                for public_id in self.expected
                for attempt in self.site.attempts(public_id)
            ]
            later = [moment for moment in began if moment > self._redis_back_at]
            if later:
                self._longest("redis_back_s", min(later) - self._redis_back_at)

    def _longest(self, name: str, seconds: float) -> None:
        before = getattr(self.result, name)
        seconds = round(max(0.0, seconds), 2)
        setattr(self.result, name, seconds if before is None else max(before, seconds))
