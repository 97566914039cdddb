from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, select

from tests.unit.webapp.client import Browser, Page
from tests.unit.webapp.conftest import change, make_painting, make_picture, row
from transfer.settings import Rendition
from webapp.extensions import db
from webapp.models import Painting, State, now

STYLED, HISTOGRAM, LUMINANCE = Rendition.STYLED, Rendition.HISTOGRAM, Rendition.LUMINANCE
FINAL = [State.DONE, State.FAILED, State.CANCELLED]


def buttons(page: Page, painting: str) -> set[str]:
    """Return the actions of the buttons on a painting's page."""
    start = f"/paintings/{painting}/"
    return {a.removeprefix(start) for a in page.actions() if a.startswith(start)}


def assert_images_are_there(browser: Browser, page: Page) -> None:
    assert page.sources()
    for source in page.sources():
        with browser.get(source) as response:
            assert response.status_code == 200, source


def test_page_of_a_queued_painting(ada: Browser) -> None:
    painting = make_painting(ada, State.QUEUED)

    page = ada.page(f"/paintings/{painting}")

    assert page.h1 == "Waiting"
    assert buttons(page, painting) == {"cancel"}
    # Without a script the page reloads by itself.
    assert [meta for meta in page.all("meta") if meta.get("http-equiv") == "refresh"]
    frame = page.first("div", class_="painting")
    assert frame.get("data-state") == "queued"
    assert ada.get(frame.get("data-status", "")).is_json
    assert_images_are_there(ada, page)


def test_page_of_a_running_painting_without_preview(ada: Browser) -> None:
    painting = make_painting(ada, State.RUNNING)

    page = ada.page(f"/paintings/{painting}")

    assert page.h1 == "Painting"
    assert buttons(page, painting) == {"cancel"}
    assert page.first("progress").get("value") == "0.0"
    assert_images_are_there(ada, page)


def test_page_of_a_running_painting_with_preview(ada: Browser) -> None:
    painting = make_painting(ada, State.RUNNING, progress=0.427, preview_version=3)

    page = ada.page(f"/paintings/{painting}")

    assert "42 %" in page.text
    assert f"/paintings/{painting}/preview-3.jpg" in page.sources()
    assert_images_are_there(ada, page)


def test_page_of_a_running_painting_shows_what_is_done(ada: Browser) -> None:
    painting = make_painting(ada, State.RUNNING, [STYLED], progress=0.7, preview_version=9)

    page = ada.page(f"/paintings/{painting}")

    assert "The first version is done; the others follow." in page.text
    assert any(f"/paintings/{painting}/styled.png" in source for source in page.sources())
    assert_images_are_there(ada, page)


def test_page_of_a_painting_tried_again_does_not_show_partial_renditions(
    ada: Browser, app: Flask
) -> None:
    painting = make_painting(ada, State.CANCELLED, [STYLED])
    change(app, painting, state=State.RUNNING, attempt_id="b" * 32)

    assert "Your painting is growing." in ada.page(f"/paintings/{painting}").text
    status = ada.get(f"/paintings/{painting}/status.json").json
    assert status is not None
    assert status["renditions"] == []


def test_page_of_a_painting_that_is_being_stopped(ada: Browser) -> None:
    painting = make_painting(ada, State.RUNNING, is_cancel_requested=True)

    page = ada.page(f"/paintings/{painting}")

    assert "Stopping" in page.text
    # A painting that stops has no time left to show: neither now nor by the script.
    assert not page.all("p", **{"data-role": "queue-text"})
    assert buttons(page, painting) == set()


def test_page_of_a_finished_painting(ada: Browser) -> None:
    kinds = [STYLED, HISTOGRAM, LUMINANCE]
    moment = now()
    painting = make_painting(
        ada,
        State.DONE,
        kinds,
        strength=0.85,
        started_at=moment - timedelta(seconds=42),
        finished_at=moment,
        backbone="vgg19",
    )

    page = ada.page(f"/paintings/{painting}")

    assert page.h1 == "Harbor in the style of Waves"
    assert buttons(page, painting) == {"again", "more", "larger", "trash"}
    assert f"/studio?like={painting}" in page.links()
    for kind in kinds:
        assert page.has_id(f"show-{kind}")
        assert f"/paintings/{painting}/{kind}.png?download=1" in page.links()
    for fact in ("85 of 100", "42 seconds", "96 × 64 px", "vgg19", "Draft"):
        assert fact in page.text
    assert_images_are_there(ada, page)


def test_page_of_a_failed_painting_says_why(ada: Browser) -> None:
    painting = make_painting(ada, State.FAILED, failure_reason="The disk is <full>.")

    page = ada.page(f"/paintings/{painting}")

    assert page.h1 == "This painting failed"
    assert "The disk is <full>." in page.text
    assert buttons(page, painting) == {"retry", "trash"}
    assert_images_are_there(ada, page)


