"""Tests of orders on rows; the pages that give them are tested with the views."""

import pytest
from flask import Flask
from sqlalchemy import select

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import make_painting
from transfer.settings import Settings
from webapp.extensions import db, get_storage
from webapp.models import Painting, State
from webapp.orders import place


def find(public_id: str) -> Painting:
    db.session.rollback()
    return db.session.scalars(select(Painting).where(Painting.public_id == public_id)).one()


def test_a_form_that_is_sent_twice_orders_one_painting(ada: Browser, app: Flask) -> None:
    with app.app_context():
        finished = find(make_painting(ada))
        first = place.repeat(finished, "token")
        second = place.repeat(find(finished.public_id), "token")

        assert (first.is_new, second.is_new) == (True, False)
        assert first.public_id == second.public_id


def test_the_same_token_of_another_person_orders_another_painting(
    ada: Browser, ben: Browser, app: Flask
) -> None:
    with app.app_context():
        placed = [place.repeat(find(make_painting(who)), "token") for who in (ada, ben)]

        assert [order.is_new for order in placed] == [True, True]
        owners = {find(order.public_id).owner_id for order in placed}
        assert len(owners) == 2


def test_an_order_has_the_settings_and_styles_that_were_asked_for(ada: Browser, app: Flask) -> None:
    settings = Settings(long_edge_px=256, strength=0.3, seed=7, brush_size=1.5)
    with app.app_context():
        finished = find(make_painting(ada))
        style_id = finished.style_links[0].picture_id
        content_id = finished.content_id
        order = place.place(
            finished.owner_id, "token", [(style_id, 0.25)], settings, content_id=content_id
        )
        painting = find(order.public_id)

        assert State(painting.state) is State.QUEUED
        assert painting.content_id == content_id
        assert [(link.picture_id, link.weight) for link in painting.style_links] == [
            (style_id, 0.25)
        ]
        asked = painting.settings
        assert (asked.long_edge_px, asked.strength, asked.seed) == (256, 0.3, 7)
        assert (asked.brush_size, asked.style_weights) == (1.5, (0.25,))


def test_a_continuation_names_its_base_painting_and_so_does_its_repetition(
    ada: Browser, app: Flask
) -> None:
    with app.app_context():
        finished = make_painting(ada)
        larger = find(place.continue_from(find(finished), 192, "one").public_id)
        assert (larger.long_edge_px, larger.base_painting_id, larger.base_px) == (192, finished, 96)

        again = find(place.repeat(larger, "two").public_id)
        assert (again.long_edge_px, again.base_painting_id, again.base_px) == (192, finished, 96)


def test_cancelling_a_queued_painting_deletes_its_checkpoint(ada: Browser, app: Flask) -> None:
    with app.app_context():
        queued = make_painting(ada, State.QUEUED, checkpoint_attempt_id="b" * 32)
        path = get_storage().checkpoint(queued, "b" * 32)
        get_storage().write(path, b"an earlier attempt's")

        assert not place.cancel(find(queued))

        assert State(find(queued).state) is State.CANCELLED
        assert not path.exists()


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_a_painting_that_is_tried_again_forgets_its_attempts(
    ada: Browser, app: Flask, state: State
) -> None:
    with app.app_context():
        ended = make_painting(
            ada,
            state,
            progress=0.4,
            crash_count=2,
            failure_reason="It was too large.",
            checkpoint_attempt_id="b" * 32,
        )
        assert place.retry(find(ended))

        painting = find(ended)
        assert (State(painting.state), painting.progress) == (State.QUEUED, 0.0)
        assert (painting.crash_count, painting.failure_reason) == (0, None)
        assert (painting.checkpoint_attempt_id, painting.finished_at) == (None, None)
