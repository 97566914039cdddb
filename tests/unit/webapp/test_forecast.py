"""What is learned from paintings, and what is told to people."""

import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask

from config import Config
from tests.unit.webapp.rows import make_painting, make_user
from transfer.pyramid import expected_cost
from transfer.settings import Effort, Rendition, Settings
from webapp import create_app, forecast, painting, schedule
from webapp.extensions import db, writing
from webapp.forecast import Kind, learn, waits
from webapp.models import Attempt, Outcome, State, new_public_id, now
from webapp.schedule import Waiting


@pytest.fixture
def site(config: Config) -> Iterator[Flask]:
    app = create_app(config)
    with app.app_context():
        db.create_all()
        yield app


DRAFT, FINE = Kind("draft", "auto"), Kind("fine", "auto")


def test_speeds_are_learned_by_kind_and_borrowed_where_unknown() -> None:
    speed = learn([(DRAFT, 10.0, 20.0), (DRAFT, 10.0, 22.0), (DRAFT, 10.0, 300.0)])
    settings = Settings(effort=Effort.DRAFT)
    assert speed.seconds(settings, 64, 64) == 2.2 * expected_cost(settings, 64, 64)
    other = Settings(effort=Effort.FINE)
    assert speed.seconds(other, 64, 64) == 2.2 * expected_cost(other, 64, 64)


def test_the_latest_paintings_decide() -> None:
    # A faster machine: eight new ones outweigh thirty old ones.
    speed = learn([(DRAFT, 1.0, 1.0)] * 8 + [(DRAFT, 1.0, 9.0)] * 30)
    assert speed.by_kind[DRAFT] == 1.0


def test_before_the_first_painting_there_is_a_guess() -> None:
    assert learn([]).overall == forecast.FIRST_GUESS_S_PER_COST


@pytest.mark.parametrize(
    ("seconds", "busy", "expected"),
    [
        pytest.param([10, 20, 30], [], [0, 10, 30], id="one free worker"),
        pytest.param([10, 20, 30], [5], [5, 15, 35], id="one busy worker"),
        pytest.param([10, 20, 30, 5], [0, 0], [0, 0, 10, 20], id="two workers"),
        pytest.param([10, 10], [7, 100], [7, 17], id="one of them is busy for long"),
        pytest.param([], [3], [], id="an empty line"),
    ],
)
def test_the_line_is_worked_off_by_whoever_is_free_first(
    seconds: list[float], busy: list[float], expected: list[float]
) -> None:
    line = [Waiting(number, 1, each) for number, each in enumerate(seconds)]
    assert list(waits(line, busy).values()) == expected


def test_finish_times_hold_in_an_hour_of_mixed_paintings() -> None:
    # Against a simulation of what the workers do, with times that scatter by a tenth.
    source = random.Random(5)
    kinds = [(Effort.DRAFT, 256), (Effort.STANDARD, 512), (Effort.FINE, 256), (Effort.DRAFT, 1024)]
    true_rate = {Effort.DRAFT: 2e-7, Effort.STANDARD: 3e-7, Effort.FINE: 2.5e-7}

    def took(effort: Effort, edge: int) -> float:
        settings = Settings(long_edge_px=edge, effort=effort, renditions=tuple(Rendition))
        cost = expected_cost(settings, edge, edge)
        return cost * true_rate[effort] * source.uniform(0.9, 1.1)

    history = []
    for _ in range(40):
        effort, edge = source.choice(kinds)
        settings = Settings(long_edge_px=edge, effort=effort, renditions=tuple(Rendition))
        cost = expected_cost(settings, edge, edge)
        history.append((Kind(effort.value, "auto"), cost, took(effort, edge)))
    speed = learn(history)

    queued, actual = [], {}
    while sum(actual.values()) < 3600:
        effort, edge = source.choice(kinds)
        number = len(queued)
        settings = Settings(long_edge_px=edge, effort=effort, renditions=tuple(Rendition))
        queued.append(Waiting(number, source.randrange(3), speed.seconds(settings, edge, edge)))
        actual[number] = took(effort, edge)
    told = waits(schedule.line(queued, {}), [0.0])

    clock, left, used = 0.0, list(queued), {}
    errors = []
    while left:
        item = schedule.first_in_line(left, used)
        assert item is not None
        left.remove(item)
        seconds = actual[item.painting_id]
        used[item.user_id] = used.get(item.user_id, 0.0) + seconds
        clock += seconds
        errors.append((clock, abs(told[item.painting_id] + item.seconds - clock) / clock))
    # Two people's turns may change places when a painting takes a little longer than expected:
    # one painting more or less matters in the first minutes, and hardly afterwards.
    assert max(error for finish, error in errors if finish > 300) < 0.25
    assert sorted(error for _, error in errors)[len(errors) * 9 // 10] < 0.25


def finished(user_id: int, seconds: float, **values: object) -> None:
    painted = make_painting(user_id, state=State.DONE)
    with writing() as database:
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


def test_a_sentence_tells_the_wait_and_the_painting_apart(site: Flask) -> None:
    ada, ben = make_user("ada"), make_user("ben")
    finished(ada, 30)
    finished(ada, 2, is_resumed=True)
    first, second = make_painting(ben), make_painting(ben)
    assert (
        painting.line_text(first) == "It is next in line; painting it then takes about 30 seconds."
    )
    assert painting.line_text(second) == (
        "One painting is ahead of yours, its turn comes in about 30 seconds; "
        "painting it then takes about 30 seconds."
    )
    claim = schedule.claim("w")
    assert claim is not None
    assert painting.line_text(db.session.get_one(type(first), first.id)) == (
        "Done in about 30 seconds."
    )


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
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert forecast.in_words(seconds) == words
