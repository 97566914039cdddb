"""End-to-end tests drive Chromium against the site as `make run` starts it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserType

from tests.browser import BrowserMissing, chromium
from tests.servers import RedisServer, Site, start_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    """The running site, one for all tests."""
    with start_site(tmp_path_factory.mktemp("site") / "instance", redis_server.url) as running:
        yield running


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any], browser_type: BrowserType
) -> dict[str, Any]:
    """Playwright's, with the Chromium of this machine."""
    try:
        path = chromium(Path(browser_type.executable_path))
    except BrowserMissing as error:
        pytest.fail(str(error), pytrace=False)
    return {**browser_type_launch_args, "executable_path": str(path)}


@pytest.fixture(scope="session")
def base_url(site: Site) -> str:
    """The site's address: pages are opened as `page.goto("/gallery")`."""
    return site.url
