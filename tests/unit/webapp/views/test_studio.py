import io
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.unit.webapp import files
from tests.unit.webapp.client import Browser, Page, words
from tests.unit.webapp.conftest import (
    MakeApp,
    count,
    make_painting,
    make_picture,
    row,
    storage_of,
    stored_files,
    upload,
)
from transfer.settings import Start
from webapp.extensions import db
from webapp.models import Painting, PaintingStyle, Picture, State
from webapp.uploads.samples import pairs, photos, styles
from webapp.views.forms import MAX_STYLES

PHOTO = "sample:photo-cat.jpg"
STYLE = "sample:style-ink.jpg"


def order(browser: Browser, **fields: Any) -> TestResponse:
    """Send the studio's form as the page offers it, with these fields changed; None drops one."""
    page = browser.page("/studio")
    form: dict[str, Any] = {
        "idempotency_key": page.value("idempotency_key"),
        "content": PHOTO,
        "styles": STYLE,
        "strength": page.value("strength"),
        "colors": page.checked("colors")[0],
        "long_edge_px": page.selected("long_edge_px")[0],
        "effort": page.checked("effort")[0],
        "backbone": page.selected("backbone")[0],
        "seed": page.value("seed"),
    }
    form |= fields
    return browser.post("/studio", {k: v for k, v in form.items() if v is not None})


def painting_id_of(response: TestResponse) -> str:
    """Return the public id of the painting that was ordered."""
    assert response.status_code == 303, response.text
    assert response.location is not None
    assert response.location.startswith("/paintings/")
    return response.location.removeprefix("/paintings/")


def error_page(response: TestResponse, status: int = 422) -> Page:
    """Return the page that answers a refused order."""
    assert response.status_code == status, response.text
    return Page(response.text)


def is_nothing_stored(app: Flask) -> bool:
    is_empty = count(app, Painting) == count(app, Picture) == count(app, PaintingStyle) == 0
    return is_empty and stored_files(app) == []


def test_studio_offers_samples_and_usual_settings(ada: Browser) -> None:
    page = ada.page("/studio")

    assert page.h1 == "New painting"
    assert [i.get("value") for i in page.all("input", name="content")] == [
        photo.value for photo in photos()
    ]
    assert [i.get("value") for i in page.all("input", name="styles")] == [
        style.value for style in styles()
    ]
    assert page.checked("content") == page.checked("styles") == []
    assert page.value("strength") == "50"
    assert page.selected("long_edge_px") == ["512"]
    assert page.checked("effort") == ["standard"]
    assert page.checked("colors") == ["both"]
    assert page.selected("backbone") == ["auto"]
    assert page.selected("method") == ["matching"]
    assert page.value("seed") == "0"
    assert page.value("brush") == "0"
    assert page.value("smoothness") == "50"
    assert page.value("keep_faces") == "50"
    assert page.selected("start") == ["recolored"]
    assert {page.value(f"share:{style.value}") for style in styles()} == {"50"}


def test_studio_of_a_small_machine_offers_small_sizes(
    make_app: MakeApp, enter: Callable[[Flask, str], Browser]
) -> None:
    page = enter(make_app(max_long_edge_px=300), "Ada").page("/studio")

    sizes = [o.get("value") for o in page.first("select", name="long_edge_px").iter("option")]
    assert sizes == ["256"]


def test_samples_can_be_seen(ada: Browser) -> None:
    page = ada.page("/studio")

    for source in {source for source in page.sources() if source.startswith("/static/")}:
        with ada.get(source) as response:
            assert response.status_code == 200
            size = Image.open(io.BytesIO(response.data)).size
        image = page.first("img", src=source)
        assert (int(image.get("width", "")), int(image.get("height", ""))) == size


def test_ready_pairs_choose_both_pictures(ada: Browser) -> None:
    page = ada.page("/studio")
    addresses = [a.get("href", "") for a in page.all("a", class_="pair")]
    assert len(addresses) == len(pairs())

    for address, pair in zip(addresses, pairs(), strict=True):
        chosen = ada.page(address)
        assert chosen.checked("content") == [pair.content.value]
        assert chosen.checked("styles") == [pair.style.value]


