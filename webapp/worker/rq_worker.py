"""The warm worker: one process that keeps the backbones loaded and takes tickets."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from flask import Flask
from redis import Redis
from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer
from sqlalchemy.exc import OperationalError

from config import device_file
from transfer.device import describe_device
from webapp.extensions import get_config
from webapp.orders import workers
from webapp.orders.queue import QueueUnreachable, Ticket, connect, ticket_queue
from webapp.worker import jobs, reaper

logger = logging.getLogger(__name__)

HEARTBEAT_EVERY_S = 3.0
HEARTBEAT_TTL_S = 12
"""Four missed heartbeats: six of six killed workers were noticed after 10 to 13 s."""
MAINTENANCE_EVERY_S = 60
"""RQ's own upkeep, such as forgetting tickets of dead workers; nothing waits for it."""
RECONNECT_EVERY_S = 1.0
_VITAL_THREADS = ("watchman", "heartbeat", "reporter")
"""Beginnings of names of threads without which a worker must not go on."""
_WORKER_TTL_S = 20
"""RQ waits for tickets in rounds of this minus 15 s, and gives a sign of life between them."""


def run(app: Flask) -> None:
    """Take tickets until told to stop, however often Redis goes away in the meantime.

    RQ's loop ends when Redis is gone at the wrong moment. Beginning a new one here keeps the
    weights in memory, where leaving it to the supervisor would load them again.
    """
    config = get_config()
    threading.excepthook = _end_with_thread
    with _watched(app):
        # Watched already: while the weights are read, what the worker before left is freed.
        with app.app_context():
            _announce(describe_device(jobs.warm_up().device), device_file(config.instance_dir))
        while not jobs.stop_requested.is_set():
            try:
                WarmWorker(app, connect(config.redis_url)).work(logging_level="WARNING")
            except QueueUnreachable as error:
                logger.warning("the queue cannot be reached: %s", error)
            except StopRequested:
                # A signal that came while nobody was listening to the queue.
                return
            time.sleep(RECONNECT_EVERY_S)


def _announce(description: str, file: Path) -> None:
    """Say in the log, and to the start command, which device paints."""
    logger.info(description)
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text(description)
    except OSError as error:
        logger.warning("the device is not noted in %s: %s", file, error)


def _end_with_thread(ended: threading.ExceptHookArgs) -> None:
    """A thread that ends by an error nobody foresaw takes the process along.

    Without its watchman or its heartbeats a worker only seems to live; the supervisor's next one
    has them again, and the painting goes on there.
    """
    name = "" if ended.thread is None else ended.thread.name
    if not name.startswith(_VITAL_THREADS):
        # RQ's own listener to commands, which nothing here sends.
        threading.__excepthook__(ended)
        return
    logger.critical("the thread %s ended by an error; so does this worker", name)
    threading.__excepthook__(ended)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _watched(app: Flask) -> Iterator[None]:
    """Have this process's watchman look around meanwhile, whether it paints or waits."""
    ended = threading.Event()
    watching = reaper.Reaper(jobs.worker_name())
    thread = threading.Thread(
        target=reaper.run_reaper, args=(app, watching, ended), name="watchman", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with app.app_context():
            try:
                workers.mark_stopped(watching.worker)
            except OperationalError as error:
                logger.warning("left without a good-bye: %s", error.orig)


class WarmWorker(SimpleWorker):
    """RQ's in-process worker, with its weak sides closed.

    rq 3.0.0's SimpleWorker does not fork, which keeps the weights loaded and CUDA usable, but
    while it works it sends no heartbeats, and SIGTERM waits for the job to end. Here a thread
    sends heartbeats, and SIGTERM has the painting handed back. RQ's stop command stays without
    effect: paintings are cancelled through their rows.
    """

    # Redis being away must not make a worker sleep for a minute at a time.
    max_connection_wait_time = 1.0

    def __init__(self, app: Flask, connection: Redis) -> None:
        self.app = app
        super().__init__(
            [ticket_queue(connection)],
            connection=connection,
            job_class=Ticket,
            serializer=JSONSerializer,
            maintenance_interval=MAINTENANCE_EVERY_S,
            worker_ttl=_WORKER_TTL_S,
            log_job_description=False,
        )

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a ticket while a thread keeps it from being taken for abandoned."""
        execution = self.prepare_execution(job)
        ended = threading.Event()
        thread = threading.Thread(
            target=self._heartbeat, args=(job, execution, ended), name="heartbeat", daemon=True
        )
        thread.start()
        try:
            with self.app.app_context():
                self.perform_job(job, queue, execution)
        finally:
            ended.set()
            thread.join()
        self.set_state("idle")

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Seconds without heartbeat after which a ticket counts as abandoned."""
        return HEARTBEAT_TTL_S

    def handle_warm_shutdown_request(self) -> None:
        """SIGTERM or Ctrl-C: have the running painting handed back."""
        jobs.stop_requested.set()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal changes nothing: handing back takes one evaluation."""

    def _heartbeat(self, job: Job, execution: Execution, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_EVERY_S):
            try:
                self.maintain_heartbeats(job, execution)
            except RedisError:
                logger.warning("heartbeat not sent: the queue cannot be reached")
