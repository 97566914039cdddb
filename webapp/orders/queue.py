"""Queue of tickets in Redis, and the only module beside the worker that uses RQ.

A ticket says "there is work", not which work: `schedule` decides that when a worker takes it.
Tickets may be lost, duplicated or late without harm.
"""

from collections.abc import Callable
from typing import Any

from flask import current_app
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from webapp.extensions import get_config

QUEUE_NAME = "paintings"
"""Name of the only queue: with several, RQ pops by BLPOP and can lose a job before its start."""
PAINT_NEXT = "webapp.worker.jobs.paint_next"
_FAILURE_TTL_S = 3600
"""Time for which RQ remembers a ticket whose worker died; only a reader of logs looks there."""
_TIMEOUT_S = 1.0

QueueUnreachable = RedisError
"""Error of a Redis that is down, silent, or full: tickets wait meanwhile."""


class TicketRefused(Exception):
    """Job in the queue that is not one of our tickets."""


class Ticket(Job):
    """RQ job that runs nothing but our own entry point.

    RQ imports and calls any dotted name that a job carries: with plain jobs, whoever can write to
    Redis can run `os.system`. Arguments, callbacks and webhooks are cut off for the same reason.
    """

    @property
    def func(self) -> Callable[..., Any]:
        """Entry point of the worker.

        Raises:
            TicketRefused: if the job names anything else.
        """
        if self.func_name != PAINT_NEXT or self.instance is not None or self.args or self.kwargs:
            raise TicketRefused(
                f"refused a ticket: it names {self.func_name!r}, not {PAINT_NEXT!r}"
            )
        function: Callable[..., Any] = super().func
        return function

    @property
    def success_callback(self) -> None:
        """Tickets have none."""

    @property
    def failure_callback(self) -> None:
        """Tickets have none."""

    @property
    def stopped_callback(self) -> None:
        """Tickets have none."""

    def send_webhooks(self, *_args: object, **_kwargs: object) -> None:
        """Tickets have none."""


def connect(redis_url: str) -> Redis:
    """Return a connection that fails within seconds instead of keeping a page waiting."""
    return Redis.from_url(redis_url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S)


def ticket_queue(connection: Redis) -> Queue:
    """Return the queue of tickets."""
    return Queue(QUEUE_NAME, connection=connection, job_class=Ticket, serializer=JSONSerializer)


def enqueue() -> bool:
    """Issue a ticket for new work; return False if the queue cannot be reached.

    Nothing is lost then: a reaper issues the ticket when Redis is back.
    """
    try:
        _issue(1)
    except QueueUnreachable as error:
        current_app.logger.warning("no ticket issued, the queue cannot be reached: %s", error)
        return False
    return True


def ensure_tickets(wanted: int) -> int:
    """Issue tickets until ``wanted`` are waiting.

    Returns:
        Number of tickets issued.
    """
    missing = max(0, wanted - ticket_queue(_connection()).count)
    _issue(missing)
    return missing


def is_reachable() -> bool:
    """Return whether Redis answers."""
    try:
        return bool(_connection().ping())
    except QueueUnreachable:
        return False


def _connection() -> Redis:
    connection = current_app.extensions.get("pic2paint-redis")
    if connection is None:
        connection = connect(get_config().redis_url)
        current_app.extensions["pic2paint-redis"] = connection
    return connection


def _issue(count: int) -> None:
    queue = ticket_queue(_connection())
    for _ in range(count):
        # No timeout: a large painting may take long, and a dead worker lacks heartbeats.
        queue.enqueue(PAINT_NEXT, job_timeout=-1, result_ttl=0, failure_ttl=_FAILURE_TTL_S)
