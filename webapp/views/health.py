"""Health checks: for `/healthz`, for Prometheus, and for `flask status`."""

from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, jsonify
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from werkzeug.wrappers import Response

from webapp.extensions import csrf, db, get_config, get_storage, limiter
from webapp.models import Attempt, Outcome, Painting, State, now
from webapp.orders import queue, schedule
from webapp.orders.workers import living_workers

bp = Blueprint("health", __name__)
# Monitoring asks often and sends no forms.
csrf.exempt(bp)
limiter.exempt(bp)


@dataclass(frozen=True)
class Report:
    """Results of the health checks, in words and numbers."""

    is_well: bool
    """True if people can order paintings and a worker paints them."""
    findings: dict[str, str]
    """Sentences by the name of the check."""
    numbers: dict[str, float]
    """Metric name without prefix -> value."""


def check_health() -> Report:
    """Check the database, Redis, the disk, the workers and the queue."""
    findings: dict[str, str] = {}
    numbers: dict[str, float] = {}
    is_database_well = _check_database(findings, numbers)
    is_queue_well = queue.is_reachable()
    findings["redis"] = "ok" if is_queue_well else "cannot be reached"
    numbers["redis_up"] = float(is_queue_well)
    is_disk_well = _check_disk(findings, numbers)
    is_well = is_database_well and is_queue_well and is_disk_well and numbers["workers"] > 0
    return Report(is_well, findings, numbers)


@bp.get("/healthz")
def healthz() -> tuple[Response, int]:
    """Answer 200 if the site is well, else 503; the body has the findings."""
    report = check_health()
    return jsonify(well=report.is_well, **report.findings), 200 if report.is_well else 503


@bp.get("/metrics")
def metrics() -> Response:
    """Return the numbers in Prometheus' text format."""
    lines = []
    for name, value in sorted(check_health().numbers.items()):
        family = f"pic2paint_{name}"
        lines += [f"# TYPE {family.split('{')[0]} gauge", f"{family} {value:g}"]
    # One TYPE line a family, however many labels it has.
    unique = list(dict.fromkeys(lines))
    return Response("\n".join(unique) + "\n", mimetype="text/plain; version=0.0.4")


def _check_database(findings: dict[str, str], numbers: dict[str, float]) -> bool:
    try:
        by_state = (
            select(Painting.state, func.count())
            .where(Painting.state.in_([State.QUEUED, State.RUNNING]))
            .group_by(Painting.state)
        )
        counts = {row[0]: row[1] for row in db.session.execute(by_state)}
        workers = living_workers()
        is_paused = schedule.is_paused()
        crash_count = db.session.scalar(
            select(func.count()).select_from(Attempt).where(Attempt.outcome == Outcome.INTERRUPTED)
        )
        oldest = db.session.scalar(
            select(func.min(Painting.queued_at)).where(Painting.state == State.QUEUED)
        )
        db.session.rollback()
    except OperationalError as error:
        findings["database"] = f"cannot be used: {error.orig}"
        numbers.update(database_up=0.0, workers=0.0)
        return False
    findings["database"] = "ok"
    # No names of workers: everybody who reaches the site can read this.
    findings["workers"] = (
        f"{len(workers)} alive, seen {', '.join(_ago(worker.seen_at) for worker in workers)}"
        if workers
        else "none is alive"
    )
    findings["queue"] = (
        f"{counts.get(State.QUEUED, 0)} waiting, {counts.get(State.RUNNING, 0)} being painted"
        + (", paused" if is_paused else "")
    )
    numbers.update(
        {
            "database_up": 1.0,
            "workers": float(len(workers)),
            "paused": float(is_paused),
            'paintings{state="queued"}': float(counts.get(State.QUEUED, 0)),
            'paintings{state="running"}': float(counts.get(State.RUNNING, 0)),
            "interrupted_attempts": float(crash_count or 0),
            "oldest_waiting_seconds": 0.0 if oldest is None else (now() - oldest).total_seconds(),
        }
    )
    return True


def _check_disk(findings: dict[str, str], numbers: dict[str, float]) -> bool:
    storage = get_storage()
    least = get_config().min_free_bytes
    try:
        free = storage.free_bytes()
    except OSError as error:
        findings["disk"] = f"cannot be used: {error.strerror}"
        numbers["disk_free_bytes"] = 0.0
        return False
    numbers["disk_free_bytes"] = float(free)
    findings["disk"] = f"{free / 1e9:.1f} GB free" + (
        "" if free >= least else f"; below {least / 1e9:.1f} GB nothing new is accepted"
    )
    return free >= least


def _ago(moment: datetime) -> str:
    return f"{max(0, round((now() - moment).total_seconds()))} s ago"
