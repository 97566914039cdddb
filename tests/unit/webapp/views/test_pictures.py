import io
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from werkzeug.test import TestResponse

from tests.unit.webapp import files
from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import count, stored_files, upload
from webapp.models import Picture

SCRIPT = {"Accept": "application/json"}


def send(
    browser: Browser, data: bytes = b"", name: str = "photo.jpg", **fields: Any
) -> TestResponse:
    form = {"file": upload(data, name), "role": "content"} | fields
    form = {k: v for k, v in form.items() if v is not None}
    return browser.post("/pictures", form, headers=SCRIPT)


@pytest.mark.parametrize("role", ["content", "style"])
def test_uploaded_picture_is_answered_with_what_the_page_needs(ada: Browser, role: str) -> None:
    response = send(ada, files.png(64, 48), "My harbor.png", role=role)

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["title"] == "My harbor"
    assert (response.json["width"], response.json["height"]) == (64, 48)
    with ada.get(response.json["thumbnail"]) as thumbnail:
        assert thumbnail.mimetype == "image/webp"
        assert Image.open(io.BytesIO(thumbnail.data)).size == (64, 48)
    shelf = "content" if role == "content" else "styles"
    values = [i.get("value") for i in ada.page("/studio").all("input", name=shelf)]
    assert response.json["value"] in values


def test_same_file_twice_is_one_picture(ada: Browser, app: Flask) -> None:
    first, second = (send(ada, files.jpeg()), send(ada, files.jpeg(), "other name.jpg"))

    assert first.json == second.json
    assert count(app, Picture) == 1
    assert len(stored_files(app)) == 2


def test_same_file_of_two_people_is_two_pictures(ada: Browser, ben: Browser, app: Flask) -> None:
    own, other = send(ada, files.jpeg()).json, send(ben, files.jpeg()).json

    assert own is not None
    assert other is not None
    assert own["value"] != other["value"]
    assert ben.get(own["thumbnail"]).status_code == 404
    assert len(stored_files(app)) == 4


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"Dear Ada", "not a picture"),
        (files.png(1, 1), "only 1 × 1"),
        (files.png_bomb(), "13,000 × 13,000"),
        (files.png()[:-30], "damaged"),
    ],
)
def test_refusal_is_json_for_the_script(
    ada: Browser, app: Flask, data: bytes, sentence: str
) -> None:
    response = send(ada, data)

    assert response.status_code == 422
    assert response.mimetype == "application/json"
    assert response.json is not None
    assert list(response.json) == ["error"]
    assert sentence in response.json["error"]
    assert count(app, Picture) == 0
    assert stored_files(app) == []


def test_file_over_the_limit_is_refused(ada: Browser, app: Flask) -> None:
    limit = app.config["PIC2PAINT"].max_upload_bytes
    response = send(ada, files.jpeg() + bytes(limit))
    assert response.status_code == 413
    assert response.json is not None
    assert "larger than 30 MB" in response.json["error"]

    response = send(ada, bytes(limit + 600_000))
    assert response.status_code == 413
    assert response.json is not None
    assert "larger than this site takes" in response.json["error"]
    assert stored_files(app) == []


@pytest.mark.parametrize(
    "fields", [{"role": None}, {"role": "owner"}, {"file": None}, {"file": "text"}]
)
def test_incomplete_request_is_refused(ada: Browser, app: Flask, fields: dict[str, Any]) -> None:
    response = send(ada, files.jpeg(), **fields)

    assert response.status_code == 400
    assert response.mimetype == "application/json"
    assert count(app, Picture) == 0


def test_visitor_gets_status_401_and_no_page(visitor: Browser, app: Flask) -> None:
    response = send(visitor, files.jpeg())

    assert response.status_code == 401
    assert response.json == {}
    assert count(app, Picture) == 0
    assert stored_files(app) == []


def test_upload_needs_a_token(ada: Browser, app: Flask) -> None:
    response = ada.post_as_is("/pictures", {"file": upload(files.jpeg()), "role": "content"})

    assert response.status_code == 400
    assert count(app, Picture) == 0


def test_token_may_come_as_a_header(ada: Browser) -> None:
    response = ada.post_as_is(
        "/pictures",
        {"file": upload(files.jpeg()), "role": "content"},
        headers={"X-CSRFToken": ada.token},
    )

    assert response.status_code == 200
