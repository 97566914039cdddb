"""Faults of the queue: of Redis, and of the tickets in it."""

import contextlib
import signal
import time
from collections.abc import Iterator

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from tests.reliability.processes import happens_within
from tests.reliability.rounds import Round
from tests.reliability.site import LONG_EDGE_PX, PASSWORD, USERS
from tests.reliability.visitor import Visitor
from webapp.models import State
from webapp.orders import place, schedule
from webapp.orders.purge import delete_paintings
from webapp.orders.queue import QUEUE_NAME

_OUTAGE_S = 60.0
_SHORT_OUTAGE_S = 15.0


def kill_redis(stage: Round) -> None:
    """Send SIGKILL to Redis, which restarts after a moment, and order meanwhile."""
    _outage(stage, signal.SIGKILL)


def terminate_redis(stage: Round) -> None:
    """Send SIGTERM to Redis, which restarts after a moment, and order meanwhile."""
    _outage(stage, signal.SIGTERM)


def flush_redis(stage: Round) -> None:
    """Flush Redis while two paintings run and two wait."""
    public_ids = [stage.order(user) for user in (0, 1, 0, 1)]
    stage.reach_running(public_ids[0])
    stage.pause(4.0)
    with Redis.from_url(stage.site.config.redis_url) as client:
        client.flushall()
        flushed_at = time.monotonic()
        happens_within(lambda: client.llen(f"rq:queue:{QUEUE_NAME}") > 0, 20, 0.02)
        stage.note(f"tickets issued anew after {time.monotonic() - flushed_at:.1f} s")


def remove_redis(stage: Round) -> None:
    """End Redis for a minute, during a painting and while somebody orders at the site."""
    redis = stage.site.redis
    public_id = stage.order(0)
    visitor = logged_in_visitor(stage)
    stage.reach_running(public_id)
    stage.pause(3.0)
    redis.is_held_down = True
    redis.kill()
    try:
        _order_without_redis(stage, visitor)
    finally:
        redis.is_held_down = False
    stage.await_redis()


def silence_redis(stage: Round) -> None:
    """Stop Redis for a minute: it accepts connections, and answers nothing."""
    redis = stage.site.redis
    public_id = stage.order(0)
    visitor = logged_in_visitor(stage)
    stage.reach_running(public_id)
    stage.pause(3.0)
    redis.send(signal.SIGSTOP)
    try:
        _order_without_redis(stage, visitor)
    finally:
        redis.send(signal.SIGCONT)
    stage.await_redis()


def fill_redis(stage: Round) -> None:
    """Have Redis refuse to store anything, as when its memory or its disk is full."""
    public_id = stage.order(0)
    visitor = logged_in_visitor(stage)
    stage.reach_running(public_id)
    stage.pause(3.0)
    with Redis.from_url(stage.site.config.redis_url) as client:
        client.config_set("maxmemory", 1)
        try:
            _order_without_redis(stage, visitor, has_sentence=False)
        finally:
            client.config_set("maxmemory", 0)
    stage.await_redis()


def double_tickets(stage: Round) -> None:
    """Enqueue ten tickets too many for each painting."""
    for user in (0, 1):
        stage.order(user)
    with _plain_queue(stage) as tickets:
        for _ in range(20):
            tickets.enqueue("webapp.worker.jobs.paint_next", job_timeout=-1, result_ttl=0)
        stage.wait_for_end()
        if not happens_within(lambda: tickets.count == 0, 30):
            stage.wrong("hanging", f"{tickets.count} tickets were left")


def invent_tickets(stage: Round) -> None:
    """Enqueue jobs that name `os.system`, another function of ours, and ours with arguments."""
    trace = stage.site.folder / f"trace-{stage.result.number}"
    with _plain_queue(stage) as tickets:
        tickets.enqueue("os.system", f"touch {trace}")
        tickets.enqueue("webapp.orders.place.schedule.set_paused", kwargs={"paused": True})
        tickets.enqueue("webapp.worker.jobs.paint_next", 1)
        stage.order(0)
        stage.order(1)
        stage.wait_for_end()
        if not happens_within(lambda: tickets.count == 0, 30):
            stage.wrong("hanging", f"{tickets.count} tickets were left")
    with stage.site.app.app_context():
        is_paused = schedule.is_paused()
    if trace.exists() or is_paused:
        stage.wrong("broken", "an invented ticket was carried out")


def orphan_tickets(stage: Round) -> None:
    """Leave tickets of paintings that were cancelled, moved to the trash, and removed for good."""
    site = stage.site
    for worker in site.workers:
        worker.send(signal.SIGSTOP)
    try:
        cancelled, trashed, removed = (stage.order(user) for user in (0, 1, 0))
        stage.order(1)
        stage.expected[cancelled] = stage.expected[trashed] = {State.CANCELLED}
        stage.expected[removed] = None
        for public_id in (cancelled, trashed, removed):
            site.change(public_id, place.cancel)
        for public_id in (trashed, removed):
            site.change(public_id, place.move_to_trash)
        site.change(removed, lambda painting: delete_paintings([painting.id]))
    finally:
        for worker in site.workers:
            worker.send(signal.SIGCONT)
    stage.wait_for_end()
    for public_id in (cancelled, trashed):
        if site.attempts(public_id):
            stage.wrong("doubled", f"{public_id} was painted after it was cancelled")


def _outage(stage: Round, number: signal.Signals) -> None:
    redis = stage.site.redis
    public_id = stage.order(0)
    stage.reach_running(public_id)
    stage.pause(4.0)
    redis.is_held_down = True
    try:
        redis.kill() if number is signal.SIGKILL else redis.terminate()
        stage.order(1)
        stage.pause(2.0)
    finally:
        redis.is_held_down = False
    stage.await_redis()


def _order_without_redis(stage: Round, visitor: Visitor, *, has_sentence: bool = True) -> None:
    """Order at the site and request its pages during an outage, and wait until its end."""
    ends_at = time.monotonic() + (_OUTAGE_S if stage.is_full else _SHORT_OUTAGE_S)
    pictures = stage.site.picture_ids[stage.site.user_ids[1]]
    form = visitor.studio_form(pictures, stage.rng.randrange(2**31), LONG_EDGE_PX)
    answer = visitor.send("/studio", form)
    if answer.painting_id is None:
        stage.wrong("lost", f"the order was answered with status {answer.status}")
    else:
        stage.expected[answer.painting_id] = {State.DONE}
    if has_sentence and "cannot be reached" not in answer.text:
        stage.wrong("lost", "the page does not say that the painting waits for the queue")
    slowest = 0.0
    for path in ("/", "/studio", "/trash", "/log-in"):
        page = visitor.get(path)
        slowest = max(slowest, page.seconds)
        if page.status >= 500:
            stage.wrong("broken", f"{path} was answered with status {page.status}")
    stage.note(f"order answered in {answer.seconds:.1f} s, pages in at most {slowest:.1f} s")
    time.sleep(max(0.0, ends_at - time.monotonic()))


def logged_in_visitor(stage: Round) -> Visitor:
    """Return the second user's one session: to log in for each round would meet the limit."""
    known = stage.site.app.extensions.get("visitor")
    if not isinstance(known, Visitor):
        known = Visitor.log_in(stage.site.url, USERS[1], PASSWORD)
        stage.site.app.extensions["visitor"] = known
    return known


@contextlib.contextmanager
def _plain_queue(stage: Round) -> Iterator[Queue]:
    """Open the queue as a stranger does who can write to Redis."""
    with Redis.from_url(stage.site.config.redis_url) as client:
        yield Queue(QUEUE_NAME, connection=client, serializer=JSONSerializer)
