from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from tests.unit.webapp.client import Browser, Page, words
from tests.unit.webapp.conftest import count, invite
from webapp.extensions import write_transaction
from webapp.models import Invitation, now


def links(page: Page) -> list[str]:
    return [field.get("value", "") for field in page.all("input", readonly="")]


def withdrawals(page: Page) -> list[str]:
    return [action for action in page.actions() if action.endswith("/withdraw")]


def test_owner_sees_who_is_here(ada: Browser) -> None:
    page = ada.page("/people/")

    assert page.h1 == "People"
    assert "Ada owns the site" in page.text
    assert "Ben since" in page.text
    assert links(page) == []


def test_others_see_no_such_page(ben: Browser, ada: Browser, app: Flask) -> None:
    invite(ada)
    invitations = count(app, Invitation)

    assert "/people/" not in ben.page("/").links()
    assert ben.get("/people/").status_code == 404
    assert ben.post("/people/invitations", {"note": "me"}).status_code == 404
    assert ben.post("/people/invitations/2/withdraw").status_code == 404
    assert count(app, Invitation) == invitations


def test_invitation_is_listed_with_its_link(ada: Browser) -> None:
    ada.post("/people/invitations", {"note": "  Cleo   from  work "})

    page = ada.page("/people/")

    assert "new invitation link" in page.notices()[0]
    (link,) = links(page)
    assert link.startswith("http://localhost/sign-up?invitation=")
    assert "Cleo from work" in [words(label) for label in page.all("label")]


def test_every_invitation_has_its_own_link(ada: Browser) -> None:
    for _ in range(3):
        invite(ada)

    assert len(set(links(ada.page("/people/")))) == 3


def test_withdrawn_invitation_lets_nobody_in(ada: Browser, visitor: Browser, app: Flask) -> None:
    link = invite(ada)
    assert visitor.get(link).status_code == 200
    (action,) = withdrawals(ada.page("/people/"))

    assert ada.post(action).location == "/people/"

    page = ada.page("/people/")
    assert page.notices() == ["The invitation is withdrawn."]
    assert links(page) == []
    assert visitor.get(link).status_code == 403


def test_used_invitation_cannot_be_withdrawn(ada: Browser, app: Flask) -> None:
    # Ben came by the first one.
    before = count(app, Invitation)

    ada.post("/people/invitations/1/withdraw")

    assert count(app, Invitation) == before


@pytest.mark.parametrize("number", ["0", "99999", "2147483647"])
def test_withdrawing_what_is_not_there_does_nothing(ada: Browser, number: str) -> None:
    assert ada.post(f"/people/invitations/{number}/withdraw").status_code == 302


@pytest.mark.parametrize("number", ["-1", "x", "2147483648", "9" * 30, "9" * 5000, "1.5"])
def test_impossible_numbers_are_no_addresses(ada: Browser, number: str) -> None:
    assert ada.post(f"/people/invitations/{number}/withdraw").status_code == 404


def test_expired_invitations_are_not_listed(ada: Browser, app: Flask) -> None:
    invite(ada)
    with app.app_context(), write_transaction() as database:
        database.execute(update(Invitation).values(expires_at=now() - timedelta(seconds=1)))

    assert links(ada.page("/people/")) == []


def test_note_is_text(ada: Browser) -> None:
    note = "<img src=x onerror=alert(1)> {{ 7*7 }}"
    ada.post("/people/invitations", {"note": note})

    assert note in ada.page("/people/").text


def test_note_that_is_too_long_is_refused_beside_its_field(ada: Browser, app: Flask) -> None:
    before = count(app, Invitation)

    response = ada.post("/people/invitations", {"note": "x" * 121})

    assert response.status_code == 422
    page = Page(response.text)
    assert words(page.by_id("note-error")) == "Use at most 120 characters."
    assert page.value("note") == "x" * 121
    assert count(app, Invitation) == before


def test_invitations_are_not_made_by_a_link(ada: Browser, app: Flask) -> None:
    before = count(app, Invitation)

    assert ada.get("/people/invitations").status_code == 405
    assert ada.post_as_is("/people/invitations", {"note": ""}).status_code == 400
    assert count(app, Invitation) == before