def test_order_of_samples_stores_them_as_pictures(ada: Browser, app: Flask) -> None:
    painting = row(app, painting_id_of(order(ada)))

    assert painting.content.title == "Chelsea the cat"
    assert (painting.content.width, painting.content.height) == (451, 300)
    assert [style.title for style in painting.styles] == ["Ink and wash"]
    assert storage_of(app).picture(painting.content.public_id).is_file()
    assert len(stored_files(app)) == 4


def test_order_stores_every_setting_of_the_form(ada: Browser, app: Flask) -> None:
    response = order(
        ada,
        strength="85",
        colors="photo",
        long_edge_px="768",
        effort="fine",
        backbone="vgg19",
        seed="2147483647",
        brush="-50",
        smoothness="0",
        keep_faces="25",
        method="statistics",
        start="noise",
    )

    painting = row(app, painting_id_of(response))
    assert painting.state == State.QUEUED
    assert painting.owner_id == 1
    assert painting.strength == 0.85
    assert painting.rendition_names == ["histogram", "luminance"]
    assert painting.long_edge_px == 768
    assert painting.effort == "fine"
    assert painting.backbone == "vgg19"
    assert painting.seed == 2147483647
    assert painting.progress == 0.0
    assert painting.attempt_id is None
    assert painting.renditions == []
    assert painting.settings.long_edge_px == 768
    assert painting.settings.brush_size == 0.5
    assert painting.settings.smoothness == 0.0
    assert painting.settings.keep_faces == 0.25
    assert painting.settings.method == "statistics"
    assert painting.settings.start is Start.NOISE
    assert painting.settings.animation


def test_page_from_before_an_upgrade_still_orders(ada: Browser, app: Flask) -> None:
    painting = row(app, painting_id_of(order(ada)))

    assert (painting.brush_size, painting.smoothness, painting.start) == (1.0, 0.5, "recolored")
    assert (painting.keep_faces, painting.method) == (0.5, "matching")
    assert painting.settings.style_weights == (1.0,)


@pytest.mark.parametrize(("steps", "size"), [("0", 1.0), ("50", 2.0), ("-50", 0.5), ("25", 2**0.5)])
def test_brush_sizes_are_equal_factors_apart(
    ada: Browser, app: Flask, steps: str, size: float
) -> None:
    public_id = painting_id_of(order(ada, brush=steps))

    assert row(app, public_id).brush_size == pytest.approx(size)
    assert ada.page(f"/studio?like={public_id}").value("brush") == steps


def test_shares_of_styles_become_weights(ada: Browser, app: Flask) -> None:
    first, second = styles()[0].value, styles()[1].value
    shares = {f"share:{first}": "90", f"share:{second}": "30", "share:sample:none": "7"}

    public_id = painting_id_of(order(ada, styles=[first, second], **shares))

    assert row(app, public_id).settings.style_weights == (1.8, 0.6)
    page = ada.page(f"/paintings/{public_id}")
    assert [words(caption).rpartition(", ")[2] for caption in page.all("figcaption")[1:]] == [
        "75 %",
        "25 %",
    ]
    again = ada.page(f"/studio?like={public_id}")
    shares_again = [again.value(f"share:{style}") for style in again.checked("styles")]
    assert sorted(shares_again) == ["30", "90"]


@pytest.mark.parametrize("share", ["x", "", "-5", "1e9", "999", "NaN"])
def test_odd_share_stays_within_its_range(ada: Browser, app: Flask, share: str) -> None:
    first, second = styles()[0].value, styles()[1].value

    public_id = painting_id_of(order(ada, styles=[first, second], **{f"share:{first}": share}))

    weights = row(app, public_id).settings.style_weights
    assert 0.0 <= weights[0] <= 2.0
    assert weights[1] == 1.0


def test_styles_with_no_share_at_all_are_refused(ada: Browser, app: Flask) -> None:
    page = error_page(order(ada, **{f"share:{STYLE}": "0"}))

    assert "share above 0" in words(page.by_id("styles-error"))
    assert page.value(f"share:{STYLE}") == "0"
    assert is_nothing_stored(app)


@pytest.mark.parametrize(
    ("colors", "kinds"),
    [
        ("both", ["styled", "histogram", "luminance"]),
        ("style", ["styled"]),
        ("photo", ["histogram", "luminance"]),
    ],
)
def test_colors_choose_renditions(ada: Browser, app: Flask, colors: str, kinds: list[str]) -> None:
    assert row(app, painting_id_of(order(ada, colors=colors))).rendition_names == kinds


