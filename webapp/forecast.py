"""How long paintings take, learned from those that were painted here; and when one's turn comes.

A painting's time is close to proportional to its evaluations' pixels. What is learned is seconds
per unit of that work, by what is painted with what; what was not painted here yet borrows the
speed of what was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from transfer.pyramid import expected_cost
from transfer.settings import Settings
from webapp.extensions import db
from webapp.models import Attempt, Outcome, Painting, State, now
from webapp.schedule import Waiting, line, used_lately, waiting
from webapp.watch import living_workers

RECENT = 40
"""Finished paintings that the speed is learned from, latest first."""
_LIKE = 8
"""Of the like ones, so many latest decide: a new machine is noticed soon."""
FIRST_GUESS_S_PER_COST = 1.3e-6
"""As measured on two CPU cores (512 px, standard effort); used until a painting is finished."""


@dataclass(frozen=True)
class Kind:
    """What paintings of one speed have in common."""

    effort: str
    backbone: str


@dataclass(frozen=True)
class Speed:
    """Seconds per unit of expected cost."""

    by_kind: dict[Kind, float]
    overall: float

    def seconds(self, settings: Settings, height: int, width: int) -> float:
        """How long painting a picture of this size is expected to take."""
        kind = Kind(settings.effort.value, settings.backbone.value)
        per_cost = self.by_kind.get(kind, self.overall)
        return per_cost * expected_cost(settings, height, width)


@dataclass(frozen=True)
class Outlook:
    """When a painting will be done."""

    ahead: int
    """Paintings that are taken before it."""
    wait_s: float
    """Until it is taken."""
    painting_s: float
    """From then until it is done."""


def learn(samples: Iterable[tuple[Kind, float, float]]) -> Speed:
    """Speeds from ``(kind, cost, seconds)`` of finished paintings, latest first."""
    rates: dict[Kind, list[float]] = {}
    everything: list[float] = []
    for kind, cost, seconds in samples:
        if cost > 0:
            rates.setdefault(kind, []).append(seconds / cost)
            everything.append(seconds / cost)
    return Speed(
        {kind: median(latest[:_LIKE]) for kind, latest in rates.items()},
        median(everything) if everything else FIRST_GUESS_S_PER_COST,
    )


def waits(ordered: Sequence[Waiting], busy_s: Sequence[float]) -> dict[int, float]:
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


def in_words(seconds: float) -> str:
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


def known_speed(database: Session) -> Speed:
    """What the latest paintings here tell."""
    rows = database.execute(
        select(Painting, Attempt.started_at, Attempt.ended_at)
        .join(Attempt, Attempt.painting_id == Painting.id)
        # A resumed attempt painted only the rest: it would make everything look fast.
        .where(Attempt.outcome == Outcome.DONE, Attempt.is_resumed.is_(False))
        .order_by(Attempt.ended_at.desc())
        .options(joinedload(Painting.content), selectinload(Painting.style_links))
        .limit(RECENT)
    )
    return learn(
        (
            Kind(painting.effort, painting.backbone),
            expected_cost(painting.settings, *painting_size(painting)),
            (ended_at - started_at).total_seconds(),
        )
        for painting, started_at, ended_at in rows
        if ended_at is not None
    )


def outlook(painting: Painting) -> Outlook:
    """When this painting will be done, be it queued or running."""
    database = db.session()
    speed = known_speed(database)
    own = speed.seconds(painting.settings, *painting_size(painting))
    if State(painting.state) is State.RUNNING:
        return Outlook(0, 0.0, _rest(painting, own))
    ordered, begins = _line(database, speed)
    ids = [item.painting_id for item in ordered]
    ahead = ids.index(painting.id) if painting.id in ids else 0
    return Outlook(ahead, begins.get(painting.id, 0.0), own)


def outlook_for(user_id: int, settings: Settings, height: int, width: int) -> Outlook:
    """The same for a painting that is not ordered yet."""
    database = db.session()
    speed = known_speed(database)
    own = speed.seconds(settings, height, width)
    ordered, begins = _line(database, speed, Waiting(-1, user_id, own))
    ids = [item.painting_id for item in ordered]
    return Outlook(ids.index(-1), begins[-1], own)


def _line(
    database: Session, speed: Speed, further: Waiting | None = None
) -> tuple[list[Waiting], dict[int, float]]:
    # Pages ask once a second: one query for all that is open, with what their sizes need.
    found = database.scalars(
        select(Painting)
        .where(Painting.state.in_([State.QUEUED, State.RUNNING]))
        .options(joinedload(Painting.content), selectinload(Painting.style_links))
    )
    expected = {
        painting: speed.seconds(painting.settings, *painting_size(painting)) for painting in found
    }
    seconds = {painting.id: each for painting, each in expected.items()}
    items = [
        Waiting(item.painting_id, item.user_id, seconds.get(item.painting_id, 0.0))
        for item in waiting(database)
    ]
    if further is not None:
        items.append(further)
    busy = [
        _rest(painting, each)
        for painting, each in expected.items()
        if painting.state == State.RUNNING
    ]
    idle = max(0, len(living_workers()) - len(busy))
    ordered = line(items, used_lately(database, now()))
    return ordered, waits(ordered, [*busy, *[0.0] * idle])


def _rest(painting: Painting, expected_s: float) -> float:
    """What is left of a running painting: by its own pace once that can be told."""
    done = painting.progress
    painted_here = done - painting.resumed_at_progress
    if painting.started_at is None or painted_here < 0.05:
        return expected_s * (1.0 - done)
    elapsed = (now() - painting.started_at).total_seconds()
    return max(0.0, elapsed / painted_here * (1.0 - done))
