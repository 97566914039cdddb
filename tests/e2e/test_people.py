"""Accounts: invitations, log-in, and the theme."""

from flask import Flask
from playwright.sync_api import expect

from tests.e2e.checks import DESKTOP, PHONE, check_accessibility, check_page
from tests.e2e.conftest import OpenPage
from tests.e2e.navigators import AccountPages, GalleryPages, PaintingPage, PeoplePage
from tests.e2e.state import PASSWORD, Person

DARK = "rgb(19, 19, 19)"
LIGHT = "rgb(251, 250, 248)"


def test_invitation(owner: Person, open_page: OpenPage) -> None:
    painting_id = owner.painting()
    people = PeoplePage(open_page(owner))
    people.open()
    link = people.invite("Grace")

    page = open_page(expects={403, 404})
    AccountPages(page).sign_up("Grace", PASSWORD, link)
    expect(page.get_by_role("heading", level=1)).to_have_text("New painting")
    expect(page.get_by_role("link", name="People")).to_have_count(0)
    gallery = GalleryPages(page)
    gallery.open()
    expect(gallery.empty).to_contain_text("Nothing hangs here yet.")
    PaintingPage(page).open(painting_id)
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing here")
    page.goto(f"/paintings/{painting_id}/styled.png", wait_until="commit")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing here")

    # The link is used up.
    late = open_page(expects={403})
    late.goto(link)
    expect(late.get_by_role("heading", level=1)).to_have_text("An invitation is needed")
    people.open()
    expect(people.page.get_by_text("No open invitations.")).to_be_visible()
    expect(people.page.get_by_role("listitem").filter(has_text="Grace")).to_have_count(1)


def test_log_out_and_in(owner: Person, open_page: OpenPage) -> None:
    painting_id = owner.painting()
    page = open_page(owner, expects={422})
    painting, accounts = PaintingPage(page), AccountPages(page)
    painting.open(painting_id)
    accounts.log_out()
    expect(page.get_by_text("You are logged out.")).to_be_visible()
    # A visitor who opens an address logs in first and comes back to it.
    painting.open(painting_id)
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("Name and password do not match.")
    expect(page.get_by_label("Name")).to_have_value("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(painting.heading).to_have_text("Hill in the style of Stripes")


def test_sign_up_page(empty_site: Flask, open_page: OpenPage) -> None:
    for width, height in (PHONE, DESKTOP):
        page = open_page(width=width, height=height, expects={422})
        AccountPages(page).sign_up("Ada", "short", "/")
        expect(page.get_by_role("alert")).to_be_visible()
        check_page(page, f"sign-up at {width} px")
        check_accessibility(page, f"sign-up at {width} px")


def test_theme(owner: Person, open_page: OpenPage) -> None:
    page = open_page(owner, color_scheme="light")
    accounts = AccountPages(page)
    page.goto("/trash")
    assert accounts.background == LIGHT
    accounts.choose_theme("Dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.url.endswith("/trash")
    assert accounts.background == DARK
    # The theme stays after log-out and takes precedence over the system's.
    accounts.log_out()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert accounts.background == DARK
    accounts.choose_theme("Light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.emulate_media(color_scheme="dark")
    assert accounts.background == LIGHT
    accounts.choose_theme("System")
    expect(page.locator("html")).to_have_attribute("data-theme", "system")
    assert accounts.background == DARK
    page.emulate_media(color_scheme="light")
    assert accounts.background == LIGHT
    pressed = page.get_by_role("group", name="Look").locator("[aria-pressed=true]")
    expect(pressed).to_have_text("System")