def test_page_of_a_painting_that_failed_without_a_reason(ada: Browser) -> None:
    painting = make_painting(ada, State.FAILED)

    assert "Something went wrong" in ada.page(f"/paintings/{painting}").text


def test_page_of_a_painting_cancelled_before_it_began(ada: Browser) -> None:
    painting = make_painting(ada, State.CANCELLED)

    page = ada.page(f"/paintings/{painting}")

    assert page.h1 == "Stopped"
    assert "before it began" in page.text
    assert buttons(page, painting) == {"retry", "trash"}
    assert_images_are_there(ada, page)


def test_page_of_a_stopped_painting_keeps_the_best_image(ada: Browser) -> None:
    painting = make_painting(ada, State.CANCELLED, [STYLED])

    page = ada.page(f"/paintings/{painting}")

    assert "this is how far it came" in page.text
    assert "stopped before it was finished" in page.text
    assert_images_are_there(ada, page)


@pytest.mark.parametrize("state", FINAL)
def test_page_of_a_painting_in_the_trash_says_so(ada: Browser, state: State) -> None:
    painting = make_painting(ada, state, trashed_at=now())

    page = ada.page(f"/paintings/{painting}")

    assert "This painting is in the trash." in page.text
    assert "trash" not in buttons(page, painting)


def test_title_is_text(ada: Browser) -> None:
    content = make_picture(ada, "<script>alert(1)</script> {{7*7}}")
    for state in State:
        painting = make_painting(ada, state, content=content)
        assert "<script>alert(1)</script> {{7*7}}" in ada.page(f"/paintings/{painting}").text


def test_tall_photo_keeps_its_shape_while_it_is_painted(ada: Browser) -> None:
    content = make_picture(ada, size=(60, 90))
    painting = make_painting(ada, State.QUEUED, content=content, long_edge_px=512)

    assert "341 × 512 px" in ada.page(f"/paintings/{painting}").text


def test_status_follows_a_painting(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, State.QUEUED)
    address = f"/paintings/{painting}/status.json"
    nothing: dict[str, Any] = {"preview": None, "renditions": [], "queue_text": None}
    assert ada.get(address).json == nothing | {
        "state": "queued",
        "progress": 0.0,
        "queue_text": "It is next in line; painting it then takes a few seconds.",
    }

    change(app, painting, state=State.RUNNING, progress=0.25, preview_version=2)
    preview = f"/paintings/{painting}/preview-2.jpg"
    assert ada.get(address).json == nothing | {
        "state": "running",
        "progress": 0.25,
        "preview": preview,
        "queue_text": "Done in a few seconds.",
    }

    change(app, painting, state=State.DONE, progress=1.0)
    assert ada.get(address).json == nothing | {"state": "done", "progress": 1.0}


def test_status_lists_what_is_done(ada: Browser) -> None:
    painting = make_painting(ada, State.RUNNING, [STYLED, LUMINANCE])

    status = ada.get(f"/paintings/{painting}/status.json").json

    assert status is not None
    assert [rendition["kind"] for rendition in status["renditions"]] == ["styled", "luminance"]
    for rendition in status["renditions"]:
        assert (rendition["width"], rendition["height"]) == (96, 64)
        assert rendition["label"]
        with ada.get(rendition["url"]) as response:
            assert response.mimetype == "image/png"


def test_place_in_the_queue(ada: Browser, ben: Browser) -> None:
    adas = [make_painting(ada, State.QUEUED) for _ in range(3)]
    bens = make_painting(ben, State.QUEUED)

    def ahead(browser: Browser, painting: str) -> int:
        status = browser.get(f"/paintings/{painting}/status.json").json
        assert status is not None
        words: str = status["queue_text"].split()[0]
        return {"It": 0, "One": 1}[words] if words in {"It", "One"} else int(words)

    # Everybody's first goes before anybody's second.
    assert [ahead(ada, painting) for painting in adas] == [0, 2, 3]
    assert ahead(ben, bens) == 1


def test_status_takes_the_same_queries_however_long_the_queue_is(ada: Browser, app: Flask) -> None:
    statements: list[str] = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    painting = make_painting(ada, State.QUEUED)

    def queries() -> int:
        statements.clear()
        assert ada.get(f"/paintings/{painting}/status.json").status_code == 200
        return len(statements)

    queries()
    few = queries()
    for _ in range(10):
        make_painting(ada, State.QUEUED)
        make_painting(ada, State.DONE)
    assert queries() == few


def test_status_for_a_visitors_script_is_401(ada: Browser, visitor: Browser) -> None:
    painting = make_painting(ada, State.RUNNING)
    address = f"/paintings/{painting}/status.json"

    assert visitor.get(address, headers={"Accept": "application/json"}).status_code == 401
    assert visitor.get(address).status_code == 302