@pytest.mark.parametrize(("typed", "strength"), [("0", 0.0), ("100", 1.0), ("5", 0.05)])
def test_strength_goes_from_nothing_to_everything(
    ada: Browser, app: Flask, typed: str, strength: float
) -> None:
    assert row(app, painting_id_of(order(ada, strength=typed))).strength == strength


def test_order_with_uploads(ada: Browser, app: Flask) -> None:
    response = order(
        ada,
        content=None,
        styles=None,
        content_file=upload(files.jpeg(64, 48), "My harbor.jpg"),
        style_files=[
            upload(files.png(40, 60), "waves.png"),
            upload(files.webp(50, 50), "sand.webp"),
        ],
    )

    painting = row(app, painting_id_of(response))
    assert painting.title == "My harbor in the style of waves and sand"
    assert (painting.content.width, painting.content.height) == (64, 48)
    assert [(style.width, style.height) for style in painting.styles] == [(40, 60), (50, 50)]
    assert not painting.content.is_style
    assert all(style.is_style for style in painting.styles)
    assert len(stored_files(app)) == 6


def test_order_with_pictures_from_the_shelf(ada: Browser, app: Flask) -> None:
    content = make_picture(ada, "Harbor")
    first = make_picture(ada, "Waves", is_style=True)
    # Used as a photo before: it may serve as a style as well.
    second = make_picture(ada, "Sand")
    assert {content, second} <= {
        i.get("value") for i in ada.page("/studio").all("input", name="content")
    }

    painting = row(app, painting_id_of(order(ada, content=content, styles=[second, first, STYLE])))

    assert painting.content.public_id == content
    titles = [style.title for style in painting.styles]
    assert titles == ["Sand", "Waves", "Ink and wash"]
    assert count(app, Picture) == 4


def test_uploaded_file_takes_precedence_over_the_chosen_picture(ada: Browser, app: Flask) -> None:
    response = order(ada, content_file=upload(files.jpeg(), "boat.jpg"))

    assert row(app, painting_id_of(response)).content.title == "boat"


def test_one_picture_may_be_photo_and_style(ada: Browser, app: Flask) -> None:
    picture = make_picture(ada)
    painting = row(app, painting_id_of(order(ada, content=picture, styles=[picture, picture])))

    assert painting.content.public_id == picture
    assert [style.public_id for style in painting.styles] == [picture]


def test_same_file_as_photo_and_style_is_stored_once(ada: Browser, app: Flask) -> None:
    response = order(
        ada,
        content_file=upload(files.jpeg(), "a.jpg"),
        styles=None,
        style_files=[upload(files.jpeg(), "b.jpg"), upload(files.jpeg(), "c.jpg")],
    )

    assert len(row(app, painting_id_of(response)).styles) == 1
    assert count(app, Picture) == 1


def test_uploads_are_on_the_shelves_afterwards(ada: Browser, ben: Browser) -> None:
    painting_id_of(order(ada, content_file=upload(files.jpeg(), "Harbor.jpg")))

    page = ada.page("/studio")
    titles = [image.get("alt") for image in page.all("img")]
    assert {"Harbor", "Ink and wash"} <= set(titles)
    assert "Harbor" not in [image.get("alt") for image in ben.page("/studio").all("img")]
    for source in page.sources():
        with ada.get(source) as response:
            assert response.status_code == 200


def test_accepted_order_shows_the_painting_and_that_it_waits(ada: Browser) -> None:
    address = order(ada).location
    assert address is not None
    page = ada.page(address)

    assert page.h1 == "Waiting"
    assert page.notices() == [
        "Your painting is saved. It waits until the queue can be reached again."
    ]
    assert "starts by itself when it is back" in page.text


def test_same_form_sent_twice_is_one_painting(ada: Browser, app: Flask) -> None:
    key = ada.page("/studio").value("idempotency_key")

    first = order(ada, idempotency_key=key, content_file=upload(files.jpeg()))
    second = order(ada, idempotency_key=key, content_file=upload(files.jpeg()))

    assert painting_id_of(first) == painting_id_of(second)
    assert count(app, Painting) == 1
    assert count(app, Picture) == 2


