from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.unit.webapp.client import Browser, Page
from tests.unit.webapp.conftest import PASSWORD, MakeApp, count, invite
from webapp.auth.access import SESSION_LIFETIME
from webapp.extensions import db, write_transaction
from webapp.models import Invitation, LoginSession, User, now

Enter = Callable[[Flask, str], Browser]


def log_in(browser: Browser, name: str = "Ada", password: str = PASSWORD) -> Page | None:
    """Log in; return the page with the error, or None."""
    response = browser.post("/log-in", {"name": name, "password": password})
    if response.status_code == 302:
        return None
    assert response.status_code == 422, response.text
    return Page(response.text)


def is_in(browser: Browser) -> bool:
    return browser.get("/").status_code == 200


def names(app: Flask) -> list[tuple[str, bool]]:
    with app.app_context():
        users = db.session.scalars(select(User).order_by(User.id)).all()
        return [(user.name, user.is_owner) for user in users]


def test_first_account_owns_the_site(new_app: Flask) -> None:
    browser = Browser(new_app)
    page = browser.page("/sign-up")
    assert "owns the site" in page.text

    response = browser.post("/sign-up", {"name": "Grace", "password": PASSWORD})

    assert (response.status_code, response.location) == (302, "/studio")
    assert names(new_app) == [("Grace", True)]
    assert browser.page("/people/").h1 == "People"


def test_log_in_page_of_a_new_site_leads_to_the_first_account(new_app: Flask) -> None:
    assert Browser(new_app).get("/log-in").location == "/sign-up"


def test_second_account_needs_an_invitation(visitor: Browser, app: Flask) -> None:
    assert visitor.page("/sign-up", 403).h1 == "An invitation is needed"

    response = visitor.post("/sign-up", {"name": "Eve", "password": PASSWORD})

    assert response.status_code == 403
    assert ("Eve", False) not in names(app)


def test_only_one_first_account_is_made(new_app: Flask) -> None:
    first, second = Browser(new_app), Browser(new_app)
    second.get("/sign-up")
    first.post("/sign-up", {"name": "Grace", "password": PASSWORD})

    response = second.post("/sign-up", {"name": "Eve", "password": PASSWORD})

    assert response.status_code == 403
    assert names(new_app) == [("Grace", True)]


def test_invitation_link_lets_one_person_in_once(ada: Browser, app: Flask) -> None:
    link = invite(ada, "for Cleo")
    cleo, eve = Browser(app), Browser(app)
    page = cleo.page(link)
    assert "You are invited" in page.text
    assert page.value("invitation") in link

    fields = {"name": "Cleo", "password": PASSWORD, "invitation": page.value("invitation")}
    assert cleo.post("/sign-up", fields).location == "/studio"
    assert eve.get(link).status_code == 403
    assert eve.post("/sign-up", fields | {"name": "Eve"}).status_code == 403

    assert names(app)[2:] == [("Cleo", False)]
    assert cleo.get("/people/").status_code == 404


def test_invitation_expires(ada: Browser, visitor: Browser, app: Flask) -> None:
    link = invite(ada)
    with app.app_context(), write_transaction() as database:
        database.execute(update(Invitation).values(expires_at=now() - timedelta(seconds=1)))

    assert visitor.get(link).status_code == 403


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b.c", "IkhlbGxvIg", "ünïcödé", "x" * 5000, "%00", "\u202e", "' OR 1=1--"],
)
def test_invalid_invitation_lets_nobody_in(visitor: Browser, token: str) -> None:
    assert visitor.get("/sign-up", query_string={"invitation": token}).status_code == 403


def test_changed_link_lets_nobody_in(ada: Browser, visitor: Browser) -> None:
    link = invite(ada)
    path, _, token = link.partition("invitation=")

    for other in (token[:-1], token[::-1], token.swapcase(), token + "x", token.split(".")[0]):
        assert visitor.get(f"{path}invitation={other}").status_code == 403


def test_invitation_of_another_site_lets_nobody_in(ada: Browser, make_app: MakeApp) -> None:
    other = make_app(secret_key="another key that is long enough")

    assert Browser(other).get(invite(ada)).status_code == 403


