"""Forecast of when a painting will be done, fitted to the paintings of this machine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from transfer.planning.forecast import (
    CostModel,
    Forecast,
    TimedRun,
    Workload,
    count_work,
    estimate,
    fit_cost_model,
)
from transfer.settings import Settings
from webapp.extensions import db
from webapp.models import Attempt, Outcome, Painting, State, now
from webapp.orders.schedule import QueuedPainting, queue_order, queued_paintings, recent_usage
from webapp.orders.workers import living_workers

RECENT = 40
"""Number of finished paintings that the cost model is fitted to, latest first."""


@dataclass(frozen=True)
class Eta:
    """Forecast for one painting."""

    ahead: int
    """Number of paintings that are taken before it."""
    wait_s: float
    """Time until a worker takes it."""
    painting_s: float
    """Time from then until it is done."""
    peak_bytes: float
    """Memory that its worker is expected to need."""


def wait_times(ordered: Sequence[QueuedPainting], busy_s: Sequence[float]) -> dict[int, float]:
    """Return the seconds until each queued painting is taken, by painting id.

    Args:
        ordered: queued paintings, in the order in which they are taken.
        busy_s: per worker, seconds that its present painting still takes; empty: one idle worker.
    """
    free_at = sorted(busy_s) or [0.0]
    begins: dict[int, float] = {}
    for item in ordered:
        first = min(range(len(free_at)), key=free_at.__getitem__)
        begins[item.painting_id] = free_at[first]
        free_at[first] += item.seconds
    return begins


def duration_text(seconds: float) -> str:
    """Return a duration as people say it, no more exact than a forecast is."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {5 * round(seconds / 5)} seconds"
    minutes = seconds / 60
    if minutes < 90:
        return f"about {round(minutes)} minutes"
    return f"about {round(minutes / 60)} hours"


def painted_size(height: int, width: int, long_edge_px: int) -> tuple[int, int]:
    """Return height and width in px of the renditions of a picture of this shape."""
    scale = long_edge_px / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def painting_size(painting: Painting) -> tuple[int, int]:
    """Return height and width in px of the painting's renditions."""
    return painted_size(painting.content.height, painting.content.width, painting.long_edge_px)


def fit_recent(database: Session) -> CostModel:
    """Return a cost model of this machine, fitted to the latest finished paintings."""
    rows = database.execute(
        select(Painting, Attempt)
        .join(Attempt, Attempt.painting_id == Painting.id)
        # A resumed attempt painted only the rest: it would make everything look fast.
        .where(Attempt.outcome == Outcome.DONE, Attempt.is_resumed.is_(False))
        .order_by(Attempt.ended_at.desc())
        .options(joinedload(Painting.content), selectinload(Painting.style_links))
        .limit(RECENT)
    )
    return _fit_cached(
        tuple(
            TimedRun(
                _workload(painting),
                (attempt.ended_at - attempt.started_at).total_seconds(),
                attempt.peak_bytes,
            )
            for painting, attempt in rows
            if attempt.ended_at is not None
        )
    )


def painting_eta(painting: Painting) -> Eta:
    """Return the forecast for a queued or running painting."""
    database = db.session()
    device = fit_recent(database)
    own = _estimate_painting(painting, device)
    if State(painting.state) is State.RUNNING:
        return Eta(0, 0.0, _remaining_s(painting, own.seconds), own.peak_bytes)
    ordered, begins = _queue_with_waits(database, device)
    ids = [item.painting_id for item in ordered]
    ahead = ids.index(painting.id) if painting.id in ids else 0
    return Eta(ahead, begins.get(painting.id, 0.0), own.seconds, own.peak_bytes)


def order_eta(user_id: int, settings: Settings, height: int, width: int, styles: int) -> Eta:
    """Return the forecast for a painting in ``styles`` styles that is not ordered yet."""
    database = db.session()
    device = fit_recent(database)
    own = estimate(count_work(settings, height, width, styles=styles), device)
    ordered, begins = _queue_with_waits(database, device, QueuedPainting(-1, user_id, own.seconds))
    ids = [item.painting_id for item in ordered]
    return Eta(ids.index(-1), begins[-1], own.seconds, own.peak_bytes)


def continuation_seconds(painting: Painting, sizes_px: Iterable[int]) -> dict[int, float]:
    """Return the seconds that continuing a finished painting takes, by long edge of the new one."""
    device = fit_recent(db.session())
    seconds = {}
    for long_edge_px in sizes_px:
        size = painted_size(painting.content.height, painting.content.width, long_edge_px)
        settings = replace(painting.settings, long_edge_px=long_edge_px)
        work = count_work(
            settings, *size, styles=_count_styles(painting), base_px=painting.long_edge_px
        )
        seconds[long_edge_px] = estimate(work, device).seconds
    return seconds


# Pages ask once a second, and fitting takes some milliseconds.
_fit_cached = lru_cache(maxsize=2)(fit_cost_model)


def _workload(painting: Painting) -> Workload:
    size, styles = painting_size(painting), _count_styles(painting)
    return count_work(painting.settings, *size, styles=styles, base_px=painting.base_px)


def _count_styles(painting: Painting) -> int:
    return sum(link.weight > 0 for link in painting.style_links)


def _estimate_painting(painting: Painting, device: CostModel) -> Forecast:
    return estimate(_workload(painting), device)


def _queue_with_waits(
    database: Session, device: CostModel, further: QueuedPainting | None = None
) -> tuple[list[QueuedPainting], dict[int, float]]:
    # Pages ask once a second: one query for all that is open, with what their sizes need.
    open_paintings = database.scalars(
        select(Painting)
        .where(Painting.state.in_([State.QUEUED, State.RUNNING]))
        .options(joinedload(Painting.content), selectinload(Painting.style_links))
    )
    expected_s = {
        painting: _estimate_painting(painting, device).seconds for painting in open_paintings
    }
    seconds = {painting.id: each for painting, each in expected_s.items()}
    items = [
        QueuedPainting(item.painting_id, item.user_id, seconds.get(item.painting_id, 0.0))
        for item in queued_paintings(database)
    ]
    if further is not None:
        items.append(further)
    busy = [
        _remaining_s(painting, each)
        for painting, each in expected_s.items()
        if painting.state == State.RUNNING
    ]
    idle = max(0, len(living_workers()) - len(busy))
    ordered = queue_order(items, recent_usage(database, now()))
    return ordered, wait_times(ordered, [*busy, *[0.0] * idle])


def _remaining_s(painting: Painting, expected_s: float) -> float:
    """Return the seconds left of a running painting: by its own pace once that is measurable."""
    done = painting.progress
    painted_here = done - painting.resume_progress
    if painting.started_at is None or painted_here < 0.05:
        return expected_s * (1.0 - done)
    elapsed = (now() - painting.started_at).total_seconds()
    return max(0.0, elapsed / painted_here * (1.0 - done))
