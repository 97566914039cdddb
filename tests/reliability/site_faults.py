"""Faults of disk, database, clock and web, and a chaos of kills."""

import contextlib
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path

from tests.reliability.processes import happens_within
from tests.reliability.queue_faults import logged_in_visitor
from tests.reliability.rounds import NotPossible, Round
from tests.reliability.site import LONG_EDGE_PX
from tests.reliability.visitor import Answer
from transfer.settings import Rendition
from webapp.models import Outcome, State
from webapp.orders import place

_DISK_BYTES = 16_000_000
_LIMITED_BYTES = 60_000
"""Limit of a file's size where nothing can be mounted: less than a rendition has."""
_FULL_S = 25.0
_LOCK_S = 10.0
_LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""
_HOUR_S = 3600
_CHAOS_PAINTINGS = 200
_FEW_CHAOS_PAINTINGS = 12
_CHAOS_LONG_EDGE_PX = 64
_CHAOS_BATCH = 5
"""Paintings ordered at once between two kills."""
_BETWEEN_KILLS_S = (1.0, 5.0)
_LONGEST_CHAOS_S = 900.0
_AFTER_CHAOS_S = 60.0
"""Time within which all must have ended once nothing is killed any more."""


def fill_disk(stage: Round) -> None:
    """Fill the disk during paintings, make room again, and retry those that failed."""
    with _small_disk(stage) as (fill, make_room):
        public_ids = [stage.order(user) for user in (0, 1)]
        stage.reach_running(public_ids[0], progress=stage.rng.uniform(0.0, 0.6))
        stage.pause(1.0)
        fill()
        for public_id in public_ids:
            stage.expected[public_id] = {State.DONE, State.FAILED}
        # Where the database cannot be written either, nothing ends before there is room.
        has_ended = stage.wait_for_end(_FULL_S)
        stage.check_files()
        make_room()
        if not has_ended:
            stage.wait_for_end()
        for public_id in public_ids:
            row = stage.site.painting(public_id)
            if row is not None and row["state"] == State.FAILED:
                stage.note(f"failed: {row['failure'][:20]}...; retried")
                stage.site.change(public_id, place.retry)
                stage.site.offer_ticket()
            stage.expected[public_id] = {State.DONE}
        stage.wait_for_end()
        stage.check()


