"""Paintings that are stopped, cancelled, retried or continued."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.conftest import ONE_THREAD, OpenPage
from tests.e2e.navigators import STEP_TIMEOUT_S, GalleryPages, PaintingPage
from tests.e2e.state import Person
from tests.servers import start_site
from webapp import create_app
from webapp.extensions import db

LONG = {"long_edge_px": 1024, "effort": "fine"}
"""Settings with enough work to be stopped in the middle of it."""
SMALL = {"long_edge_px": 256, "effort": "draft", "size": (320, 128), "renditions": ["styled"]}


def test_stop_and_retry(owner: Person, open_page: OpenPage) -> None:
    painting_id = owner.order(**LONG)
    page = open_page(owner)
    painting = PaintingPage(page)
    painting.open(painting_id)
    expect(painting.preview).to_be_visible(timeout=60_000)
    painting.press("Stop")
    painting.wait_for_heading("Stopped", STEP_TIMEOUT_S)
    expect(page.get_by_text("this is how far it came")).to_be_visible()
    expect(painting.shown).to_have_attribute("alt", re.compile(r"\(unfinished\)$"))
    expect(page.get_by_text("It was stopped before it was finished.")).to_be_visible()
    gallery = GalleryPages(page)
    gallery.open()
    expect(gallery.cards.locator(".state")).to_have_text("Stopped")

    gallery.cards.get_by_role("link").click()
    painting.press("Paint it after all")
    # The painting begins anew: the first attempt's image is not shown as a finished one.
    painting.wait_for_heading("Painting", STEP_TIMEOUT_S)
    expect(page.get_by_text("Your painting is growing.")).to_be_visible()
    expect(painting.preview).to_be_visible(timeout=60_000)
    painting.press("Stop")
    painting.wait_for_heading("Stopped", STEP_TIMEOUT_S)


def test_cancel_before_it_begins(owner: Person, open_page: OpenPage) -> None:
    busy = owner.order(**LONG)
    page = open_page(owner)
    painting = PaintingPage(page)
    painting.open(busy)
    painting.wait_for_heading("Painting", STEP_TIMEOUT_S)
    waiting = owner.order(**SMALL)
    painting.open(waiting)
    expect(painting.heading).to_have_text("Waiting")
    expect(page.get_by_text("It is next in line")).to_be_visible()
    painting.press("Cancel")
    expect(painting.heading).to_have_text("Stopped")
    expect(page.get_by_text("You cancelled this painting before it began.")).to_be_visible()
    painting.open(busy)
    painting.press("Stop")
    painting.wait_for_heading("Stopped", STEP_TIMEOUT_S)


def test_more_strokes_and_larger(owner: Person, open_page: OpenPage) -> None:
    first = owner.order(**SMALL)
    page = open_page(owner)
    painting = PaintingPage(page)
    painting.open(first)
    painting.wait_for_heading("Hill in the style of Stripes", 60)
    # A double click is one order.
    page.get_by_role("button", name="More strokes").dblclick()
    expect(page.get_by_role("link", name="the painting of 256 px")).to_be_visible()
    painting.wait_for_heading("Hill in the style of Stripes", 60)
    expect(painting.shown).to_have_attribute("width", "256")

    page.get_by_role("link", name="the painting of 256 px").click()
    page.get_by_label("Size").select_option("512")
    page.get_by_role("button", name="Larger").click()
    expect(page.get_by_role("link", name="the painting of 256 px")).to_be_visible()
    painting.wait_for_heading("Hill in the style of Stripes", 60)
    expect(painting.shown).to_have_attribute("width", "512")
    gallery = GalleryPages(page)
    gallery.open()
    expect(gallery.cards).to_have_count(3)


def test_restart_of_the_site_keeps_paintings_and_sessions(
    tmp_path: Path, open_page: OpenPage
) -> None:
    instance_dir = tmp_path / "instance"
    with start_site(instance_dir, **ONE_THREAD) as site:
        app = create_app(site.config)
        ada = Person(app, "Ada")
        finished = ada.painting()
        page = open_page(ada, address=site.url)
        gallery, painting = GalleryPages(page), PaintingPage(page)
        running = ada.order(**LONG)
        page.goto(f"{site.url}/paintings/{running}")
        painting.wait_for_heading("Painting", STEP_TIMEOUT_S)
        port = site.environ["PORT"]
        page.goto("about:blank")
        assert site.stop() == 0
    with start_site(instance_dir, **ONE_THREAD, PORT=port):
        page.goto(f"{site.url}/paintings/{running}")
        painting.wait_for_heading("Painting", STEP_TIMEOUT_S)
        painting.press("Stop")
        painting.wait_for_heading("Stopped", STEP_TIMEOUT_S)
        page.goto(site.url)
        expect(gallery.cards).to_have_count(2)
        page.goto(f"{site.url}/paintings/{finished}")
        expect(painting.heading).to_have_text("Hill in the style of Stripes")
        expect(painting.shown).to_have_js_property("naturalWidth", 512)
        page.goto("about:blank")
    with app.app_context():
        db.engine.dispose()
