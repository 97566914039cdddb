import io
from email.message import Message

import pytest
from flask import Flask
from PIL import Image

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import change, make_painting, make_picture, row, storage_of
from transfer.settings import Rendition
from webapp.models import State

A_YEAR = "private, max-age=31536000, immutable"


def file_name(header: str) -> str | None:
    """Return the name under which a browser saves a download, parsed by another library."""
    # Browsers prefer the encoded form (RFC 6266); the other is for very old ones.
    head, encoded, tail = header.partition("filename*=")
    message = Message()
    message["Content-Disposition"] = f"attachment; {encoded}{tail}" if encoded else head
    return message.get_filename()


def test_pictures_and_their_thumbnails(ada: Browser) -> None:
    picture = make_picture(ada, size=(96, 64))

    for path, kind in (("picture.jpg", "jpeg"), ("thumbnail.webp", "webp")):
        with ada.get(f"/pictures/{picture}/{path}") as response:
            assert response.mimetype == f"image/{kind}"
            assert response.headers["Cache-Control"] == A_YEAR
            assert "attachment" not in response.headers.get("Content-Disposition", "")
            assert Image.open(io.BytesIO(response.data)).size == (96, 64)


def test_preview_is_never_cached(ada: Browser) -> None:
    painting = make_painting(ada, State.RUNNING, preview_version=3)

    for version in (1, 2, 3):
        with ada.get(f"/paintings/{painting}/preview-{version}.jpg") as response:
            assert response.mimetype == "image/jpeg"
            assert response.headers["Cache-Control"] == "no-store"
    for other in ("0", "4", "-1", "x", "9" * 30, "9" * 5000, "1.5"):
        assert ada.get(f"/paintings/{painting}/preview-{other}.jpg").status_code == 404


def test_missing_preview_is_not_found(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, State.RUNNING, preview_version=3)
    storage_of(app).preview(painting).unlink()

    assert ada.get(f"/paintings/{painting}/preview-3.jpg").status_code == 404


@pytest.mark.parametrize("kind", list(Rendition))
def test_rendition_at_full_size(ada: Browser, kind: Rendition) -> None:
    painting = make_painting(ada, State.DONE, list(Rendition))

    with ada.get(f"/paintings/{painting}/{kind}.png?v=12345678") as response:
        assert response.mimetype == "image/png"
        assert response.headers["Cache-Control"] == A_YEAR
        assert Image.open(io.BytesIO(response.data)).size == (96, 64)


@pytest.mark.parametrize("edge", [320, 640, 1280])
def test_thumbnails_come_in_three_sizes(ada: Browser, edge: int) -> None:
    painting = make_painting(ada)

    with ada.get(f"/paintings/{painting}/styled-{edge}.webp?v=12345678") as response:
        assert response.mimetype == "image/webp"
        assert response.headers["Cache-Control"] == A_YEAR


@pytest.mark.parametrize("edge", ["0", "321", "5000", "-320", "320.0", "x", "9" * 5000])
def test_other_thumbnail_sizes_are_not_found(ada: Browser, edge: str) -> None:
    painting = make_painting(ada)

    assert ada.get(f"/paintings/{painting}/styled-{edge}.webp").status_code == 404


@pytest.mark.parametrize(
    "kind",
    ["luminance", "process", "STYLED", "styled-1", "", "..", "%2e%2e", "styled.png/..", "x" * 999],
)
def test_renditions_that_were_not_made_are_not_found(ada: Browser, kind: str) -> None:
    painting = make_painting(ada)

    assert ada.get(f"/paintings/{painting}/{kind}.png").status_code == 404
    assert ada.get(f"/paintings/{painting}/{kind}-320.webp").status_code == 404


def test_address_changes_when_a_painting_is_painted_again(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada)
    before = {s for s in ada.page(f"/paintings/{painting}").sources() if "styled" in s}
    rendition = row(app, painting).renditions[0]

    assert before == {f"/paintings/{painting}/styled.png?v={rendition.attempt_id[:8]}"}