@pytest.mark.parametrize("name", ["Ada", "ADA", "ada", "  aDa  "])
def test_name_that_somebody_has_is_refused(ada: Browser, app: Flask, name: str) -> None:
    link = invite(ada)
    browser = Browser(app)
    token = browser.page(link).value("invitation")

    response = browser.post("/sign-up", {"name": name, "password": PASSWORD, "invitation": token})

    assert response.status_code == 422
    page = Page(response.text)
    assert "Somebody has this name" in "".join(page.by_id("name-error").itertext())
    assert page.value("invitation") == token
    # The invitation is not used up.
    fields = {"name": "Adele", "password": PASSWORD, "invitation": token}
    assert browser.post("/sign-up", fields).status_code == 302


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [
        ("Cleo", "short", "password"),
        ("Cleo", "1234567", "password"),
        ("Cleo", "", "password"),
        ("Cleo", "x" * 1025, "password"),
        ("", PASSWORD, "name"),
        ("   ", PASSWORD, "name"),
        ("x" * 41, PASSWORD, "name"),
        ("Cl\u202eeo", PASSWORD, "name"),
        ("Cl\x07eo", PASSWORD, "name"),
    ],
)
def test_unusable_name_or_password_is_refused_beside_its_field(
    new_app: Flask, name: str, password: str, field: str
) -> None:
    response = Browser(new_app).post("/sign-up", {"name": name, "password": password})

    assert response.status_code == 422
    page = Page(response.text)
    assert page.by_id(field).get("aria-invalid") == "true"
    assert page.has_id(f"{field}-error")
    assert names(new_app) == []
    assert page.value("password") == ""


@pytest.mark.parametrize(
    "password", ["12345678", "ä" * 65 + " ünïcödé 🎨", "x" * 1024, " spaces  "]
)
def test_any_password_that_is_long_enough_works_unchanged(new_app: Flask, password: str) -> None:
    browser = Browser(new_app)
    browser.post("/sign-up", {"name": "Grace", "password": password})
    browser.post("/log-out")

    page = log_in(browser, "Grace", password + "x")
    assert page is not None
    assert log_in(browser, "Grace", password) is None


def test_password_is_not_in_the_database(new_app: Flask) -> None:
    Browser(new_app).post("/sign-up", {"name": "Grace", "password": PASSWORD})

    with new_app.app_context():
        password_hash = db.session.scalars(select(User.password_hash)).one()
    assert password_hash.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert PASSWORD not in password_hash


def test_privileges_cannot_be_sent_along(ada: Browser, app: Flask) -> None:
    link = invite(ada)
    browser = Browser(app)
    token = browser.page(link).value("invitation")
    fields = {"name": "Eve", "password": PASSWORD, "invitation": token}

    browser.post("/sign-up", fields | {"is_owner": "1", "id": "1", "user_id": "1"})

    assert names(app)[2:] == [("Eve", False)]


@pytest.mark.parametrize("name", ["Ada", "ada", " ADA "])
def test_logging_in_and_out(visitor: Browser, app: Flask, name: str) -> None:
    assert not is_in(visitor)

    assert log_in(visitor, name) is None
    assert is_in(visitor)
    assert "Ada" in visitor.page("/").text

    response = visitor.post("/log-out")
    assert response.location == "/log-in"
    assert "You are logged out." in visitor.page("/log-in").notices()
    assert not is_in(visitor)


def test_unknown_name_and_wrong_password_read_the_same(visitor: Browser) -> None:
    unknown = log_in(visitor, "Nobody")
    wrong = log_in(visitor, "Ada", "not her password")

    assert unknown is not None
    assert wrong is not None
    assert "Name and password do not match." in unknown.text
    assert unknown.text == wrong.text


@pytest.mark.parametrize(("name", "password"), [("", PASSWORD), ("Ada", ""), ("", "")])
def test_log_in_with_an_empty_field_is_refused(visitor: Browser, name: str, password: str) -> None:
    assert log_in(visitor, name, password) is not None


def test_refused_log_in_keeps_the_name_but_not_the_password(visitor: Browser) -> None:
    page = log_in(visitor, '"Ada"><script>', "not her password")

    assert page is not None
    assert page.value("name") == '"Ada"><script>'
    assert page.value("password") == ""


