"""Checks of any page: layout, images, accessibility."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

PHONE = (360, 740)
"""Width and height of a phone's window, px."""
DESKTOP = (1280, 860)
"""Width and height of a desktop's window, px."""

BROKEN_IMAGES = """async () => {
    const images = [...document.images];
    for (const image of images) image.loading = "eager";
    await Promise.all(images.map((image) => image.decode().catch(() => {})));
    return images
        .filter((image) => !image.naturalWidth || !image.hasAttribute("width")
            || !image.hasAttribute("height") || !image.hasAttribute("alt"))
        .map((image) => image.outerHTML);
}"""
LAYOUT_SHIFT = """() => {
    const observer = new PerformanceObserver(() => {});
    observer.observe({type: "layout-shift", buffered: true});
    return observer.takeRecords()
        .filter((entry) => !entry.hadRecentInput)
        .reduce((sum, entry) => sum + entry.value, 0);
}"""


def check_page(page: Page, name: str) -> None:
    """Check that a page fits its width, has whole images, and does not shift while it loads."""
    content_px, window_px = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert content_px <= window_px, f"{name}: {content_px} px of content in {window_px} px"
    assert page.evaluate(BROKEN_IMAGES) == [], name
    assert page.evaluate(LAYOUT_SHIFT) == 0, name


def check_accessibility(page: Page, name: str) -> None:
    """Check a page against the rules of axe, in the light and the dark theme."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        violations = Axe().run(page).response["violations"]
        failures = [
            (violation["id"], node["html"], node["failureSummary"])
            for violation in violations
            for node in violation["nodes"]
        ]
        assert failures == [], f"{name}, {scheme}"
