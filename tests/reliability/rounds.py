"""A round: its orders, the fault's tools, and the checks that everything ended as it must."""

import contextlib
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from tests.reliability.processes import Program, happens_within
from tests.reliability.site import COLORS, LONG_EDGE_PX, Site, wall_seconds
from transfer.settings import Rendition
from webapp.models import Outcome, State
from webapp.storage.thumbnails import RENDITION_EDGES_PX

END_TIMEOUT_S = 150
START_TIMEOUT_S = 60
_SETTLE_TIMEOUT_S = 5.0
"""Time for the last leftovers to be deleted after the row says "done"."""
_WATCH_EVERY_S = 0.004


@dataclass
class Result:
    """A row of the report: one round's counts and times."""

    fault: str
    number: int
    lost: int = 0
    doubled: int = 0
    hanging: int = 0
    broken: int = 0
    """Listed files that do not open as listed, and files that nobody lists."""
    lost_work_s: float | None = None
    """Most work, in seconds, that one worker's end cost."""
    restart_s: float | None = None
    """Longest time from a worker's end to the next attempt."""
    redis_back_s: float | None = None
    """Time from Redis's return to the next attempt."""
    interrupted: int = 0
    """Number of attempts that ended as interrupted."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    is_run: bool = True

    @property
    def is_good(self) -> bool:
        """True if nothing was lost, doubled, hanging or broken."""
        return not (self.lost or self.doubled or self.hanging or self.broken)


@dataclass(frozen=True)
class End:
    """The end of a worker that had a painting."""

    public_id: str
    attempt_id: str
    at: float
    """Time by the wall clock, as seconds since the epoch."""
    stored_at: float
    """Time of the attempt's last checkpoint; its start, if it has none."""


class NotPossible(Exception):
    """The fault cannot be injected on this machine; the message says what is missing."""


class Round:
    """One round of one fault: its random numbers, its orders and its result."""

    def __init__(self, site: Site, fault: str, number: int, seed: str, *, is_full: bool) -> None:
        self.site = site
        self.rng = random.Random(seed)
        self.is_full = is_full
        self.result = Result(fault, number)
        self.expected: dict[str, set[State] | None] = {}
        """Public id -> the states in which the painting may end; None if it must be gone."""
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
        """Order a painting that must be done in the end."""
        public_id = self.site.order(
            user, self.rng, colors=colors, long_edge_px=long_edge_px, has_ticket=has_ticket
        )
        self.expected[public_id] = {State.DONE}
        return public_id

    def note(self, text: str) -> None:
        """Add a remark to the report."""
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
        """Wait until a painting passes a test, and return whether it did before it ended."""
        is_seen = False

        def is_over() -> bool:
            nonlocal is_seen
            row = self.site.painting(public_id)
            is_seen = row is not None and test(row)
            return is_seen or row is None or State(row["state"]).is_final

        happens_within(is_over, timeout_s, _WATCH_EVERY_S)
        return is_seen

    def reach_running(self, public_id: str, *, progress: float = 0.0) -> bool:
        """Wait until a worker has painted this much of it, and return whether one did."""
        return self.reach(
            public_id, lambda row: row["state"] == State.RUNNING and row["progress"] >= progress
        )

    def pause(self, longest_s: float) -> None:
        """Wait for a random time."""
        time.sleep(self.rng.uniform(0.0, longest_s))

    def kill(self, worker: Program) -> None:
        """Send SIGKILL to a worker, and note which painting it had."""
        self._note_ends(worker.pid, worker.kill())

    def terminate(self, worker: Program) -> None:
        """Send SIGTERM to a worker, and note how long it took to end."""
        pid, asked_at = worker.pid, time.time()
        ended_at = worker.terminate()
        self.note(f"ended {ended_at - asked_at:.1f} s after SIGTERM")
        self._note_ends(pid, ended_at)

    def await_redis(self) -> None:
        """Wait until Redis answers again; the start of the next attempt is timed from then."""
        if not happens_within(self.site.is_redis_up, START_TIMEOUT_S):
            self.wrong("hanging", "Redis did not come back")
        self._redis_back_at = time.time()

    def wait_for_end(self, timeout_s: float = END_TIMEOUT_S) -> bool:
        """Wait until every painting has ended, and return whether that was in time."""

        def is_over() -> bool:
            rows = [self.site.painting(public_id) for public_id in self.expected]
            return all(row is None or State(row["state"]).is_final for row in rows)

        return happens_within(is_over, timeout_s, 0.1)

    def check_files(self) -> None:
        """Check the files of every painting that has ended."""
        for public_id in self.expected:
            row = self.site.painting(public_id)
            if row is not None and State(row["state"]).is_final:
                self._check_files(public_id, row, State(row["state"]))

    def check(self) -> None:
        """Check everything that was ordered, once; call it when all has ended."""
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
                if row["checkpoint_attempt_id"] == attempt["id"]:
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
        if state is State.DONE and sorted(kinds) != sorted(json.loads(row["rendition_names"])):
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
            for edge_px in RENDITION_EDGES_PX:
                path = self.site.storage.rendition_thumbnail(public_id, kind, attempt_id, edge_px)
                wanted.add(path)
                self._check_image(path, (1, 1), (min(edge_px, size[0]), min(edge_px, size[1])))
        if row["animation_attempt_id"] is not None:
            path = self.site.storage.animation(public_id, row["animation_attempt_id"])
            wanted.add(path)
            self._check_image(path, (1, 1), (row["long_edge_px"], row["long_edge_px"]))
        elif state is State.DONE:
            self.wrong("lost", f"{public_id} has no animation")
        if row["optimizer_attempt_id"] is not None:
            path = self.site.storage.optimizer(public_id, row["optimizer_attempt_id"])
            wanted.add(path)
            if not path.is_file() or path.stat().st_size != row["optimizer_bytes"]:
                self.wrong(
                    "broken", f"{path.name} has not the {row['optimizer_bytes']} bytes listed"
                )
        happens_within(lambda: self._files(public_id) <= wanted, _SETTLE_TIMEOUT_S)
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
