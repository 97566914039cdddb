"""Every page in every state: on phone and desktop, in both themes, by keyboard, with axe."""

import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.e2e.checks import DESKTOP, PHONE, check_accessibility, check_page
from tests.e2e.conftest import OpenPage
from tests.e2e.navigators import PaintingPage, PeoplePage, StudioPage
from tests.e2e.slow_line import slow_line
from tests.e2e.state import Person, clear
from tests.servers import Site
from webapp.models import State

LONG_TITLE = "IMG_20240611_184210_a_very_long_name_from_a_camera_without_any_spaces"


class FullSite:
    """Site with a painting in every state; its worker is stopped, so that nothing changes."""

    def __init__(self, app: Flask) -> None:
        """Set up the accounts and paintings."""
        self.owner = Person(app, "Ada Lovelace")
        self.guest = Person(app, "Grace")
        ada = self.owner
        self.done = ada.painting(size=(640, 480), title="Harbor in the morning")
        self.one_color = ada.painting(size=(480, 640), renditions=["styled"], title="Tower")
        self.wide = ada.painting(size=(1200, 200), renditions=["luminance"], title=LONG_TITLE)
        self.queued = ada.painting(State.QUEUED, size=(600, 400), title="Cup")
        self.begun = ada.painting(State.RUNNING, size=(620, 400), title="Roof")
        self.running = ada.painting(
            State.RUNNING, size=(400, 600), title="Cat", has_preview=True, progress=0.37
        )
        self.half_done = ada.painting(
            State.RUNNING, size=(500, 500), title="Rose", finished=["styled"], progress=0.7
        )
        self.failed = ada.painting(
            State.FAILED,
            size=(640, 400),
            title="Dog",
            failure_reason="The disk is full. Ask the owner.",
        )
        self.stopped = ada.painting(
            State.CANCELLED, size=(700, 400), title="Boat", finished=["styled"], progress=0.4
        )
        self.cancelled = ada.painting(State.CANCELLED, size=(660, 400), title="Car")
        self.trashed = ada.painting(size=(640, 500), title="Fog", trashed=True)
        ada.painting(State.FAILED, size=(300, 500), title="Rain", trashed=True)


@pytest.fixture(scope="module")
def full_site(site: Site, app: Flask) -> Iterator[FullSite]:
    site.control("stop", "worker")
    clear(app)
    yield FullSite(app)
    clear(app)
    site.control("start", "worker")


def with_errors(page: Page) -> None:
    studio = StudioPage(page)
    studio.open()
    studio.open_expert_settings()
    studio.seed.fill("-1")
    studio.order()
    expect(studio.alert("Photo")).to_be_visible()


def with_easel(page: Page) -> None:
    studio = StudioPage(page)
    studio.open()
    studio.open_expert_settings()
    for title in ("Rocket at dusk", "Stained glass", "Ink and wash"):
        studio.choose(title)


def with_invitation(page: Page) -> None:
    people = PeoplePage(page)
    people.open()
    if not page.get_by_label("Charles Babbage").count():
        people.invite("Charles Babbage")


def with_refused_log_in(page: Page) -> None:
    page.goto("/log-in")
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()


PAINTINGS = (
    *("done", "one_color", "wide", "queued", "begun", "running", "half_done"),
    *("failed", "stopped", "cancelled", "trashed"),
)
PAGES: dict[str, tuple[str | None, Callable[[Page, FullSite], object]]] = {
    "gallery": ("owner", lambda page, _: page.goto("/")),
    "gallery-empty": ("guest", lambda page, _: page.goto("/")),
    "trash": ("owner", lambda page, _: page.goto("/trash")),
    "trash-empty": ("guest", lambda page, _: page.goto("/trash")),
    "confirm": ("owner", lambda page, full_site: page.goto(f"/trash/{full_site.trashed}/remove")),
    "studio": ("owner", lambda page, _: with_easel(page)),
    "studio-first": ("guest", lambda page, _: page.goto("/studio")),
    "studio-errors": ("owner", lambda page, _: with_errors(page)),
    "people": ("owner", lambda page, _: with_invitation(page)),
    "log-in": (None, lambda page, _: with_refused_log_in(page)),
    "invitation-needed": (None, lambda page, _: page.goto("/sign-up")),
    "nothing-here": ("owner", lambda page, _: page.goto("/nowhere")),
}
"""Name of a page -> the attribute of `FullSite` that opens it (None: a visitor), and how."""