def test_password_of_a_megabyte_is_refused(visitor: Browser) -> None:
    response = visitor.post("/log-in", {"name": "Ada", "password": "x" * 1_000_000})

    assert response.status_code == 413


def test_copied_cookie_dies_with_logging_out(ada: Browser, app: Flask) -> None:
    copy = Browser(app, cookie=ada.cookie)
    assert is_in(copy)

    ada.post("/log-out")

    assert not is_in(copy)
    assert copy.get("/studio").location == "/log-in?next=/studio"


def test_logging_out_of_one_browser_leaves_the_other(ada: Browser, visitor: Browser) -> None:
    log_in(visitor)
    ada.post("/log-out")

    assert is_in(visitor)


def test_log_in_begins_a_new_session(visitor: Browser, app: Flask) -> None:
    visitor.get("/log-in")
    before, token = visitor.cookie, visitor.token

    log_in(visitor)

    assert visitor.cookie != before
    assert not is_in(Browser(app, cookie=before))
    assert visitor.post_as_is("/log-out", {"csrf_token": token}).status_code == 400


def test_each_log_in_has_another_token(app: Flask) -> None:
    before = count(app, LoginSession)
    cookies = set()
    for _ in range(3):
        browser = Browser(app)
        log_in(browser)
        cookies.add(browser.cookie)

    assert len(cookies) == 3
    assert count(app, LoginSession) == before + 3


def test_session_ends_when_the_browser_was_away_for_long(ada: Browser, app: Flask) -> None:
    with app.app_context(), write_transaction() as database:
        database.execute(
            update(LoginSession).values(seen_at=now() - SESSION_LIFETIME - timedelta(minutes=1))
        )

    assert not is_in(ada)


def test_session_in_use_is_renewed(ada: Browser, app: Flask) -> None:
    long_ago = now() - SESSION_LIFETIME + timedelta(minutes=1)
    with app.app_context(), write_transaction() as database:
        database.execute(update(LoginSession).values(seen_at=long_ago))

    assert is_in(ada)

    with app.app_context():
        seen_at = db.session.scalars(select(LoginSession.seen_at)).all()
    assert max(seen_at) > now() - timedelta(minutes=1)


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", "e30.aaaaaa.bbbbbbbbbbbb", "x" * 4000, "%00"])
def test_invalid_cookie_is_a_visitors(app: Flask, cookie: str) -> None:
    browser = Browser(app, cookie=cookie)

    assert browser.get("/").location == "/log-in"
    assert browser.get("/log-in").status_code == 200


def test_cookie_signed_with_another_key_is_a_visitors(ada: Browser, make_app: MakeApp) -> None:
    other = make_app(secret_key="another key that is long enough")

    assert not is_in(Browser(other, cookie=ada.cookie))


@pytest.mark.parametrize("value", [7, None, ["x"], "not a token", {"a": 1}])
def test_session_with_an_invalid_token_is_a_visitors(visitor: Browser, value: object) -> None:
    with visitor.client.session_transaction() as session:
        session["login"] = value

    assert not is_in(visitor)


@pytest.mark.parametrize("target", ["/studio", "/paintings/abc?x=1", "/people/", "/?before=xyz"])
def test_log_in_leads_to_the_requested_page(visitor: Browser, target: str) -> None:
    response = visitor.post(
        "/log-in", {"name": "Ada", "password": PASSWORD}, query_string={"next": target}
    )

    assert response.location == target


@pytest.mark.parametrize(
    "target",
    [
        "//evil.test",
        "///evil.test",
        "//[",
        "/\\evil.test",
        "\\\\evil.test",
        "https://evil.test",
        "http:evil.test",
        "javascript:alert(1)",
        "evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "\t//evil.test",
        " //evil.test",
        "",
        "/\u202eevil",
    ],
)
def test_log_in_leads_to_no_other_site(visitor: Browser, target: str) -> None:
    fields = {"name": "Ada", "password": PASSWORD}
    response = visitor.post("/log-in", fields, query_string={"next": target})
    assert response.location == "/"

    again = visitor.get("/log-in", query_string={"next": target})
    assert again.location == "/"

    response = visitor.post("/theme", {"theme": "dark", "back": target})
    assert response.location == "/"