def test_each_page_of_the_studio_orders_another_painting(ada: Browser, app: Flask) -> None:
    assert painting_id_of(order(ada)) != painting_id_of(order(ada))
    assert count(app, Painting) == 2
    assert count(app, Picture) == 2


def test_same_idempotency_key_of_another_person_orders_another_painting(
    ada: Browser, ben: Browser, app: Flask
) -> None:
    ids = {painting_id_of(order(browser, idempotency_key="the same")) for browser in (ada, ben)}

    assert len(ids) == 2
    assert count(app, Painting) == 2


@pytest.mark.parametrize("key", [None, "", "x" * 5000, "ünïcödé"])
def test_any_idempotency_key_is_accepted(ada: Browser, app: Flask, key: str | None) -> None:
    painting_id_of(order(ada, idempotency_key=key))
    assert count(app, Painting) == 1


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Return files by name, each with a part of the answer."""
    noise = files.encode(Image.effect_noise((160, 120), 90).convert("RGB"), "JPEG")
    not_pictures = {kind: (data, "not a picture") for kind, data in files.NOT_PICTURES.items()}
    return not_pictures | {
        "empty": (b"", "is empty"),
        "half a JPEG": (noise[: len(noise) // 2], "damaged or incomplete"),
        "corrupt chunk": (files.with_broken_checksum(files.png(), b"IDAT"), "damaged"),
        "bomb": (files.png_bomb(), "13,000 × 13,000 pixels"),
        "huge bomb": (files.png_of_header(50_000, 50_000, zlib.compress(b"")), "too many pixels"),
        "one pixel": (files.png(1, 1), "only 1 × 1 pixels"),
        "line": (files.png(1000, 40), "too long and narrow"),
    }


@pytest.mark.parametrize("kind", bad_files())
def test_bad_photo_is_refused_beside_its_field(ada: Browser, app: Flask, kind: str) -> None:
    data, sentence = bad_files()[kind]

    page = error_page(order(ada, content=None, content_file=upload(data, "photo.jpg")))

    assert sentence in words(page.by_id("content-error"))
    assert sentence in page.fieldset("Photo")
    assert not page.has_id("styles-error")
    assert is_nothing_stored(app)


@pytest.mark.parametrize("kind", bad_files())
def test_bad_style_is_refused_beside_its_field(ada: Browser, app: Flask, kind: str) -> None:
    data, sentence = bad_files()[kind]
    good = upload(files.png(), "good.png")

    response = order(ada, styles=None, style_files=[good, upload(data, "evil<b>.jpg")])

    page = error_page(response)
    assert sentence in words(page.by_id("styles-error"))
    assert sentence in page.fieldset("Style")
    # With several files, the sentence names the file.
    assert "evil<b>.jpg: " in page.text
    assert "good.png" not in page.text
    assert not page.has_id("content-error")
    assert is_nothing_stored(app)


def test_all_errors_of_a_form_are_shown_at_once(ada: Browser, app: Flask) -> None:
    response = order(
        ada,
        content=None,
        content_file=upload(b""),
        styles=None,
        style_files=[upload(files.png(1, 1), "tiny.png"), upload(b"text", "letter.txt")],
        strength="101",
        seed="x",
    )

    page = error_page(response)
    for identifier in ("content-error", "styles-error", "strength-error", "seed-error"):
        assert page.has_id(identifier)
    assert "tiny.png" in page.text
    assert "letter.txt" in page.text
    assert page.by_id("seed").get("aria-invalid") == "true"
    assert is_nothing_stored(app)


def test_other_fields_keep_their_values_when_a_file_is_refused(ada: Browser) -> None:
    typed = {
        "strength": "85",
        "colors": "photo",
        "long_edge_px": "768",
        "effort": "fine",
        "backbone": "compact",
        "seed": "42",
    }

    response = order(ada, **typed, content_file=upload(b"no picture"), styles=[STYLE])

    page = error_page(response)
    assert page.value("strength") == "85"
    assert page.checked("colors") == ["photo"]
    assert page.selected("long_edge_px") == ["768"]
    assert page.checked("effort") == ["fine"]
    assert page.selected("backbone") == ["compact"]
    assert page.value("seed") == "42"
    assert page.checked("styles") == [STYLE]


def test_refused_form_can_be_corrected_and_sent_again(ada: Browser, app: Flask) -> None:
    key = ada.page("/studio").value("idempotency_key")
    page = error_page(order(ada, idempotency_key=key, seed="x"))
    assert page.value("idempotency_key") == key

    painting_id_of(order(ada, idempotency_key=key))
    assert count(app, Painting) == 1


@pytest.fixture
def small(make_app: MakeApp, enter: Callable[[Flask, str], Browser]) -> Browser:
    """Open Ada's browser on a site that accepts files of up to a megabyte."""
    return enter(make_app(max_upload_bytes=1_000_000), "Ada")


