"""How long paintings take, learned from those that were painted here; and when one's turn comes."""

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
"""Finished paintings that are learned from, latest first."""


@dataclass(frozen=True)
class Eta:
    """When a painting will be done."""

    ahead: int
    """Paintings that are taken before it."""
    wait_s: float
    """Until it is taken."""
    painting_s: float
    """From then until it is done."""
    peak_bytes: float
    """Memory that its worker is expected to need."""


def wait_times(ordered: Sequence[QueuedPainting], busy_s: Sequence[float]) -> dict[int, float]:
    """Seconds until each painting of the line is taken.

    Args:
        ordered: the line, in the order in which it is taken.
        busy_s: per worker, how long it still paints what it has; empty: one worker, free.
    """
    free_at = sorted(busy_s) or [0.0]
    begins: dict[int, float] = {}
    for item in ordered:
        first = min(range(len(free_at)), key=free_at.__getitem__)
        begins[item.painting_id] = free_at[first]
        free_at[first] += item.seconds
    return begins


def duration_text(seconds: float) -> str:
    """A duration as people say it, no more exact than a forecast is."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {5 * round(seconds / 5)} seconds"
    minutes = seconds / 60
    if minutes < 90:
        return f"about {round(minutes)} minutes"
    return f"about {round(minutes / 60)} hours"


def painted_size(height: int, width: int, long_edge_px: int) -> tuple[int, int]:
    """Height and width, px, of renditions of a picture of this shape."""
    scale = long_edge_px / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def painting_size(painting: Painting) -> tuple[int, int]:
    """Height and width of the painting's renditions, px."""
    return painted_size(painting.content.height, painting.content.width, painting.long_edge_px)


def fit_recent(database: Session) -> CostModel:
    """What the latest paintings tell of the machine that they were painted on."""
    rows = database.execute(
        select(Painting, Attempt)
        .join(Attempt, Attempt.painting_id == Painting.id)
        # A resumed attempt painted only the rest: it would make everything look fast.
        .where(Attempt.outcome == Outcome.DONE, Attempt.is_resumed.is_(False))
        .order_by(Attempt.ended_at.desc())
        .options(joinedload(Painting.content), selectinload(Painting.style_links))
        .limit(RECENT)
    )
    return _learned(
        tuple(
            TimedRun(
                _work(painting),
                (attempt.ended_at - attempt.started_at).total_seconds(),
                attempt.peak_bytes,
            )
            for painting, attempt in rows
            if attempt.ended_at is not None
        )
    )


def painting_eta(painting: Painting) -> Eta:
    """When this painting will be done, be it queued or running."""
    database = db.session()
    device = fit_recent(database)
    own = _expected(painting, device)
    if State(painting.state) is State.RUNNING:
        return Eta(0, 0.0, _rest(painting, own.seconds), own.peak_bytes)
    ordered, begins = _line(database, device)
    ids = [item.painting_id for item in ordered]
    ahead = ids.index(painting.id) if painting.id in ids else 0
    return Eta(ahead, begins.get(painting.id, 0.0), own.seconds, own.peak_bytes)


def order_eta(user_id: int, settings: Settings, height: int, width: int, styles: int) -> Eta:
    """The same for a painting in so many styles that is not ordered yet."""
    database = db.session()
    device = fit_recent(database)
    own = estimate(count_work(settings, height, width, styles=styles), device)
    ordered, begins = _line(database, device, QueuedPainting(-1, user_id, own.seconds))
    ids = [item.painting_id for item in ordered]
    return Eta(ids.index(-1), begins[-1], own.seconds, own.peak_bytes)


def continuation_seconds(painting: Painting, sizes_px: Iterable[int]) -> dict[int, float]:
    """Seconds that painting on from a finished painting takes, by long edge of the new one."""
    device = fit_recent(db.session())
    seconds = {}
    for long_edge_px in sizes_px:
        size = painted_size(painting.content.height, painting.content.width, long_edge_px)
        settings = replace(painting.settings, long_edge_px=long_edge_px)
        asked = count_work(
            settings, *size, styles=_styles_of(painting), base_px=painting.long_edge_px
        )
        seconds[long_edge_px] = estimate(asked, device).seconds
    return seconds


# Pages ask once a second, and learning takes some milliseconds.
_learned = lru_cache(maxsize=2)(fit_cost_model)


def _work(painting: Painting) -> Workload:
    size, styles = painting_size(painting), _styles_of(painting)
    return count_work(painting.settings, *size, styles=styles, base_px=painting.base_px)


def _styles_of(painting: Painting) -> int:
    return sum(link.weight > 0 for link in painting.style_links)


def _expected(painting: Painting, device: CostModel) -> Forecast:
    return estimate(_work(painting), device)


def _line(
    database: Session, device: CostModel, further: QueuedPainting | None = None
) -> tuple[list[QueuedPainting], dict[int, float]]:
    # Pages ask once a second: one query for all that is open, with what their sizes need.
    found = database.scalars(
        select(Painting)
        .where(Painting.state.in_([State.QUEUED, State.RUNNING]))
        .options(joinedload(Painting.content), selectinload(Painting.style_links))
    )
    expected_s = {painting: _expected(painting, device).seconds for painting in found}
    seconds = {painting.id: each for painting, each in expected_s.items()}
    items = [
        QueuedPainting(item.painting_id, item.user_id, seconds.get(item.painting_id, 0.0))
        for item in queued_paintings(database)
    ]
    if further is not None:
        items.append(further)
    busy = [
        _rest(painting, each)
        for painting, each in expected_s.items()
        if painting.state == State.RUNNING
    ]
    idle = max(0, len(living_workers()) - len(busy))
    ordered = queue_order(items, recent_usage(database, now()))
    return ordered, wait_times(ordered, [*busy, *[0.0] * idle])


def _rest(painting: Painting, expected_s: float) -> float:
    """What is left of a running painting: by its own pace once that can be told."""
    done = painting.progress
    painted_here = done - painting.resume_progress
    if painting.started_at is None or painted_here < 0.05:
        return expected_s * (1.0 - done)
    elapsed = (now() - painting.started_at).total_seconds()
    return max(0.0, elapsed / painted_here * (1.0 - done))