# Its address stays the same when the painting is painted again.
@pytest.mark.parametrize("path", ["styled.png", "styled.png?download=1"])
def test_addresses_without_a_version_are_not_cached(ada: Browser, path: str) -> None:
    painting = make_painting(ada)

    with ada.get(f"/paintings/{painting}/{path}") as response:
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Harbor", "Harbor in the style of Waves (styled).png"),
        ('He said "hi"; x', "He said -hi-- x in the style of Waves (styled).png"),
        ("../../etc/passwd", "------etc-passwd in the style of Waves (styled).png"),
        ("a\r\nSet-Cookie: x=1", "a--Set-Cookie- x-1 in the style of Waves (styled).png"),
        ("Zürich 東京", "Zürich 東京 in the style of Waves (styled).png"),
        ("x" * 120, "x" * 100 + " (styled).png"),
    ],
)
def test_download_has_a_telling_and_harmless_name(ada: Browser, title: str, name: str) -> None:
    painting = make_painting(ada, content=make_picture(ada, title))

    with ada.get(f"/paintings/{painting}/styled.png?download=1") as response:
        disposition = response.headers["Content-Disposition"]
        assert response.mimetype == "image/png"
        assert not [c for c in response.headers.getlist("Set-Cookie") if c.startswith("x")]
    assert disposition.startswith("attachment")
    assert file_name(disposition) == name


def test_image_with_a_missing_file_is_not_found(ada: Browser, app: Flask) -> None:
    picture, painting = make_picture(ada), make_painting(ada)
    storage_of(app).remove_picture(picture)
    storage_of(app).remove_painting(painting)

    for path in (
        f"/pictures/{picture}/picture.jpg",
        f"/pictures/{picture}/thumbnail.webp",
        f"/paintings/{painting}/styled.png",
        f"/paintings/{painting}/styled.png?download=1",
        f"/paintings/{painting}/styled-320.webp",
    ):
        assert ada.get(path).status_code == 404


def test_unchanged_image_is_not_sent_again(ada: Browser) -> None:
    address = f"/pictures/{make_picture(ada)}/picture.jpg"
    with ada.get(address) as response:
        tag = response.headers["ETag"]

    with ada.get(address, headers={"If-None-Match": tag}) as again:
        assert again.status_code == 304
        assert again.data == b""


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/../../config.py/picture.jpg",
        "/pictures/..%2f..%2fconfig.py/picture.jpg",
        "/pictures/%2e%2e/picture.jpg",
        "/paintings/..%2f..%2fpic2paint/styled.png",
        "/paintings/%00/styled.png",
        "/static/../config.py",
        "/static/..%2fconfig.py",
        "/static/%2e%2e/config.py",
        "/static/nul%00.css",
        "/static/",
        "/static/samples",
        "/static/samples/",
        "/files/pictures",
        "/instance/secret_key",
        "/.git/config",
        "/.env",
        "/config.py",
        "/config.py~",
    ],
)
def test_other_files_are_out_of_reach(ada: Browser, path: str) -> None:
    assert ada.get(path).status_code == 404


def test_rendition_of_a_removed_painting_is_gone_at_once(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada)
    ada.post(f"/paintings/{painting}/trash")
    with ada.get(f"/paintings/{painting}/styled.png") as response:
        assert response.status_code == 200

    ada.post(f"/trash/{painting}/remove")

    assert ada.get(f"/paintings/{painting}/styled.png").status_code == 404
    assert ada.get(f"/paintings/{painting}").status_code == 404


def test_preview_of_a_finished_painting_is_no_longer_shown(ada: Browser, app: Flask) -> None:
    painting = make_painting(ada, State.RUNNING, preview_version=3)
    change(app, painting, state=State.CANCELLED)

    assert not [s for s in ada.page("/").sources() if "preview" in s]


def test_animation_is_shown_and_saved(ada: Browser, ben: Browser) -> None:
    painting = make_painting(ada, has_animation=True)
    address = next(s for s in ada.page(f"/paintings/{painting}").sources() if "process" in s)

    with ada.get(address) as response:
        assert response.mimetype == "image/webp"
        assert response.headers["Cache-Control"] == A_YEAR
    with ada.get(f"/paintings/{painting}/process.webp?download=1") as response:
        assert response.headers["Cache-Control"] == "no-store"
        name = file_name(response.headers["Content-Disposition"])
        assert name is not None
        assert name.endswith("(process).webp")
    assert ben.get(address).status_code == 404


def test_animation_that_was_not_made_is_not_found(ada: Browser) -> None:
    painting = make_painting(ada)

    assert ada.get(f"/paintings/{painting}/process.webp").status_code == 404
    page = ada.page(f"/paintings/{painting}")
    assert not [source for source in page.sources() if "process" in source]
