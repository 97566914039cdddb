"""Warm worker: one process that keeps the backbones loaded and takes tickets."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

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
from webapp.orders.queue import QueueUnreachable, Ticket, TicketRefused, connect, ticket_queue
from webapp.worker import jobs, reaper

logger = logging.getLogger(__name__)

RQ_HEARTBEAT_EVERY_S = 3.0
RQ_HEARTBEAT_TTL_S = 12
"""Time without heartbeat after which RQ takes a ticket for abandoned, four missed ones: six of six
killed workers were noticed after 10 to 13 s."""
MAINTENANCE_EVERY_S = 60
"""Time between rounds of RQ's own maintenance, which forgets tickets of dead workers."""
RECONNECT_EVERY_S = 1.0
_VITAL_THREADS = ("reaper", "heartbeat", "reporter")
"""Prefixes of the names of threads without which a worker must not go on."""
_WORKER_TTL_S = 20
"""Time to live of the worker in Redis; RQ waits for tickets in rounds of this minus 15 s, and
renews it between them."""


def run(app: Flask) -> None:
    """Take tickets until asked to stop, however often Redis goes down in the meantime.

    RQ's loop ends when Redis is gone at the wrong moment. Beginning a new one here keeps the
    weights in memory, where leaving it to the supervisor would load them again.
    """
    config = get_config()
    threading.excepthook = _end_with_thread
    with _reaping(app):
        # The reaper runs already: while weights load, it frees a dead worker's paintings.
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
    """Name the device that paints in the log, and in a file for the start command."""
    logger.info(description)
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text(description)
    except OSError as error:
        logger.warning("the device is not noted in %s: %s", file, error)


def _end_with_thread(ended: threading.ExceptHookArgs) -> None:
    """End the process when a vital thread has ended by an unforeseen error.

    Without its reaper or its heartbeats a worker only seems to live; supervisor starts another,
    which resumes the painting.
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
def _reaping(app: Flask) -> Iterator[None]:
    """Run this process's reaper meanwhile, whether the worker paints or waits."""
    ended = threading.Event()
    own_reaper = reaper.Reaper(jobs.worker_name())
    thread = threading.Thread(
        target=reaper.run_reaper, args=(app, own_reaper, ended), name="reaper", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with app.app_context():
            try:
                workers.mark_stopped(own_reaper.worker)
            except OperationalError as error:
                logger.warning("not marked as stopped: %s", error.orig)


class WarmWorker(SimpleWorker):
    """RQ's in-process worker with heartbeats, and with an end that returns its painting.

    rq 3.0.0's SimpleWorker does not fork, which keeps the weights loaded and CUDA usable, but
    while it works it sends no heartbeats, and SIGTERM waits for the job to end. Here a thread
    sends heartbeats, and SIGTERM has the painting returned to the queue. RQ's stop command stays
    without effect: paintings are cancelled through their rows.
    """

    # Redis being down must not make a worker sleep for a minute at a time.
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
        """Return the seconds without heartbeat after which a ticket counts as abandoned."""
        return RQ_HEARTBEAT_TTL_S

    def handle_warm_shutdown_request(self) -> None:
        """Have the running painting returned to the queue; SIGTERM and Ctrl-C call this."""
        jobs.stop_requested.set()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Ignore a second signal: returning the painting takes one evaluation."""

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Log why a ticket failed; a refused one in a sentence, without traceback."""
        if isinstance(exc_info[1], TicketRefused):
            logger.warning("%s", exc_info[1])
        else:
            super().handle_exception(job, *exc_info)

    def _heartbeat(self, job: Job, execution: Execution, ended: threading.Event) -> None:
        while not ended.wait(RQ_HEARTBEAT_EVERY_S):
            try:
                self.maintain_heartbeats(job, execution)
            except RedisError:
                logger.warning("heartbeat not sent: the queue cannot be reached")
