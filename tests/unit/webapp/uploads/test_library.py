import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, g
from PIL import Image
from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from tests.unit.webapp import files
from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import count, make_picture, stored_files
from webapp.extensions import db
from webapp.models import Picture, User
from webapp.uploads import samples
from webapp.uploads.library import (
    SHELF_SIZE,
    find_choice,
    list_shelf,
    save_picture,
    validate_file,
)
from webapp.uploads.validate import NotAnImage, Upload


@contextmanager
def request_by(browser: Browser) -> Iterator[None]:
    with browser.app.test_request_context():
        g.user = db.session.scalars(select(User).where(User.name == browser.name)).one()
        yield


def harbor() -> Upload:
    return Upload("Harbor", Image.new("RGB", (64, 48), files.ORANGE))


def test_file_of_a_form_is_validated(ada: Browser) -> None:
    with request_by(ada):
        upload = validate_file(FileStorage(io.BytesIO(files.png(64, 48)), "my_harbor.png"))
        assert (upload.title, upload.image.size) == ("my harbor", (64, 48))
        with pytest.raises(NotAnImage):
            validate_file(FileStorage(io.BytesIO(b"Dear Ada"), "letter.jpg"))


def test_saved_picture_has_a_row_and_two_files(ada: Browser, app: Flask) -> None:
    with request_by(ada):
        picture = save_picture(harbor(), is_style=True)
        assert (picture.title, picture.width, picture.height) == ("Harbor", 64, 48)
        assert picture.is_style
    assert {path.name for path in stored_files(app)} == {"picture.jpg", "thumbnail.webp"}


def test_same_picture_is_stored_once_for_each_user(ada: Browser, ben: Browser, app: Flask) -> None:
    ids = []
    for browser in (ada, ada, ben):
        with request_by(browser):
            ids.append(save_picture(harbor(), is_style=False).public_id)

    assert ids[0] == ids[1] != ids[2]
    assert count(app, Picture) == 2
    assert len(stored_files(app)) == 4


def test_form_value_names_a_sample_or_a_picture_of_the_user(ada: Browser, ben: Browser) -> None:
    sample = samples.photos()[0]
    picture_id = make_picture(ada)
    with request_by(ada):
        upload, picture = find_choice(sample.value), find_choice(picture_id)
        assert isinstance(upload, Upload)
        assert (upload.title, upload.image.size) == (sample.title, (sample.width, sample.height))
        assert isinstance(picture, Picture)
        assert picture.public_id == picture_id
        assert find_choice("sample:none.jpg") is None
    with request_by(ben):
        assert find_choice(picture_id) is None


def test_shelf_has_the_latest_pictures_of_a_role_after_selected_ones(ada: Browser) -> None:
    ids = [make_picture(ada, f"Photo {number}") for number in range(SHELF_SIZE + 2)]
    make_picture(ada, "Waves", is_style=True)
    with request_by(ada):
        latest = [picture.public_id for picture in list_shelf(is_style=False)]
        assert latest == ids[:1:-1]

        pictures = [find_choice(ids[0]), find_choice(ids[-1])]
        selected = [picture for picture in pictures if isinstance(picture, Picture)]
        shelf = list_shelf(is_style=False, selected=selected)
        assert [picture.public_id for picture in shelf] == [ids[0], *latest]