@pytest.mark.parametrize(("field", "legend"), [("content_file", "Photo"), ("style_files", "Style")])
def test_file_over_the_limit_is_refused_beside_its_field(
    small: Browser, field: str, legend: str
) -> None:
    page = error_page(order(small, **{field: upload(files.jpeg() + bytes(1_000_000))}), 413)

    assert "This file is larger than 1 MB." in page.fieldset(legend)
    assert is_nothing_stored(small.app)


def test_as_many_files_as_are_allowed_fit_into_one_request(small: Browser) -> None:
    padding = bytes(1_000_000 - len(files.jpeg()))

    response = order(
        small,
        content_file=upload(files.jpeg() + padding),
        styles=None,
        style_files=[
            upload(files.jpeg(40, 40 + i)[:-2] + b"\xff\xd9" + bytes(990_000))
            for i in range(MAX_STYLES)
        ],
    )

    assert len(row(small.app, painting_id_of(response)).styles) == MAX_STYLES


def test_samples_are_taken_where_uploads_must_be_tiny(
    make_app: MakeApp, enter: Callable[[Flask, str], Browser]
) -> None:
    ada = enter(make_app(max_upload_bytes=1000, max_upload_pixels=2000), "Ada")

    painting_id_of(order(ada))


def test_body_over_the_limit_is_cut_off(small: Browser) -> None:
    page = error_page(order(small, content_file=upload(bytes(5_600_000))), 413)

    assert page.h1 == "New painting"
    assert "Each file may have at most 1 MB." in page.fieldset("Photo")
    assert page.checked("effort") == ["standard"]
    assert is_nothing_stored(small.app)


def test_body_without_a_length_is_cut_off_at_the_limit(small: Browser) -> None:
    start = (
        b"--boundary\r\nContent-Disposition: form-data; "
        b'name="content_file"; filename="a.jpg"\r\n\r\n'
    )

    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            data = start if self.given == 0 else b"x" * len(buffer)
            self.given += len(data)
            assert self.given < 10_000_000, "read on and on"
            buffer[: len(data)] = data
            return len(data)

    response = small.client.open(
        "/studio",
        method="POST",
        content_type="multipart/form-data; boundary=boundary",
        environ_overrides={
            "wsgi.input": io.BufferedReader(Endless()),
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        },
    )

    assert response.status_code == 413
    assert is_nothing_stored(small.app)


def test_visitors_may_not_send_megabytes(visitor: Browser, app: Flask) -> None:
    response = visitor.post("/studio", {"content_file": upload(bytes(2_000_000))})

    assert response.status_code == 302
    assert response.location == "/log-in"
    assert is_nothing_stored(app)


def test_bodies_that_carry_no_files_must_be_small(ada: Browser, app: Flask) -> None:
    response = ada.post("/studio", {"seed": "1" * 600_000})

    assert response.status_code == 413
    assert is_nothing_stored(app)


def test_too_many_form_parts_are_refused(ada: Browser, app: Flask) -> None:
    response = ada.post("/studio", {f"field{i}": "x" for i in range(1100)} | {"f": upload(b"x")})

    assert response.status_code == 413
    assert is_nothing_stored(app)


def test_long_text_field_is_refused(ada: Browser, app: Flask) -> None:
    response = order(ada, seed="1" * 600_000, content_file=upload(files.jpeg()))

    assert response.status_code == 413
    assert is_nothing_stored(app)


