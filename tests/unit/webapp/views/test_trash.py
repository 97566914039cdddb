import pytest
from flask import Flask

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import count, make_painting, stored_files
from transfer.settings import Rendition
from webapp.extensions import write_transaction
from webapp.models import Attempt, Painting, PaintingStyle, Picture, RenditionFile, State, now


def painting_files(app: Flask) -> list[str]:
    return [str(path) for path in stored_files(app) if path.parts[0] == "paintings"]


def test_empty_trash(ada: Browser) -> None:
    page = ada.page("/trash")

    assert page.h1 == "Trash"
    assert "The trash is empty." in page.text
    assert "30 days" in page.text


def test_trash_offers_to_restore_and_to_remove(ada: Browser) -> None:
    painting = make_painting(ada, trashed_at=now())
    page = ada.page("/trash")

    assert f"/paintings/{painting}/restore" in page.actions()
    assert f"/trash/{painting}/remove" in page.links()
    for source in page.sources():
        with ada.get(source) as response:
            assert response.status_code == 200


def test_trash_is_paged(ada: Browser) -> None:
    for _ in range(26):
        make_painting(ada, State.CANCELLED, trashed_at=now())

    page = ada.page("/trash")
    assert len(page.sources()) == 24
    (further,) = [a.get("href", "") for a in page.all("a", rel="next")]
    assert further.startswith("/trash?")
    assert len(ada.page(further).sources()) == 2


def test_removal_is_asked_about(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, trashed_at=now())

    page = ada.page(f"/trash/{painting}/remove")

    assert page.h1 == "Remove for good?"
    assert "Harbor in the style of Waves" in page.text
    assert page.actions().count(f"/trash/{painting}/remove") == 1
    assert count(app, Painting) == 1


def test_removal_takes_rows_and_files(ada: Browser, app: Flask) -> None:
    other = make_painting(ada, State.DONE, list(Rendition), trashed_at=now())
    before, rows = painting_files(app), count(app, RenditionFile)
    painting = make_painting(ada, State.DONE, list(Rendition), trashed_at=now(), preview_version=1)
    pictures = count(app, Picture)

    response = ada.post(f"/trash/{painting}/remove")

    assert response.location == "/trash"
    assert ada.page("/trash").notices() == ["The painting is removed for good."]
    assert painting_files(app) == before
    assert count(app, Painting) == 1
    assert count(app, PaintingStyle) == 1
    assert count(app, RenditionFile) == rows
    # The photo and the style stay on the shelves.
    assert count(app, Picture) == pictures
    assert ada.get(f"/trash/{painting}/remove").status_code == 404
    assert ada.page(f"/paintings/{other}").h1


def test_attempts_of_a_removed_painting_stay_for_the_shares(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, trashed_at=now())
    with app.app_context(), write_transaction() as database:
        database.add(
            Attempt(
                id="a" * 32, painting_id=1, user_id=1, worker="w", outcome="done", ended_at=now()
            )
        )

    ada.post(f"/trash/{painting}/remove")

    assert count(app, Painting) == 0
    assert count(app, Attempt) == 1


@pytest.mark.parametrize("state", list(State))
def test_only_what_is_in_the_trash_can_be_removed(ada: Browser, app: Flask, state: State) -> None:
    painting = make_painting(ada, state)
    before = painting_files(app)

    response = ada.post(f"/trash/{painting}/remove")

    assert response.location == f"/paintings/{painting}"
    assert count(app, Painting) == 1
    assert painting_files(app) == before
    notices = ada.page(f"/paintings/{painting}").notices()
    assert notices == ["Only paintings in the trash can be removed for good."]


def test_removal_needs_a_token(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, trashed_at=now())

    assert ada.post_as_is(f"/trash/{painting}/remove").status_code == 400
    assert count(app, Painting) == 1