def test_cancelling_a_queued_painting_ends_it(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, State.QUEUED)

    response = ada.post(f"/paintings/{painting}/cancel")

    assert (response.status_code, response.location) == (303, f"/paintings/{painting}")
    assert row(app, painting).state == State.CANCELLED
    assert row(app, painting).finished_at is not None
    assert ada.page(f"/paintings/{painting}").h1 == "Stopped"


def test_cancelling_a_running_painting_asks_its_worker(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, State.RUNNING, attempt_id="a" * 32)

    ada.post(f"/paintings/{painting}/cancel")

    changed = row(app, painting)
    assert changed.state == State.RUNNING
    assert changed.is_cancel_requested
    assert changed.attempt_id == "a" * 32
    page = ada.page(f"/paintings/{painting}")
    assert "will stop in a moment" in page.notices()[0]


@pytest.mark.parametrize("state", FINAL)
def test_cancelling_a_finished_painting_changes_nothing(
    ada: Browser, app: Flask, state: State
) -> None:
    painting = make_painting(ada, state)

    assert ada.post(f"/paintings/{painting}/cancel").status_code == 303

    assert row(app, painting).state == state
    assert not row(app, painting).is_cancel_requested


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_retry_queues_a_painting_at_the_end(ada: Browser, app: Flask, state: State) -> None:
    painting = make_painting(
        ada,
        state,
        failure_reason="The disk is full.",
        progress=0.7,
        crash_count=2,
        preview_version=5,
        trashed_at=now(),
    )
    first = make_painting(ada, State.QUEUED)

    assert ada.post(f"/paintings/{painting}/retry").status_code == 303

    changed = row(app, painting)
    assert changed.state == State.QUEUED
    assert changed.queued_at > row(app, first).queued_at
    assert changed.failure_reason is None
    assert changed.progress == 0.0
    assert changed.crash_count == 0
    assert changed.finished_at is None
    assert changed.trashed_at is None
    page = ada.page(f"/paintings/{painting}")
    assert page.notices() == ["It waits until the queue can be reached again."]


# The worker deletes the preview when an attempt ends: no page may show it.
@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_retry_hides_the_last_preview(ada: Browser, app: Flask, state: State) -> None:
    painting = make_painting(ada, state, preview_version=5)
    ada.post(f"/paintings/{painting}/retry")

    status = ada.get(f"/paintings/{painting}/status.json").json
    assert status is not None
    assert status["preview"] is None
    assert not [source for source in ada.page("/").sources() if "preview" in source]


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.DONE])
def test_retry_changes_only_failed_and_cancelled_paintings(
    ada: Browser, app: Flask, state: State
) -> None:
    painting = make_painting(ada, state)
    before = row(app, painting)

    assert ada.post(f"/paintings/{painting}/retry").status_code == 303

    assert row(app, painting).state == state
    assert row(app, painting).queued_at == before.queued_at


@pytest.mark.parametrize("state", FINAL)
def test_finished_painting_goes_to_the_trash_and_back(
    ada: Browser, app: Flask, state: State
) -> None:
    painting = make_painting(ada, state)

    response = ada.post(f"/paintings/{painting}/trash")
    assert response.location == "/"
    assert row(app, painting).trashed_at is not None
    page = ada.page("/")
    assert page.notices() == ["Moved to the trash. Undo"]
    undo = f"/paintings/{painting}/restore"
    assert undo in page.actions()

    assert ada.post(undo).location == f"/paintings/{painting}"
    assert row(app, painting).trashed_at is None
    assert row(app, painting).state == state
    assert ada.page(f"/paintings/{painting}").notices() == ["Back on the wall."]


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_unfinished_painting_does_not_go_to_the_trash(
    ada: Browser, app: Flask, state: State
) -> None:
    painting = make_painting(ada, state)

    response = ada.post(f"/paintings/{painting}/trash")

    assert response.location == f"/paintings/{painting}"
    assert row(app, painting).trashed_at is None
    assert "Stop this painting first" in ada.page(f"/paintings/{painting}").notices()[0]


@pytest.mark.parametrize("action", ["cancel", "retry", "trash", "restore"])
def test_actions_need_post_and_a_csrf_token(ada: Browser, app: Flask, action: str) -> None:
    for state in State:
        painting = make_painting(ada, state)
        assert ada.get(f"/paintings/{painting}/{action}").status_code == 405
        assert ada.post_as_is(f"/paintings/{painting}/{action}").status_code == 400
        changed = row(app, painting)
        assert changed.state == state
        assert changed.trashed_at is None
        assert not changed.is_cancel_requested


def newest_painting(app: Flask) -> Painting:
    with app.app_context():
        painting = db.session.scalar(select(Painting).order_by(Painting.id.desc()))
        assert painting is not None
        return painting


