"""Faults of the worker, which is killed in every phase, stopped, poisoned and out of memory."""

import resource
import signal
import time
from pathlib import Path

from config import Config
from tests.reliability.processes import Program, happens_within
from tests.reliability.rounds import START_TIMEOUT_S, Round
from tests.reliability.site import COLORS, wall_seconds
from webapp.models import Outcome, State

_SPARE_BYTES = 20_000_000
"""Memory left at most beyond what a worker holds: less than an evaluation takes."""
_LOOK_AGAIN_S = 5.0
"""Time for a continued worker to find out that another has its painting."""


def kill_while_loading(stage: Round) -> None:
    """Kill a worker just after its claim, and the next one while it loads torch."""
    public_id = stage.order(0)
    stage.order(1)
    stage.reach_running(public_id)
    stage.pause(0.3)
    worker = stage.site.worker_of(public_id)
    if worker is None:
        return
    stage.kill(worker)
    first = worker.pid
    happens_within(lambda: worker.pid != first, 10, 0.01)
    stage.pause(3.0)
    stage.kill(worker)


def kill_while_painting(stage: Round) -> None:
    """Kill a worker at a random point of the painting."""
    public_id = stage.order(0)
    stage.order(1)
    worker = _worker_amid(stage, public_id, 0.02, 0.85)
    if worker is not None:
        stage.kill(worker)


def kill_while_writing(stage: Round) -> None:
    """Kill a worker while it writes the files of a rendition, before the row lists them."""
    kind = stage.rng.choice(COLORS).value
    public_id = stage.order(0)
    stage.order(1)
    stage.reach_running(public_id)
    folder = stage.site.storage.preview(public_id).parent

    def is_being_written() -> bool:
        return any(name.lstrip(".").startswith(f"{kind}-") for name in _names(folder))

    if not happens_within(is_being_written, START_TIMEOUT_S, 0.0005):
        stage.note("no file was seen in time")
    stage.pause(0.05)
    _kill_worker_of(stage, public_id)
    stage.note(f"while {kind} was written")


def kill_while_committing(stage: Round) -> None:
    """Kill a worker when the last rendition is listed: about when the row becomes done."""
    public_id = stage.order(0)
    stage.order(1)
    stage.reach_running(public_id)
    worker = stage.site.worker_of(public_id)
    query = (
        "SELECT count(*) AS made FROM rendition JOIN painting ON painting.id = painting_id "
        "WHERE public_id = ?"
    )
    happens_within(
        lambda: stage.site.rows(query, public_id)[0]["made"] == len(COLORS), START_TIMEOUT_S, 0.001
    )
    stage.pause(0.02)
    row = stage.site.painting(public_id)
    if worker is not None:
        stage.kill(worker)
    stage.note(f"the row was {row['state'] if row else 'gone'}")


def terminate_worker(stage: Round) -> None:
    """Send SIGTERM at a random point: the painting is queued again, and no attempt is counted."""
    public_id = stage.order(0)
    stage.order(1)
    worker = _worker_amid(stage, public_id, 0.02, 0.85)
    if worker is None:
        return
    stage.terminate(worker)
    outcomes = [attempt["outcome"] for attempt in stage.site.attempts(public_id)]
    if Outcome.INTERRUPTED in outcomes:
        stage.wrong("lost", "SIGTERM cost an attempt")


def stop_worker(stage: Round) -> None:
    """Stop a worker until another has taken over, and continue it: it may touch nothing."""
    public_id = stage.order(0)
    worker = _worker_amid(stage, public_id, 0.02, 0.7)
    if worker is None:
        return
    loser = stage.site.attempts(public_id)[-1]["id"]
    stopped_at = time.time()
    worker.send(signal.SIGSTOP)
    try:
        time.sleep(60.0 if stage.is_full else 20.0)
        before = stage.site.painting(public_id)
        files = _contents(stage, public_id)
    finally:
        worker.send(signal.SIGCONT)
    time.sleep(_LOOK_AGAIN_S)
    later = [
        wall_seconds(attempt["started_at"])
        for attempt in stage.site.attempts(public_id)
        if attempt["id"] != loser
    ]
    if later:
        stage.result.restart_s = round(min(later) - stopped_at, 2)
    after = stage.site.painting(public_id)
    if before is None or before["attempt_id"] == loser:
        stage.wrong("hanging", "nobody took over while it was stopped")
    elif State(before["state"]).is_final:
        if before != after:
            stage.wrong("doubled", "the stopped worker changed the row")
        if files != _contents(stage, public_id):
            stage.wrong("broken", "the stopped worker changed files")
        stage.note("it was done before the stopped worker went on")
    stage.wait_for_end()
    first = next(a for a in stage.site.attempts(public_id) if a["id"] == loser)
    if first["outcome"] != Outcome.INTERRUPTED:
        stage.wrong("doubled", f"the stopped attempt ended {first['outcome']}")


