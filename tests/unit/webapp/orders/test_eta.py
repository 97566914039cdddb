"""Tests of forecasts: what is fitted to paintings, and what people are shown."""

import random
from datetime import timedelta

import pytest
from flask import Flask

from tests.unit.webapp.rows import make_painting, make_user
from transfer.planning.forecast import (
    CostModel,
    TimedRun,
    Workload,
    count_work,
    estimate,
    fit_cost_model,
)
from transfer.settings import Effort, Rendition, Settings
from webapp.extensions import db, write_transaction
from webapp.models import Attempt, Outcome, PaintingStyle, State, new_public_id, now
from webapp.orders import eta, schedule
from webapp.orders.eta import wait_times
from webapp.orders.schedule import QueuedPainting
from webapp.views import painting


@pytest.mark.parametrize(
    ("seconds", "busy", "estimate"),
    [
        pytest.param([10, 20, 30], [], [0, 10, 30], id="one free worker"),
        pytest.param([10, 20, 30], [5], [5, 15, 35], id="one busy worker"),
        pytest.param([10, 20, 30, 5], [0, 0], [0, 0, 10, 20], id="two workers"),
        pytest.param([10, 10], [7, 100], [7, 17], id="one of them is busy for long"),
        pytest.param([], [3], [], id="an empty line"),
    ],
)
def test_queued_paintings_are_taken_by_the_first_free_worker(
    seconds: list[float], busy: list[float], estimate: list[float]
) -> None:
    line = [QueuedPainting(number, 1, each) for number, each in enumerate(seconds)]
    assert list(wait_times(line, busy).values()) == estimate


def test_forecasts_hold_in_an_hour_of_mixed_paintings() -> None:
    # Against a simulation of what the workers do, with times that scatter by a tenth.
    source = random.Random(5)
    kinds = [(Effort.DRAFT, 256), (Effort.STANDARD, 512), (Effort.FINE, 256), (Effort.DRAFT, 1024)]
    true = CostModel(seconds=(0.8, 0.004, 0.3, 2.2, 0.1))

    def asked(effort: Effort, edge: int) -> Workload:
        settings = Settings(long_edge_px=edge, effort=effort, renditions=tuple(Rendition))
        return count_work(settings, edge, edge)

    def took(effort: Effort, edge: int) -> float:
        return estimate(asked(effort, edge), true).seconds * source.uniform(0.9, 1.1)

    history = []
    for _ in range(40):
        kind = source.choice(kinds)
        history.append(TimedRun(asked(*kind), took(*kind)))
    found = fit_cost_model(history)

    queued: list[QueuedPainting] = []
    actual: dict[int, float] = {}
    while sum(actual.values()) < 3600:
        kind = source.choice(kinds)
        number = len(queued)
        seconds = estimate(asked(*kind), found).seconds
        queued.append(QueuedPainting(number, source.randrange(3), seconds))
        actual[number] = took(*kind)
    waits_s = wait_times(schedule.queue_order(queued, {}), [0.0])

    clock, left = 0.0, list(queued)
    used: dict[int, float] = {}
    errors = []
    while left:
        item = schedule.next_painting(left, used)
        assert item is not None
        left.remove(item)
        seconds = actual[item.painting_id]
        used[item.user_id] = used.get(item.user_id, 0.0) + seconds
        clock += seconds
        errors.append((clock, abs(waits_s[item.painting_id] + item.seconds - clock) / clock))
    # Two people's turns may change places when a painting takes a little longer than expected:
    # one painting more or less matters in the first minutes, and hardly afterwards.
    assert max(error for finish, error in errors if finish > 300) < 0.25
    assert sorted(error for _, error in errors)[len(errors) * 9 // 10] < 0.25


def finished(user_id: int, seconds: float, **values: object) -> None:
    painted = make_painting(user_id, state=State.DONE)
    with write_transaction() as database:
        database.add(
            Attempt(
                id=new_public_id(),
                painting_id=painted.id,
                user_id=user_id,
                worker="w",
                started_at=now() - timedelta(seconds=seconds),
                ended_at=now(),
                outcome=Outcome.DONE,
                **values,
            )
        )


def test_the_sentence_names_waiting_and_painting_times(site: Flask) -> None:
    ada, ben = make_user("ada"), make_user("ben")
    finished(ada, 30)
    finished(ada, 2, is_resumed=True)
    first, second = make_painting(ben), make_painting(ben)
    assert (
        painting.queue_text(first) == "It is next in line; painting it then takes about 30 seconds."
    )
    assert painting.queue_text(second) == (
        "One painting is ahead of yours, its turn comes in about 30 seconds; "
        "painting it then takes about 30 seconds."
    )
    claim = schedule.claim("w")
    assert claim is not None
    assert painting.queue_text(db.session.get_one(type(first), first.id)) == (
        "Done in about 30 seconds."
    )


def test_forecasts_are_fitted_to_paintings_of_this_machine(site: Flask) -> None:
    ada = make_user("ada")
    assert eta.fit_recent(db.session()) == CostModel()
    before = eta.painting_eta(make_painting(ada))

    for _ in range(3):
        finished(ada, 4 * before.painting_s, peak_bytes=round(2 * before.peak_bytes))
    # It went on from a checkpoint, so it tells nothing.
    finished(ada, 1, is_resumed=True)

    after = eta.painting_eta(make_painting(ada))
    assert after.painting_s == pytest.approx(4 * before.painting_s, rel=0.1)
    assert after.peak_bytes == pytest.approx(2 * before.peak_bytes, rel=0.25)


def test_styles_of_weight_zero_take_no_time(site: Flask) -> None:
    ada = make_user("ada")
    one, two, three = (make_painting(ada) for _ in range(3))
    with write_transaction() as database:
        for painted, weight in ((two, 0.0), (three, 1.0)):
            style = PaintingStyle(
                painting_id=painted.id,
                position=5,
                picture_id=painted.style_links[0].picture_id,
                weight=weight,
            )
            database.add(style)
    db.session.expire_all()

    times = [eta.painting_eta(painted).painting_s for painted in (one, two, three)]
    assert times[0] == times[1] < times[2]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds"),
        (42, "about 40 seconds"),
        (119, "about 2 minutes"),
        (3000, "about 50 minutes"),
        (7300, "about 2 hours"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds: float, words: str) -> None:
    assert eta.duration_text(seconds) == words