@pytest.mark.parametrize(
    ("button", "fields", "size"), [("more", {}, 256), ("larger", {"long_edge_px": "512"}, 512)]
)
def test_continuing_orders_a_new_painting_from_this_one(
    ada: Browser, app: Flask, button: str, fields: dict[str, str], size: int
) -> None:
    painting = make_painting(ada, State.DONE, [STYLED], long_edge_px=256, strength=0.85, seed=7)

    response = ada.post(f"/paintings/{painting}/{button}", fields)

    newest = newest_painting(app)
    assert response.location == f"/paintings/{newest.public_id}"
    assert newest.public_id != painting
    assert (newest.base_painting_id, newest.base_px, newest.long_edge_px) == (painting, 256, size)
    assert (newest.strength, newest.seed, newest.state) == (0.85, 7, State.QUEUED)
    page = ada.page(f"/paintings/{newest.public_id}")
    assert f"/paintings/{painting}" in page.links()
    assert "the painting of 256 px" in page.text


@pytest.mark.parametrize("button", ["again", "more", "larger"])
def test_a_button_pressed_twice_orders_once(ada: Browser, app: Flask, button: str) -> None:
    painting = make_painting(ada, State.DONE, [STYLED], long_edge_px=256)
    fields = ada.page(f"/paintings/{painting}").all("input")
    keys = [field.get("value", "") for field in fields if field.get("name") == "idempotency_key"]
    assert len(set(keys)) == 3
    sent = {"idempotency_key": keys[0], "long_edge_px": "512"}

    first = ada.post(f"/paintings/{painting}/{button}", sent)
    second = ada.post(f"/paintings/{painting}/{button}", sent)

    assert first.location == second.location != f"/paintings/{painting}"
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Painting)) == 2


@pytest.mark.parametrize("size", ["", "abc", "256", "128", "300", "99999", "4096"])
def test_only_larger_sizes_up_to_the_limit_can_be_ordered(
    ada: Browser, app: Flask, size: str
) -> None:
    painting = make_painting(ada, State.DONE, [STYLED], long_edge_px=256)

    response = ada.post(f"/paintings/{painting}/larger", {"long_edge_px": size})

    assert response.location == f"/paintings/{painting}"
    assert newest_painting(app).public_id == painting
    assert "Choose one of the sizes" in ada.page(f"/paintings/{painting}").text


@pytest.mark.parametrize("state", [state for state in State if state is not State.DONE])
def test_only_finished_paintings_can_be_continued(ada: Browser, app: Flask, state: State) -> None:
    painting = make_painting(ada, state, [STYLED])

    assert not {"more", "larger"} & buttons(ada.page(f"/paintings/{painting}"), painting)
    assert ada.post(f"/paintings/{painting}/more", {}).location == f"/paintings/{painting}"
    assert newest_painting(app).public_id == painting
    assert "Only a finished painting" in ada.page(f"/paintings/{painting}").text


def test_the_largest_painting_is_offered_more_but_not_larger(ada: Browser) -> None:
    painting = make_painting(ada, State.DONE, [STYLED], long_edge_px=2048)

    assert buttons(ada.page(f"/paintings/{painting}"), painting) == {"again", "more", "trash"}


def test_repeating_a_continuation_continues_the_same_painting(ada: Browser, app: Flask) -> None:
    first = make_painting(ada, State.DONE, [STYLED], long_edge_px=128)
    painting = make_painting(ada, State.DONE, [STYLED], base_painting_id=first, base_px=128)

    response = ada.post(f"/paintings/{painting}/again", {})

    newest = newest_painting(app)
    assert response.location == f"/paintings/{newest.public_id}" != f"/paintings/{painting}"
    assert (newest.base_painting_id, newest.base_px) == (first, 128)


def test_continuation_of_a_removed_painting_cannot_be_repeated(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, State.DONE, [STYLED], base_painting_id="a" * 22, base_px=128)
    assert "a painting that was removed" in ada.page(f"/paintings/{painting}").text

    response = ada.post(f"/paintings/{painting}/again", {})

    assert response.location == f"/paintings/{painting}"
    assert newest_painting(app).public_id == painting
    assert "Paint it with changes" in ada.page(f"/paintings/{painting}").text


def test_painting_in_the_trash_cannot_be_continued(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, State.DONE, [STYLED], trashed_at=now())

    ada.post(f"/paintings/{painting}/more", {})

    assert newest_painting(app).public_id == painting


@pytest.mark.parametrize("button", ["more", "larger"])
def test_other_peoples_paintings_cannot_be_continued(
    ada: Browser, ben: Browser, button: str
) -> None:
    painting = make_painting(ada, State.DONE, [STYLED], long_edge_px=256)

    response = ben.post(f"/paintings/{painting}/{button}", {"long_edge_px": "512"})

    assert response.status_code == 404