def lock_database(stage: Round) -> None:
    """Hold the database's write lock for 10 s in another process."""
    public_id = stage.order(0)
    stage.order(1)
    stage.reach_running(public_id, progress=stage.rng.uniform(0.02, 0.6))
    stage.pause(1.0)
    command = [sys.executable, "-c", _LOCKER, str(stage.site.database), str(_LOCK_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as locker:
        assert locker.stdout is not None
        locker.stdout.readline()
        page = logged_in_visitor(stage).get("/")
        if page.status != 200:
            stage.wrong("broken", f"a page was answered with status {page.status}")


def leave_debris(stage: Round) -> None:
    """Put half a rendition under the running attempt's name, and leftovers beside it."""
    public_id = stage.order(0)
    stage.order(1)
    stage.reach_running(public_id)
    attempt_id = stage.site.attempts(public_id)[-1]["id"]
    folder = stage.site.storage.preview(public_id).parent
    folder.mkdir(parents=True, exist_ok=True)
    half = b"\x89PNG\r\n\x1a\n" + stage.rng.randbytes(2000)
    (folder / f"styled-{attempt_id}.png").write_bytes(half)
    (folder / f"styled-{attempt_id}-320.webp").write_bytes(b"RIFF")
    (folder / f".styled-{attempt_id}.png.0badcafe.part").write_bytes(half)
    (folder / f"luminance-{'0' * 32}.png").write_bytes(half)


def step_clock(stage: Round) -> None:
    """Set one worker's clock an hour ahead or back while it paints, then right again."""
    library = _faketime_library()
    steps = stage.site.folder / "clock"
    _set_clock(steps, 0)
    worker = stage.site.workers[1]
    ordinary = dict(worker.environ)
    worker.environ |= {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(steps),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    hours = 1 if stage.result.number % 2 else -1
    try:
        worker.terminate()
        stage.site.wait_for_workers()
        public_ids = [stage.order(user) for user in (0, 1)]
        happens_within(lambda: all(map(stage.site.attempts, public_ids)), 30)
        stage.pause(2.0)
        _set_clock(steps, hours * _HOUR_S)
        stage.note(f"{hours:+d} h")
        time.sleep(3.0)
        stage.order(0)
        stage.wait_for_end()
        _set_clock(steps, 0)
        stage.order(1)
        stage.wait_for_end()
    finally:
        worker.environ = ordinary
        worker.terminate()
        stage.site.wait_for_workers()
    for public_id in stage.expected:
        if Outcome.INTERRUPTED in [a["outcome"] for a in stage.site.attempts(public_id)]:
            stage.wrong("doubled", f"{public_id} was taken from a living worker")


def send_form_twice(stage: Round) -> None:
    """Send the same form twice at the same moment, which must make one painting."""
    visitor = logged_in_visitor(stage)
    form = visitor.studio_form(
        stage.site.picture_ids[stage.site.user_ids[1]], stage.rng.randrange(2**31), LONG_EDGE_PX
    )
    before = _count(stage)
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(visitor.send("/studio", form)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    public_ids = {answer.painting_id for answer in answers}
    if len(answers) != 2 or None in public_ids:
        stage.wrong("lost", f"answered with {[answer.status for answer in answers]}")
    _expect_one(stage, before, public_ids - {None})


def kill_web(stage: Round) -> None:
    """Kill all web processes around a POST, and send the form again as a browser would."""
    visitor = logged_in_visitor(stage)
    form = visitor.studio_form(
        stage.site.picture_ids[stage.site.user_ids[1]], stage.rng.randrange(2**31), LONG_EDGE_PX
    )
    before = _count(stage)
    delay_s = stage.rng.uniform(0.0, 0.12)

    def kill_soon() -> None:
        time.sleep(delay_s)
        stage.site.web.kill()

    killer = threading.Thread(target=kill_soon)
    killer.start()
    first = _send(stage, form)
    killer.join()
    stage.note("answered first" if first else "not answered first")
    found: list[Answer] = []

    def is_answered() -> bool:
        answer = _send(stage, form)
        if answer is not None:
            found.append(answer)
        return bool(found)

    if not happens_within(is_answered, 60, 0.2):
        stage.wrong("hanging", "the site did not come back")
    public_ids = {answer.painting_id for answer in [*found, *([first] if first else [])]}
    if None in public_ids:
        stage.wrong("lost", "the form was refused when it was sent again")
    _expect_one(stage, before, public_ids - {None})


def kill_everything(stage: Round) -> None:
    """Kill workers, Redis and web at random, every few seconds, until all paintings have ended."""
    site = stage.site
    programs = [*site.workers, site.redis, site.web]
    kills = dict.fromkeys((program.name for program in programs), 0)
    to_order = _CHAOS_PAINTINGS if stage.is_full else _FEW_CHAOS_PAINTINGS
    deadline = time.monotonic() + _LONGEST_CHAOS_S
    while time.monotonic() < deadline:
        for _ in range(min(_CHAOS_BATCH, to_order)):
            public_id = stage.order(
                stage.rng.randrange(2), colors=[Rendition.STYLED], long_edge_px=_CHAOS_LONG_EDGE_PX
            )
            # A painting whose worker was killed three times fails, and says so.
            stage.expected[public_id] = {State.DONE, State.FAILED}
            to_order -= 1
        if stage.wait_for_end(stage.rng.uniform(*_BETWEEN_KILLS_S)) and not to_order:
            break
        victim = stage.rng.choice(programs)
        victim.kill()
        kills[victim.name] += 1
    if not stage.wait_for_end(_AFTER_CHAOS_S):
        stage.note(f"not all had ended {_AFTER_CHAOS_S:.0f} s after the last kill")
    states = [(site.painting(public_id) or {}).get("state") for public_id in stage.expected]
    told = ", ".join(f"{name} {count}" for name, count in kills.items())
    stage.note(f"killed: {told}; {states.count('done')} done, {states.count('failed')} failed")


@contextlib.contextmanager
def _small_disk(stage: Round) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Mount a small disk for paintings; yields two actions that fill it and make room again."""
    folder = stage.site.config.files_dir / "paintings"
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={_DISK_BYTES},mode=700"
    command = ["mount", "-t", "tmpfs", "-o", options, "pic2paint-faults", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        reason = done.stderr.strip().partition("\n")[0]
    except FileNotFoundError as error:
        done, reason = None, str(error)
    if done is None or done.returncode != 0:
        stage.note(f"not mounted ({reason}): the size of the workers' files was limited instead")
        yield (
            lambda: _limit_files(stage, _LIMITED_BYTES),
            lambda: _limit_files(stage, resource.RLIM_INFINITY),
        )
        return
    filler = folder / "filler"
    try:
        yield lambda: _fill(filler, stage.rng.randrange(200_000)), filler.unlink
    finally:
        # A worker may still be deleting what is left over.
        happens_within(lambda: subprocess.run(["umount", str(folder)]).returncode == 0, 10)


def _fill(filler: Path, leave_bytes: int) -> None:
    """Fill the disk but for ``leave_bytes``."""
    disk = os.statvfs(filler.parent)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - leave_bytes)


def _limit_files(stage: Round, limit_bytes: int) -> None:
    for worker in stage.site.workers:
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (limit_bytes, hard))


def _faketime_library() -> Path:
    for folder in (Path("/usr/lib"), Path("/usr/local/lib")):
        for library in sorted(folder.glob("**/faketime/libfaketimeMT.so.1")):
            return library
    raise NotPossible("libfaketime is not installed (Debian: apt install faketime)")


def _set_clock(steps: Path, seconds: int) -> None:
    new = steps.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    new.replace(steps)


def _send(stage: Round, form: dict[str, str]) -> Answer | None:
    try:
        return logged_in_visitor(stage).send("/studio", form)
    except (OSError, HTTPException):
        # Refused, reset, or ended in the middle of the answer.
        return None


def _count(stage: Round) -> int:
    count: int = stage.site.rows("SELECT count(*) AS n FROM painting")[0]["n"]
    return count


def _expect_one(stage: Round, before: int, public_ids: set[str | None]) -> None:
    for public_id in public_ids:
        if public_id is not None:
            stage.expected[public_id] = {State.DONE}
    stage.wait_for_end()
    added = _count(stage) - before
    if added > 1:
        stage.wrong("doubled", f"one form made {added} paintings")
    elif added < 1:
        stage.wrong("lost", "the form made no painting")
