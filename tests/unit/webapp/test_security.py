import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import PASSWORD, MakeApp, make_painting
from transfer.settings import Rendition
from webapp.models import State


def cookies(browser: Browser) -> dict[str, str]:
    """Return the Set-Cookie headers of signing up and of setting a theme, by the cookie's name."""
    answers = [
        browser.post("/sign-up", {"name": "Grace", "password": PASSWORD}),
        browser.post("/theme", {"theme": "dark"}),
    ]
    headers = [h for answer in answers for h in answer.headers.getlist("Set-Cookie")]
    return {header.partition("=")[0]: header for header in headers}


def style_sheet(browser: Browser) -> str:
    """Return the style sheet's address, which changes with the static files."""
    return browser.page("/nothing", 404).first("link", rel="stylesheet").get("href", "")


def policy(header: str) -> dict[str, list[str]]:
    parts = [part.split() for part in header.split(";")]
    return {name: values for name, *values in parts}


@pytest.fixture
def addresses(ada: Browser) -> list[str]:
    """Return addresses of pages, data, images, a redirect, errors, and a static file."""
    painting = make_painting(ada, State.RUNNING, [Rendition.STYLED], preview_version=1)
    return [
        "/",
        "/studio",
        "/people/",
        "/trash",
        f"/paintings/{painting}",
        f"/paintings/{painting}/status.json",
        f"/paintings/{painting}/styled.png",
        f"/paintings/{painting}/styled-320.webp",
        f"/paintings/{painting}/preview-1.jpg",
        "/log-in",
        "/log-out",
        "/nothing",
        "/static/nothing.css",
        style_sheet(ada),
    ]


def test_content_security_policy_allows_only_the_sites_own(
    ada: Browser, addresses: list[str]
) -> None:
    for path in addresses:
        with ada.get(path) as response:
            rules = policy(response.headers["Content-Security-Policy"])
        assert rules["default-src"] == ["'none'"]
        assert rules["script-src"] == ["'self'"]
        assert rules["style-src"] == ["'self'"]
        assert rules["connect-src"] == ["'self'"]
        assert rules["form-action"] == ["'self'"]
        assert rules["img-src"] == ["'self'", "blob:"]
        assert rules["base-uri"] == ["'none'"]
        assert rules["frame-ancestors"] == ["'none'"]
        assert not [v for values in rules.values() for v in values if "unsafe" in v or v == "*"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ],
)
def test_header_is_on_everything(ada: Browser, addresses: list[str], name: str, value: str) -> None:
    for path in addresses:
        with ada.get(path) as response:
            assert response.headers.getlist(name) == [value], path


def test_pages_and_data_are_not_cached(ada: Browser, addresses: list[str]) -> None:
    for path in addresses:
        with ada.get(path) as response:
            cache_control = response.headers["Cache-Control"]
            if response.mimetype in {"text/html", "application/json"}:
                assert cache_control == "no-store", path
            # Shared caches may keep nothing private.
            assert "public" not in cache_control or path == style_sheet(ada), path


def test_static_files_are_cached_for_an_hour(ada: Browser) -> None:
    with ada.get(style_sheet(ada)) as response:
        assert response.mimetype == "text/css"
        assert "max-age=3600" in response.headers["Cache-Control"]


def test_errors_of_the_static_folder_are_not_cached(ada: Browser) -> None:
    missing = style_sheet(ada).replace("site.css", "nothing.css")
    assert ada.get(missing).headers["Cache-Control"] == "no-store"


def test_scripts_import_each_other_from_the_same_version(ada: Browser) -> None:
    script = ada.page("/studio").first("script").get("src", "")
    folder = script.removesuffix("studio.js")

    # Imports are relative: they are found below the address of this version.
    assert folder == style_sheet(ada).replace("site.css", "js/") != "/static/js/"
    with ada.get(script) as response:
        imported = re.findall(r' from "\./([a-z]+\.js)";', response.get_data(as_text=True))
    assert imported
    for name in imported:
        with ada.get(folder + name) as response:
            assert response.mimetype == "text/javascript"


def test_cookies_are_hidden_from_scripts_and_other_sites(make_app: MakeApp) -> None:
    headers = cookies(Browser(make_app(is_new=True)))

    assert set(headers) == {"pic2paint", "theme"}
    for header in headers.values():
        assert "HttpOnly" in header
        assert "SameSite=Lax" in header
        assert "Path=/" in header
        assert "Domain" not in header
        assert "Secure" not in header


def test_cookies_behind_tls_travel_only_there(make_app: MakeApp) -> None:
    browser = Browser(make_app(is_new=True, is_https=True))
    browser.client.environ_base["wsgi.url_scheme"] = "https"
    headers = []
    secure = {"base_url": "https://localhost", "headers": {"Referer": "https://localhost/"}}
    page = browser.get("/sign-up", base_url="https://localhost")
    headers += page.headers.getlist("Set-Cookie")
    answer = browser.post("/sign-up", {"name": "Grace", "password": PASSWORD}, **secure)
    assert answer.status_code == 302
    headers += answer.headers.getlist("Set-Cookie")

    assert headers
    for header in headers:
        # The browser takes a cookie of this name only with Secure, Path=/ and no Domain.
        assert header.startswith("__Host-pic2paint=")
        assert "Secure" in header
        assert "HttpOnly" in header
        assert "SameSite=Lax" in header
        assert "Domain" not in header


def test_strict_transport_only_behind_tls(make_app: MakeApp, visitor: Browser) -> None:
    assert "Strict-Transport-Security" not in visitor.get("/log-in").headers

    response = Browser(make_app(is_https=True)).get("/log-in", base_url="https://localhost")
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_session_lasts_thirty_days(app: Flask) -> None:
    assert app.permanent_session_lifetime == timedelta(days=30)


def test_session_cookie_tells_nothing_of_the_user(ada: Browser) -> None:
    ada.get("/")
    with ada.client.session_transaction() as session:
        assert set(session) <= {"login", "csrf_token", "_permanent", "_flashes"}
        # 256 random bits, and only their hash is in the database.
        assert len(session["login"]) >= 43
        token = session["login"]
    database = ada.app.config["PIC2PAINT"].instance_dir / "pic2paint.db"
    assert token.encode() not in database.read_bytes()


def test_form_from_another_site_changes_nothing_behind_tls(make_app: MakeApp) -> None:
    browser = Browser(make_app(is_https=True))
    response = browser.post(
        "/theme",
        {"theme": "dark"},
        base_url="https://localhost",
        headers={"Referer": "https://evil.test/"},
    )

    assert response.status_code == 400
    assert browser.client.get_cookie("theme") is None


def test_body_of_a_plain_form_is_small(visitor: Browser, ada: Browser) -> None:
    for browser in (visitor, ada):
        response = browser.post("/theme", {"theme": "dark", "back": "x" * 600_000})
        assert response.status_code == 413


def test_no_page_needs_another_site(
    ada: Browser, addresses: list[str], enter: Callable[[Flask, str], Browser]
) -> None:
    for path in addresses:
        with ada.get(path) as response:
            if response.mimetype == "text/html":
                html = response.get_data(as_text=True)
                assert "https://" not in html
                assert "http://" not in html