@pytest.mark.parametrize(
    ("fields", "error", "sentence"),
    [
        ({"content": None}, "content-error", "Choose a photo, or upload one."),
        ({"styles": None}, "styles-error", "Choose a style picture, or upload one."),
        ({"content": ""}, "content-error", "Choose a photo, or upload one."),
        ({"content": "nothing"}, "content-error", "no longer there"),
        ({"content": "sample:../../config.py"}, "content-error", "no longer there"),
        ({"content": "x" * 10_000}, "content-error", "no longer there"),
        ({"content": "nul\0"}, "content-error", "no longer there"),
        ({"styles": ["nothing", STYLE]}, "styles-error", "no longer there"),
        ({"styles": [""]}, "styles-error", "no longer there"),
    ],
)
def test_missing_picture_is_an_error_beside_its_field(
    ada: Browser, app: Flask, fields: dict[str, Any], error: str, sentence: str
) -> None:
    page = error_page(order(ada, **fields))

    assert sentence in words(page.by_id(error))
    assert is_nothing_stored(app)


def test_empty_form_is_answered_with_an_error_for_each_picture(ada: Browser) -> None:
    page = error_page(ada.post("/studio"))

    assert page.has_id("content-error")
    assert page.has_id("styles-error")


def test_too_many_styles_are_refused(ada: Browser, app: Flask) -> None:
    more = [upload(files.png(40 + i, 40), f"{i}.png") for i in range(MAX_STYLES)]

    page = error_page(order(ada, style_files=more))

    assert f"at most {MAX_STYLES}" in words(page.by_id("styles-error"))
    assert is_nothing_stored(app)


@pytest.mark.parametrize("field", ["content", "styles"])
def test_picture_of_another_person_is_not_there(ada: Browser, ben: Browser, field: str) -> None:
    other = make_picture(ada)

    page = error_page(order(ben, **{field: other}))

    assert "no longer there" in words(page.by_id(f"{field}-error"))
    assert other not in page.sources()
    assert count(ada.app, Painting) == 0


BAD_NUMBERS = [
    "-1",
    "1e9",
    "NaN",
    "inf",
    "-inf",
    "10; rm",
    "1e308",
    "",
    " ",
    "[1, 2]",
    "0x10",
    "5.5",
    "9" * 5000,
    "-" + "9" * 5000,
    "9" * 30,
    "' OR 1=1--",
    "{{7*7}}",
]
BAD_CHOICES = ["", "ultra", "vgg19-torchvision", "DRAFT", "<script>", "x" * 5000]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("strength", [*BAD_NUMBERS, "101"]),
        ("seed", [*BAD_NUMBERS, str(2**31)]),
        ("long_edge_px", [*BAD_NUMBERS, "0", "511", "4096", "99999"]),
        ("effort", BAD_CHOICES),
        ("colors", BAD_CHOICES),
        # The site installs no weights that have to be downloaded.
        ("backbone", [*BAD_CHOICES, "vgg19-torchvision"]),
        ("method", BAD_CHOICES),
        ("start", BAD_CHOICES),
        # Empty values are allowed, and so are brushes finer than the style's.
        ("brush", [*sorted(set(BAD_NUMBERS) - {"", " ", "-1"}), "51", "-51"]),
        ("smoothness", [*sorted(set(BAD_NUMBERS) - {"", " "}), "101"]),
        ("keep_faces", [*sorted(set(BAD_NUMBERS) - {"", " "}), "101"]),
    ],
)
def test_bad_value_is_refused_beside_its_field(
    ada: Browser, app: Flask, field: str, values: list[str]
) -> None:
    form = {"idempotency_key": "x", "content": make_picture(ada), "styles": make_picture(ada)}
    good = {"strength": "50", "seed": "0", "long_edge_px": "512"}
    for value in values:
        page = error_page(ada.post("/studio", form | good | {field: value}))

        assert words(page.by_id(f"{field}-error")), value
        errors = [e for e in page.all("p", class_="error") if e.get("id")]
        assert len(errors) == 1, value
    assert count(app, Painting) == 0
    assert count(app, Picture) == 2


def test_field_with_an_error_says_so_to_screen_readers(ada: Browser) -> None:
    page = error_page(order(ada, strength="x", seed="x", long_edge_px="x", backbone="x"))

    for field in ("strength", "seed", "long_edge_px", "backbone"):
        assert page.by_id(field).get("aria-describedby") == f"{field}-error"
        assert page.by_id(field).get("aria-invalid") == "true"
    # The fold is open: two of the errors are in it.
    assert page.first("details").get("open") is not None


