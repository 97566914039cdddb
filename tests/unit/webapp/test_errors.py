import re

import pytest
from flask import Flask, abort
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import ServiceUnavailable

from tests.unit.webapp.client import Browser, Page

SCRIPT = {"Accept": "application/json"}
SECRET = "/srv/secret/path password=hunter2"


def add_broken_pages(app: Flask) -> None:
    @app.get("/bug")
    def bug() -> str:
        raise RuntimeError(SECRET)

    @app.get("/busy")
    def busy() -> str:
        raise OperationalError(SECRET, {}, Exception("database is locked"))

    @app.get("/abort/<int:code>")
    def stop(code: int) -> str:
        abort(code)

    @app.get("/unavailable")
    def unavailable() -> str:
        raise ServiceUnavailable(SECRET, retry_after=7)


def test_page_that_is_not_there(visitor: Browser, ada: Browser) -> None:
    for browser in (visitor, ada):
        page = browser.page("/nothing/here", 404)
        assert page.h1 == "Nothing here"
        assert "/" in page.links()


def test_address_is_shown_as_text_only(visitor: Browser) -> None:
    response = visitor.get("/<script>alert(1)</script>?x={{7*7}}")

    assert response.status_code == 404
    assert "<script>alert" not in response.text
    assert "49" not in Page(response.text).text


def test_address_used_the_wrong_way(ada: Browser) -> None:
    response = ada.post("/trash")

    assert response.status_code == 405
    assert Page(response.text).h1 == "That did not work"
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_bug_is_answered_with_a_number_and_no_details(
    app: Flask, ada: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    add_broken_pages(app)

    response = ada.get("/bug")

    assert response.status_code == 500
    page = Page(response.text)
    assert page.h1 == "Something broke"
    number = "".join(page.first("code").itertext())
    assert re.fullmatch("[0-9a-f]{8}", number)
    for detail in (SECRET, "hunter2", "RuntimeError", "Traceback", "webapp", ".py"):
        assert detail not in response.text
    assert f"incident {number}" in caplog.text
    assert SECRET in caplog.text


def test_each_incident_has_its_own_number(app: Flask, ada: Browser) -> None:
    add_broken_pages(app)

    numbers = {"".join(ada.page("/bug", 500).first("code").itertext()) for _ in range(3)}

    assert len(numbers) == 3


def test_bug_is_answered_to_a_script_in_data(app: Flask, ada: Browser) -> None:
    add_broken_pages(app)

    response = ada.get("/bug", headers=SCRIPT)

    assert response.status_code == 500
    assert response.json is not None
    assert set(response.json) == {"error", "incident"}
    assert re.fullmatch("[0-9a-f]{8}", response.json["incident"])
    assert "hunter2" not in response.text


def test_debug_page_of_werkzeug_never_shows(
    app: Flask, ada: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    add_broken_pages(app)

    assert ada.page("/bug", 500).h1 == "Something broke"


def test_busy_database_is_no_bug(app: Flask, ada: Browser) -> None:
    add_broken_pages(app)

    response = ada.get("/busy")

    assert response.status_code == 503
    assert Page(response.text).h1 == "Busy"
    assert "locked" not in response.text
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    ("code", "heading"),
    [
        (400, "That did not work"),
        (403, "Not allowed"),
        (404, "Nothing here"),
        (405, "That did not work"),
        (413, "Too large"),
        (429, "Too many tries"),
        (500, "Something broke"),
        (503, "Busy"),
        # Those without a page of their own keep their status.
        (410, "That did not work"),
        (415, "That did not work"),
        (501, "Something broke"),
    ],
)
def test_every_error_has_a_page_and_data(app: Flask, ada: Browser, code: int, heading: str) -> None:
    add_broken_pages(app)

    assert ada.page(f"/abort/{code}", code).h1 == heading
    response = ada.get(f"/abort/{code}", headers=SCRIPT)
    assert response.status_code == code
    assert response.json is not None
    assert response.json["error"].endswith(".")
    assert response.json["incident"] is None


def test_when_to_try_again_is_passed_on(app: Flask, ada: Browser) -> None:
    add_broken_pages(app)

    response = ada.get("/unavailable")

    assert response.headers["Retry-After"] == "7"
    assert "hunter2" not in response.text


def test_redirects_are_no_errors(ada: Browser) -> None:
    response = ada.get("/people")

    assert response.status_code == 308
    assert response.location is not None
    assert response.location.endswith("/people/")


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "text/html,*/*;q=0.8", "image/png"])
def test_browsers_get_pages(visitor: Browser, accept: str) -> None:
    response = visitor.get("/nothing", headers={"Accept": accept})

    assert response.mimetype == "text/html"


def test_expired_form_says_what_to_do(ada: Browser) -> None:
    response = ada.post_as_is("/studio", {})

    assert response.status_code == 400
    assert "Reload it and try again." in Page(response.text).text