def poison_workers(stage: Round) -> None:
    """Kill every worker that takes one painting: it must fail, and others be painted."""
    poison = stage.order(0)
    stage.expected[poison] = {State.FAILED}
    stage.order(1)
    killed: set[str] = set()

    def is_over() -> bool:
        row = stage.site.painting(poison)
        if row is None or State(row["state"]).is_final:
            return True
        attempt_id, worker = row["attempt_id"], stage.site.worker_of(poison)
        if attempt_id and attempt_id not in killed and worker is not None:
            killed.add(attempt_id)
            stage.pause(0.5)
            stage.kill(worker)
        return False

    happens_within(is_over, 3 * START_TIMEOUT_S, 0.01)
    stage.order(1)
    row = stage.site.painting(poison)
    if row is None or f"{Config.max_crashes} times" not in (row["failure_reason"] or ""):
        stage.wrong("lost", "the poisonous painting gives no reason")
    if len(killed) != Config.max_crashes:
        stage.wrong("doubled", f"it was tried {len(killed)} times")


def limit_memory(stage: Round) -> None:
    """Limit the memory of a worker that paints: it goes on in less, or fails with a sentence."""
    public_id = stage.order(0)
    stage.expected[public_id] = {State.DONE, State.FAILED}
    worker = _worker_amid(stage, public_id, 0.0, 0.7)
    if worker is None:
        return
    pid = worker.pid
    limit = _private_bytes(pid) + stage.rng.randrange(_SPARE_BYTES)
    usual = resource.prlimit(pid, resource.RLIMIT_DATA)
    resource.prlimit(pid, resource.RLIMIT_DATA, (limit, usual[1]))
    try:
        stage.wait_for_end()
    finally:
        if worker.pid == pid:
            resource.prlimit(pid, resource.RLIMIT_DATA, usual)
    row = stage.site.painting(public_id) or {}
    stage.note(f"{row.get('state')} with {limit / 1e6:.0f} MB")
    if row.get("state") == State.FAILED and "not enough memory" not in (
        row["failure_reason"] or ""
    ):
        stage.wrong("lost", f"it failed for another reason: {row['failure']}")
    if worker.pid != pid:
        stage.wrong("lost", "the worker died of it")
    stage.order(1)


def _private_bytes(pid: int) -> int:
    """Return the private writable memory of a process, which counts against the limit."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmData:"))
    return 1024 * int(line.split()[1])


def damage_checkpoint(stage: Round) -> None:
    """Kill a worker and cut its checkpoint short: the painting must begin anew."""
    public_id = stage.order(0)
    stage.reach_running(public_id, progress=stage.rng.uniform(0.1, 0.6))
    stage.reach(public_id, lambda row: row["checkpoint_attempt_id"] is not None)
    _kill_worker_of(stage, public_id)
    row = stage.site.painting(public_id)
    if row is None or row["checkpoint_attempt_id"] is None:
        stage.note("it had left no checkpoint")
        return
    path = stage.site.storage.checkpoint(public_id, row["checkpoint_attempt_id"])
    data = path.read_bytes()
    path.write_bytes(data[: stage.rng.randrange(len(data))])


def _worker_amid(stage: Round, public_id: str, least: float, most: float) -> Program | None:
    """Wait for a random point between two parts of a painting, and return its worker, if any."""
    stage.reach_running(public_id, progress=stage.rng.uniform(least, most))
    stage.pause(1.0)
    return _worker_of(stage, public_id)


def _worker_of(stage: Round, public_id: str) -> Program | None:
    worker = stage.site.worker_of(public_id)
    if worker is None:
        stage.note("the painting was over before")
    return worker


def _kill_worker_of(stage: Round, public_id: str) -> None:
    worker = _worker_of(stage, public_id)
    if worker is not None:
        stage.kill(worker)


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def _contents(stage: Round, public_id: str) -> dict[str, bytes]:
    folder = stage.site.storage.preview(public_id).parent
    return {path.name: path.read_bytes() for path in folder.iterdir()}