def test_fields_that_are_not_on_the_page_are_ignored(ada: Browser, ben: Browser) -> None:
    response = order(
        ben,
        owner_id="1",
        user_id="1",
        is_owner="1",
        state="done",
        progress="1",
        public_id="chosen",
        id="77",
        attempt_id="x",
    )

    painting = row(ben.app, painting_id_of(response))
    assert painting.owner_id == 2
    assert painting.state == State.QUEUED
    assert painting.id == 1
    assert painting.public_id != "chosen"
    assert ada.get(f"/paintings/{painting.public_id}").status_code == 404


def test_field_sent_twice_counts_once(ada: Browser, app: Flask) -> None:
    painting = row(app, painting_id_of(order(ada, strength=["10", "90"], seed=["1", "x"])))

    assert painting.strength == 0.1
    assert painting.seed == 1


def test_hostile_file_name_is_only_text(ada: Browser, app: Flask) -> None:
    name = "../../\u202e<img src=x onerror=alert(1)>{{7*7}}.jpg"
    page_id = painting_id_of(order(ada, content_file=upload(files.jpeg(), name)))

    page = ada.page(f"/paintings/{page_id}")
    assert "<img src=x onerror=alert(1)>{{7*7}}" in page.text
    assert "\u202e" not in page.text
    for path in stored_files(app):
        assert path.parts[0] == "pictures"
        assert path.name in {"picture.jpg", "thumbnail.webp"}


def test_order_needs_a_token(ada: Browser, app: Flask) -> None:
    assert ada.post_as_is("/studio", {"content": PHOTO, "styles": STYLE}).status_code == 400
    assert is_nothing_stored(app)


def test_studio_set_up_like_an_earlier_painting(ada: Browser) -> None:
    content, style = make_picture(ada), make_picture(ada, "Waves", is_style=True)
    earlier = make_painting(
        ada,
        content=content,
        style=style,
        strength=0.85,
        long_edge_px=768,
        effort="fine",
        backbone="vgg19",
        rendition_names=["histogram", "luminance"],
        seed=42,
        brush_size=0.5,
        smoothness=0.8,
        keep_faces=0.0,
        start="content",
    )

    page = ada.page(f"/studio?like={earlier}")

    assert page.checked("content") == [content]
    assert page.checked("styles") == [style]
    assert page.value("strength") == "85"
    assert page.selected("long_edge_px") == ["768"]
    assert page.checked("effort") == ["fine"]
    assert page.selected("backbone") == ["vgg19"]
    assert page.checked("colors") == ["photo"]
    assert page.value("seed") == "42"
    assert page.value("brush") == "-50"
    assert page.value("smoothness") == "80"
    assert page.value("keep_faces") == "0"
    assert page.selected("start") == ["content"]


@pytest.mark.parametrize("query", ["like=nothing", "content=nothing", "style=x&style=y", "like="])
def test_studio_for_an_unknown_painting_is_empty(ada: Browser, query: str) -> None:
    page = ada.page(f"/studio?{query}")

    assert page.checked("content") == page.checked("styles") == []
    assert page.value("strength") == "50"


def test_studio_shows_nothing_of_other_peoples_paintings(ada: Browser, ben: Browser) -> None:
    other = make_painting(ada, strength=0.85)
    picture = make_picture(ada, "Secret harbor")

    for query in (f"like={other}", f"content={picture}", f"style={picture}"):
        page = ben.page(f"/studio?{query}")
        assert page.value("strength") == "50"
        assert "Secret harbor" not in page.text
        assert not [source for source in page.sources() if source.startswith("/pictures/")]


def test_old_picture_is_on_the_shelf_when_it_is_chosen(ada: Browser) -> None:
    first = make_picture(ada, "First")
    for number in range(15):
        make_picture(ada, f"Later {number}")
    values = [i.get("value") for i in ada.page("/studio").all("input", name="content")]
    assert first not in values

    assert ada.page(f"/studio?content={first}").checked("content") == [first]


def test_paintings_are_queued_for_the_one_who_asked(ada: Browser, ben: Browser) -> None:
    painting_id_of(order(ada))
    painting_id_of(order(ben))

    with ada.app.app_context():
        owners = db.session.scalars(select(Painting.owner_id).order_by(Painting.id)).all()
    assert list(owners) == [1, 2]