def test_page_that_arrives_in_parts_does_not_shift(
    full_site: FullSite, open_page: OpenPage, base_url: str
) -> None:
    with slow_line(base_url, break_after=b"Gallery</a>", pause_s=1.0) as address:
        page = open_page(full_site.owner, width=PHONE[0], height=PHONE[1])
        page.goto(f"{address}/paintings/{full_site.done}")
        check_page(page, "done over a slow line")


@pytest.mark.parametrize("name", [*PAINTINGS, *PAGES])
def test_page(full_site: FullSite, open_page: OpenPage, name: str) -> None:
    person_name, visit = PAGES.get(name, ("owner", None))
    person = None if person_name is None else getattr(full_site, person_name)
    for width, height in (PHONE, DESKTOP):
        page = open_page(person, width=width, height=height, expects={403, 404, 422})
        if visit is None:
            page.goto(f"/paintings/{getattr(full_site, name)}")
        else:
            visit(page, full_site)
        check_page(page, f"{name} at {width} px")
        check_accessibility(page, f"{name} at {width} px")


# A group of radio buttons is one stop of the Tab key.
TAB_STOPS = """() => {
    const stops = new Map();
    for (const e of document.querySelectorAll(
        "a[href], button, input:not([type=hidden]), select, textarea, summary"
    )) {
        if (e.disabled || !e.checkVisibility()) continue;
        const isRadio = e.type === "radio";
        const key = isRadio ? `radio ${e.name}` : stops.size;
        if (!isRadio || e.checked || !stops.has(key)) stops.set(key, e);
    }
    return [...stops.values()].map((e) => e.outerHTML);
}"""
# The outline may be on the control or on its label.
FOCUS = """() => {
    const e = document.activeElement;
    if (e === document.body) return null;
    const isMarked = [e, ...(e.labels ?? [])].some((shown) => {
        const {outlineStyle, outlineWidth} = getComputedStyle(shown);
        return outlineStyle !== "none" && parseFloat(outlineWidth) > 0;
    });
    return [e.outerHTML, isMarked];
}"""


@pytest.mark.parametrize("address", ["/studio", "/", "/trash", "/people/", "done", "running"])
def test_tab_reaches_everything(full_site: FullSite, open_page: OpenPage, address: str) -> None:
    page = open_page(full_site.owner)
    painting_id = getattr(full_site, address, None)
    page.goto(f"/paintings/{painting_id}" if painting_id else address)
    expected = page.evaluate(TAB_STOPS)
    reached: list[str] = []
    for _ in expected:
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus is not None, f"the focus left the page after {reached[-1:]}"
        html, is_marked = focus
        assert is_marked, f"no outline shows that this has the focus: {html}"
        reached.append(html)
    assert reached == expected


def test_keys(full_site: FullSite, open_page: OpenPage) -> None:
    page = open_page(full_site.owner)
    page.goto("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")

    painting = PaintingPage(page)
    painting.open(full_site.done)
    painting.tab("Style's colors").focus()
    for alt in ("photo's palette", "photo's hues", "The photo", "style's colors"):
        page.keyboard.press("ArrowRight")
        expect(painting.shown).to_have_attribute("alt", re.compile(alt))

    studio = StudioPage(page)
    studio.open()
    first = studio.shelf("content").get_by_role("radio").first
    first.focus()
    page.keyboard.press("Space")
    expect(first).to_be_checked()
    page.keyboard.press("ArrowRight")
    second = studio.shelf("content").get_by_role("radio").nth(1)
    expect(second).to_be_checked()
    expect(second).to_be_focused()
    title = second.locator("xpath=..").locator("img").get_attribute("alt")
    expect(studio.on_easel("content")).to_have_attribute("alt", str(title))
    styles = studio.shelf("styles").get_by_role("checkbox")
    styles.first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(studio.on_easel("styles")).to_have_count(2)
    page.keyboard.press("Space")
    expect(studio.on_easel("styles")).to_have_count(1)