def test_page_that_needs_an_account_leads_to_it_after_logging_in(visitor: Browser) -> None:
    location = visitor.get("/studio?content=sample:photo-cat.jpg").location
    assert location is not None
    action = next(a for a in visitor.page(location).actions() if a.startswith("/log-in"))

    response = visitor.post(action, {"name": "Ada", "password": PASSWORD})

    assert response.location == "/studio?content=sample:photo-cat.jpg"


def test_people_with_an_account_need_no_second_one(ada: Browser) -> None:
    assert ada.get("/sign-up").location == "/"
    assert ada.get("/log-in").location == "/"
    assert ada.get("/log-in?next=/studio").location == "/studio"


def test_logging_out_by_a_link_is_impossible(ada: Browser) -> None:
    response = ada.get("/log-out")

    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
    assert is_in(ada)


def forged_tokens(ben: Browser) -> list[dict[str, str]]:
    return [{}, {"csrf_token": ""}, {"csrf_token": "x"}, {"csrf_token": ben.token}]


@pytest.mark.parametrize("number", range(4))
def test_form_without_a_valid_token_changes_nothing(
    ada: Browser, ben: Browser, number: int
) -> None:
    fields = forged_tokens(ben)[number]
    ada.get("/")

    response = ada.post_as_is("/log-out", fields)

    assert response.status_code == 400
    assert Page(response.text).h1 == "That did not work"
    assert is_in(ada)


def test_log_in_needs_a_csrf_token(visitor: Browser) -> None:
    visitor.get("/log-in")
    response = visitor.post_as_is("/log-in", {"name": "Ada", "password": PASSWORD})

    assert response.status_code == 400
    assert not is_in(visitor)


def test_many_attempts_to_log_in_are_stopped(make_app: MakeApp) -> None:
    visitor = Browser(make_app(login_rate="3 per minute"))
    for _ in range(3):
        assert log_in(visitor, "Ada", "guess") is not None

    response = visitor.post("/log-in", {"name": "Ada", "password": PASSWORD})

    assert response.status_code == 429
    assert Page(response.text).h1 == "Too many tries"
    assert not is_in(visitor)
    # Reading the page is no attempt.
    assert visitor.get("/log-in").status_code == 200


def test_attempts_from_one_address_do_not_stop_another(make_app: MakeApp) -> None:
    app = make_app(login_rate="1 per minute")
    guesser, visitor = Browser(app), Browser(app)
    fields = {"name": "Ada", "password": "guess"}
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert guesser.post("/log-in", fields, environ_base=elsewhere).status_code == 422
    assert guesser.post("/log-in", fields, environ_base=elsewhere).status_code == 429

    assert log_in(visitor) is None


@pytest.mark.parametrize(("hops", "status"), [(0, 429), (1, 422)])
def test_stated_address_counts_only_behind_a_proxy(
    make_app: MakeApp, hops: int, status: int
) -> None:
    visitor = Browser(make_app(login_rate="1 per minute", proxy_hops=hops))
    fields = {"name": "Ada", "password": "guess"}
    visitor.post("/log-in", fields, headers={"X-Forwarded-For": "192.0.2.1"})

    response = visitor.post("/log-in", fields, headers={"X-Forwarded-For": "192.0.2.2"})

    assert response.status_code == status


@pytest.mark.parametrize("theme", ["light", "dark", "system"])
def test_theme_is_remembered(visitor: Browser, theme: str) -> None:
    response = visitor.post("/theme", {"theme": theme, "back": "/log-in?next=/studio"})

    assert response.location == "/log-in?next=/studio"
    page = visitor.page("/log-in")
    assert page.first("html").get("data-theme") == theme
    pressed = [b.get("value") for b in page.all("button", name="theme", aria_pressed="true")]
    assert pressed in ([], [theme])


@pytest.mark.parametrize("theme", ["", "pink", '"><script>'])
def test_unknown_theme_is_not_remembered(visitor: Browser, theme: str) -> None:
    visitor.post("/theme", {"theme": theme})
    assert visitor.page("/log-in").first("html").get("data-theme") == "system"

    visitor.client.set_cookie("theme", theme)
    assert visitor.page("/log-in").first("html").get("data-theme") == "system"
