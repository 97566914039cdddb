"""A whole journey: sign up, order, watch, download, and remove a painting."""

import re
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenPage
from tests.e2e.navigators import AccountPages, GalleryPages, PaintingPage, StudioPage
from tests.e2e.state import PASSWORD, photo, style

TITLE = "hill in the style of stripes"
SIZE = (256, 102)
"""Width and height of the painting, px: `photo()` at the smallest long edge."""


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    path = tmp_path / "hill.jpg"
    photo().save(path)
    return path


@pytest.fixture
def style_file(tmp_path: Path) -> Path:
    path = tmp_path / "stripes.png"
    style().save(path)
    return path


def remove_painting(page: Page, title: str) -> None:
    """Move a painting to the trash, undo that, move it again, and remove it for good."""
    gallery, painting = GalleryPages(page), PaintingPage(page)
    painting.press("Move to trash")
    expect(gallery.empty).to_be_visible()
    gallery.undo()
    expect(painting.heading).to_have_text(title)
    painting.press("Move to trash")
    expect(gallery.notice).to_contain_text("Moved to the trash.")
    gallery.open_trash()
    gallery.remove_for_good(title)
    expect(gallery.notice).to_have_text("The painting is removed for good.")
    expect(gallery.empty).to_be_visible()
    gallery.open()
    expect(gallery.cards).to_have_count(0)


def check_download(painting: PaintingPage, label: str) -> None:
    download = painting.download(label)
    assert re.fullmatch(r"hill in the style of stripes \(\w+\)\.png", download.suggested_filename)
    with Image.open(download.path()) as image:
        assert (image.format, image.size) == ("PNG", SIZE)


def test_with_scripts(
    empty_site: Flask, open_page: OpenPage, photo_file: Path, style_file: Path
) -> None:
    page = open_page()
    AccountPages(page).sign_up("Ada", PASSWORD, "/")

    studio = StudioPage(page)
    studio.choose_photo_file(photo_file)
    expect(studio.on_easel("content")).to_have_attribute("alt", "hill")
    studio.choose_style_files(style_file)
    expect(studio.on_easel("styles")).to_have_attribute("alt", "stripes")
    studio.ask_for_draft()
    expect(studio.result_caption).to_have_text("Your painting, 256 × 102 px")
    studio.order()

    painting = PaintingPage(page)
    expect(painting.heading).to_have_text(re.compile("Waiting|Painting"))
    expect(painting.preview).to_be_visible(timeout=60_000)
    assert 0 <= painting.percent <= 100
    painting.wait_for_heading(TITLE)

    for label, alt in (
        ("Photo's palette", f"{TITLE}, photo's palette"),
        ("Photo's hues", f"{TITLE}, photo's hues"),
        ("Photo", "The photo: hill"),
        ("Style's colors", f"{TITLE}, style's colors"),
    ):
        painting.show(label)
        expect(painting.shown).to_have_count(1)
        expect(painting.shown).to_have_attribute("alt", alt)
    check_download(painting, "Style's colors")

    gallery = GalleryPages(page)
    gallery.open()
    assert gallery.captions() == [TITLE]
    gallery.cards.get_by_role("link").click()
    remove_painting(page, TITLE)


def test_without_scripts(
    empty_site: Flask, open_page: OpenPage, photo_file: Path, style_file: Path, tmp_path: Path
) -> None:
    page = open_page(java_script_enabled=False, expects={422})
    AccountPages(page).sign_up("Ada", PASSWORD, "/")

    studio = StudioPage(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("New painting")
    # Elements that need a script are hidden.
    expect(page.locator(".easel")).to_be_hidden()
    expect(page.get_by_text("drop or paste it here")).to_be_hidden()
    no_picture = tmp_path / "letter.jpg"
    no_picture.write_text("Dear Ada, no picture is in here.")
    studio.choose_photo_file(no_picture)
    studio.choose("Ink and wash")
    studio.ask_for_draft("From the style")
    studio.strength.fill("70")
    studio.open_expert_settings()
    studio.seed.fill("7")
    studio.order()

    expect(studio.alert("Photo")).to_contain_text("not a picture that can be read")
    expect(studio.alert("Style")).to_have_count(0)
    expect(studio.choice("Ink and wash")).to_be_checked()
    expect(studio.option("Colors", "From the style")).to_be_checked()
    expect(studio.option("Effort", "Draft")).to_be_checked()
    expect(studio.size).to_have_value("256")
    expect(studio.strength).to_have_value("70")
    expect(studio.seed).to_have_value("7")

    studio.choose_photo_file(photo_file)
    studio.choose("Ink and wash")
    studio.choose_style_files(style_file)
    studio.order()

    painting = PaintingPage(page)
    expect(painting.heading).to_have_text(re.compile("Waiting|Painting"))
    painting.wait_for_heading(TITLE)
    expect(painting.shown).to_have_attribute("alt", f"{TITLE}, style's colors")
    painting.show("Photo")
    expect(painting.shown).to_have_attribute("alt", "The photo: hill")
    painting.show("Style's colors")
    check_download(painting, "Style's colors")
    expect(page.get_by_text("70 of 100")).to_be_visible()

    gallery = GalleryPages(page)
    gallery.open()
    assert gallery.captions() == [TITLE]
    gallery.cards.get_by_role("link").click()
    remove_painting(page, TITLE)


def test_ready_pair(empty_site: Flask, open_page: OpenPage) -> None:
    page = open_page()
    AccountPages(page).sign_up("Ada", PASSWORD)
    studio = StudioPage(page)
    page.get_by_role("link", name="Coffee in stained glass").click()
    expect(studio.choice("A cup of coffee")).to_be_checked()
    expect(studio.choice("Stained glass")).to_be_checked()
    expect(studio.on_easel("content")).to_have_attribute("alt", "A cup of coffee")
    expect(studio.on_easel("styles")).to_have_attribute("alt", "Stained glass")
    expect(studio.result_caption).to_have_text("Your painting, 512 × 341 px")
