"""Fixtures of the end-to-end tests: Chromium, and the site as `make run` starts it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, BrowserType, Page

from tests.browser import BrowserMissing, chromium
from tests.e2e.state import Person, clear
from tests.e2e.visitors import ErrorMonitor
from tests.servers import RedisServer, Site, start_site
from webapp import create_app
from webapp.extensions import db

ONE_THREAD = {"PIC2PAINT_TORCH_THREADS": "1"}
"""Setting that leaves the other core to the browser: with two threads, both take far longer."""

OpenPage = Callable[..., Page]
"""Type of the fixture `open_page`."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    """Start one site for all tests."""
    folder = tmp_path_factory.mktemp("site") / "instance"
    with start_site(folder, redis_server.url, **ONE_THREAD) as running:
        yield running


@pytest.fixture(scope="session")
def app(site: Site) -> Iterator[Flask]:
    """Make an application on the site's data, to set up state."""
    app = create_app(site.config)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def empty_site(app: Flask) -> Flask:
    """Empty the site: nobody has signed up."""
    clear(app)
    return app


@pytest.fixture
def owner(empty_site: Flask) -> Person:
    """Sign up the owner of a site that is otherwise empty."""
    return Person(empty_site, "Ada")


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any], browser_type: BrowserType
) -> dict[str, Any]:
    """Return Playwright's arguments with the path of Chromium."""
    try:
        path = chromium(Path(browser_type.executable_path))
    except BrowserMissing as error:
        pytest.fail(str(error), pytrace=False)
    return {**browser_type_launch_args, "executable_path": str(path)}


@pytest.fixture(scope="session")
def base_url(site: Site) -> str:
    """Return the site's address, to which `page.goto("/gallery")` is relative."""
    return site.url


@pytest.fixture
def open_page(new_context: Callable[..., BrowserContext], base_url: str) -> Iterator[OpenPage]:
    """Open browsers; afterwards, check that nothing in them went wrong.

    `open_page(person)` is logged in, `open_page()` is a visitor. `expects` names the statuses
    from 400 on that the test brings about, `address` another site than the one for all tests;
    other keywords go to Playwright's new context.
    """
    monitors: list[ErrorMonitor] = []

    def open_(
        person: Person | None = None,
        *,
        width: int = 1280,
        height: int = 800,
        expects: set[int] | None = None,
        address: str = base_url,
        **options: Any,
    ) -> Page:
        context = new_context(viewport={"width": width, "height": height}, **options)
        if person is not None:
            address = options.get("base_url", base_url)
            context.add_cookies([{**person.cookie(), "url": address}])  # type: ignore[typeddict-item]
        monitors.append(ErrorMonitor(context, expects or set()))
        return context.new_page()

    yield open_
    for monitor in monitors:
        monitor.check()
