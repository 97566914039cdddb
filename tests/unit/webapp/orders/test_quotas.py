"""Tests of limits: each is a sentence on the page that was used, and nothing is stored."""

import shutil
from collections.abc import Callable

import pytest
from flask import Flask

from tests.unit.webapp import files
from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import (
    MakeApp,
    count,
    make_painting,
    make_picture,
    stored_files,
    upload,
)
from tests.unit.webapp.views.test_studio import order
from webapp.models import Painting, Picture, State

MORE_THAN_THERE_IS = shutil.disk_usage(".").total * 2
Enter = Callable[[Flask, str], Browser]


def test_a_nearly_full_disk_takes_no_orders_and_no_pictures(
    make_app: MakeApp, enter: Enter
) -> None:
    app = make_app(min_free_bytes=MORE_THAN_THERE_IS)
    ada = enter(app, "Ada")
    response = order(ada, strength="85")
    assert response.status_code == 507
    assert "nearly full" in response.text
    assert 'value="85"' in response.text
    answer = ada.post("/pictures", {"role": "content", "file": upload(files.jpeg())})
    assert answer.status_code == 507
    assert answer.json is not None
    assert "nearly full" in answer.json["error"]
    assert count(app, Painting) == count(app, Picture) == 0
    assert stored_files(app) == []


def test_open_paintings_of_one_person_are_limited(make_app: MakeApp, enter: Enter) -> None:
    app = make_app(max_open_paintings=2)
    ada, ben = enter(app, "Ada"), enter(app, "Ben")
    waiting = make_painting(ada, State.QUEUED)
    make_painting(ada, State.RUNNING)
    done = make_painting(ada, State.DONE)
    failed = make_painting(ada, State.FAILED)

    response = order(ada)
    assert response.status_code == 429
    assert "2 of your paintings are waiting" in response.text
    for path in (f"/paintings/{done}/again", f"/paintings/{failed}/retry"):
        assert ada.post(path).status_code == 303
        assert "2 of your paintings are waiting" in ada.page("/").text
    assert count(app, Painting) == 4

    assert order(ben).status_code == 303
    ada.post(f"/paintings/{waiting}/cancel")
    assert order(ada).status_code == 303


def test_pictures_are_counted_by_person(make_app: MakeApp, enter: Enter) -> None:
    app = make_app(max_pictures=1)
    ada, ben = enter(app, "Ada"), enter(app, "Ben")
    make_picture(ada)
    answer = ada.post("/pictures", {"role": "style", "file": upload(files.png())})
    assert answer.status_code == 429
    assert answer.json is not None
    assert "You have uploaded 1 pictures" in answer.json["error"]
    answer = ben.post("/pictures", {"role": "style", "file": upload(files.png())})
    assert answer.status_code == 200


def test_a_person_at_the_upload_limit_paints_stored_pictures(
    make_app: MakeApp, enter: Enter
) -> None:
    ada = enter(make_app(max_pictures=1), "Ada")
    picture = make_picture(ada)
    # As browsers send the form: with its file fields, which are empty.
    empty = {"content_file": upload(b"", ""), "style_files": upload(b"", "")}
    assert order(ada, content=picture, styles=picture, **empty).status_code == 303
    chosen = {"content_file": upload(files.jpeg()), "style_files": upload(b"", "")}
    assert order(ada, content=None, styles=picture, **chosen).status_code == 429


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("long_edge_px=512&strength=50&effort=draft&colors=style&backbone=auto&seed=0", 200),
        ("long_edge_px=512&strength=50&effort=none&colors=style&backbone=auto&seed=0", 422),
        ("long_edge_px=99&strength=50&effort=draft&colors=style&backbone=auto&seed=0", 422),
        ("", 422),
    ],
)
@pytest.mark.parametrize(
    ("shape", "is_shape"),
    [
        ("&width=300&height=200", True),
        ("", False),
        ("&width=0&height=5", False),
        ("&width=-3&height=5", False),
        ("&width=x&height=5", False),
        ("&width=9999999999999999999999&height=5", False),
    ],
)
def test_the_studio_shows_the_time_of_an_order(
    ada: Browser, query: str, status: int, shape: str, *, is_shape: bool
) -> None:
    response = ada.get(f"/studio/forecast?{query}{shape}")
    assert response.status_code == (status if is_shape else 422)
    assert response.json is not None
    if response.status_code == 200:
        assert response.json["text"].startswith("Painting it takes")


def test_the_studio_says_if_a_painting_has_to_be_tiled(make_app: MakeApp, enter: Enter) -> None:
    ada = enter(make_app(max_memory_bytes=1_000_000_000, max_long_edge_px=2048), "Ada")
    asked = "strength=50&effort=draft&colors=style&backbone=auto&seed=0&width=300&height=200"

    small, large = (
        ada.get(f"/studio/forecast?long_edge_px={edge}&{asked}") for edge in (512, 2048)
    )

    assert small.json is not None
    assert large.json is not None
    assert "GB" not in small.json["text"]
    assert "may take 1.0 GB: it is painted in small parts" in large.json["text"]


def test_more_styles_take_longer(ada: Browser) -> None:
    asked = "long_edge_px=1024&strength=50&effort=fine&colors=style&backbone=auto&seed=0"
    asked += "&method=statistics"

    told = [
        ada.get(f"/studio/forecast?{asked}&width=300&height=200&brush=50&styles={styles}")
        for styles in ("1", "4", "-3", "x", "4000")
    ]

    texts = [response.json["text"] for response in told if response.json is not None]
    assert texts[0] == texts[2] == texts[3] != texts[1] == texts[4]
