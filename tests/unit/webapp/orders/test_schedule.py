"""Tests of the scheduler: whose painting is next, and which worker has it."""

from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import select

from config import Config
from tests.unit.webapp.rows import make_painting, make_user, reread
from webapp import create_app
from webapp.extensions import db
from webapp.models import Attempt, State
from webapp.orders import leases, schedule
from webapp.orders.schedule import QueuedPainting, Usage

A, B, C = 1, 2, 3
HOUR = 3600.0


@pytest.mark.parametrize(
    ("waiting", "work", "order"),
    [
        pytest.param([], [], "", id="nobody waits"),
        pytest.param([A], [], "A1", id="one alone"),
        pytest.param([A, A, A], [], "A1 A2 A3", id="within a user, oldest first"),
        pytest.param([A, B], [], "A1 B2", id="between equals, oldest first"),
        pytest.param([A, A, A, B], [], "A1 B4 A2 A3", id="a batch lets others in between"),
        pytest.param([A, A, B, B], [], "A1 B3 A2 B4", id="two batches take turns"),
        pytest.param([A, B, C, C], [], "A1 B2 C3 C4", id="three people"),
        pytest.param([A, B], [Usage(A, 60, 0)], "B2 A1", id="who used less goes first"),
        pytest.param(
            [A, A, B], [Usage(B, 25, 0)], "A1 A2 B3", id="and stays first until it is even"
        ),
        pytest.param(
            [A, B], [Usage(A, 60, 3 * HOUR), Usage(B, 10, 0)], "A1 B2", id="old work is forgiven"
        ),
        pytest.param(
            [A, B], [Usage(A, 60, HOUR), Usage(B, 10, 0)], "B2 A1", id="but not within the hour"
        ),
        pytest.param([A, B], [Usage(C, 999, 0)], "A1 B2", id="others' work does not matter"),
        pytest.param(
            [A, B], [Usage(A, 5, 0), Usage(A, 5, 0), Usage(B, 9, 0)], "B2 A1", id="work adds up"
        ),
        pytest.param(
            [A, B], [Usage(A, 60, -HOUR)], "B2 A1", id="a clock that was set back changes nothing"
        ),
    ],
)
def test_the_least_busy_users_oldest_painting_goes_next(
    waiting: list[int], work: list[Usage], order: str
) -> None:
    queued = [QueuedPainting(number, user, 20.0) for number, user in enumerate(waiting, 1)]
    ordered = schedule.queue_order(queued, schedule.decayed_usage(work))
    assert " ".join(f"{'?ABC'[item.user_id]}{item.painting_id}" for item in ordered) == order


def test_queue_order_equals_claiming_one_after_the_other() -> None:
    # Against the definition: ask for the first, let it be painted, ask again.
    queued = [QueuedPainting(number, number * number % 5, 3.0 + number % 7) for number in range(40)]
    used = {0: 5.0, 1: 0.0, 4: 11.0}
    ordered = schedule.queue_order(queued, used)
    left, spent = list(queued), dict(used)
    for item in ordered:
        assert schedule.next_painting(left, spent) == item
        left.remove(item)
        spent[item.user_id] = spent.get(item.user_id, 0.0) + item.seconds
    assert not left


def test_busy_users_get_equal_shares_of_an_hour() -> None:
    # One worker; everybody always has work waiting, of very different sizes.
    seconds = {A: 7.0, B: 31.0, C: 90.0}
    clock, number = 0.0, 0
    done: list[tuple[int, float, float]] = []
    line = {}
    while clock < 3600:
        for user in seconds:
            if user not in line:
                number += 1
                line[user] = QueuedPainting(number, user, seconds[user])
        used = schedule.decayed_usage(Usage(user, took, clock - end) for user, took, end in done)
        taken = schedule.next_painting(sorted(line.values(), key=lambda w: w.painting_id), used)
        assert taken is not None
        clock += taken.seconds
        done.append((taken.user_id, taken.seconds, clock))
        del line[taken.user_id]
    totals = [sum(took for user, took, _ in done if user == person) for person in seconds]
    assert max(totals) / min(totals) < 1.1


def test_other_users_come_between_a_batch_of_a_hundred() -> None:
    queued = [QueuedPainting(number, A, 20.0) for number in range(100)]
    queued += [QueuedPainting(100, B, 20.0), QueuedPainting(101, C, 20.0)]
    ordered = schedule.queue_order(queued, {A: 20.0})
    assert [item.user_id for item in ordered[:2]] == [B, C]


def test_a_claim_takes_each_painting_once(site: Flask) -> None:
    user_id = make_user("ada")
    first, second = make_painting(user_id), make_painting(user_id)
    claims = [schedule.claim("w1"), schedule.claim("w2"), schedule.claim("w3")]
    assert [claim.painting_id if claim else None for claim in claims] == [
        first.id,
        second.id,
        None,
    ]
    assert reread(first).state == State.RUNNING
    rows = db.session.scalars(select(Attempt).order_by(Attempt.worker)).all()
    assert [(row.worker, row.painting_id) for row in rows] == [
        ("w1", first.id),
        ("w2", second.id),
    ]


def test_nothing_is_claimed_during_a_pause(site: Flask) -> None:
    make_painting(make_user("ada"))
    schedule.set_paused(paused=True)
    schedule.set_paused(paused=True)
    assert schedule.is_paused()
    assert schedule.claim("w") is None
    schedule.set_paused(paused=False)
    assert not schedule.is_paused()
    assert schedule.claim("w") is not None


def test_a_resumed_claim_begins_at_the_checkpoints_progress(site: Flask) -> None:
    painting = make_painting(make_user("ada"))
    first = schedule.claim("w")
    assert first is not None
    assert first.checkpoint_attempt_id is None
    assert leases.report(first, 0.4, has_checkpoint=True)
    assert leases.report(first, 0.45)
    leases.interrupt(first)
    second = schedule.claim("w")
    assert second is not None
    assert second.checkpoint_attempt_id == first.attempt_id
    assert (reread(painting).progress, painting.resume_progress) == (0.45, 0.45)
    assert db.session.get_one(Attempt, second.attempt_id).is_resumed


def test_two_processes_cannot_claim_the_same_row(config: Config) -> None:
    # Two applications, as two workers have: the second one's claim waits for the first's commit.
    first, second = create_app(config), create_app(replace(config))
    with first.app_context():
        db.create_all()
        make_painting(make_user("ada"))
        mine = schedule.claim("one")
        db.session.remove()
        db.engine.dispose()
    with second.app_context():
        theirs = schedule.claim("two")
        db.session.remove()
        db.engine.dispose()
    assert mine is not None
    assert theirs is None
