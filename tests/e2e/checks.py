"""What must hold on every page, whatever it is about."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

PHONE = (360, 740)
DESKTOP = (1280, 860)
"""Width and height of a window, px."""

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


def check_page(page: Page, what: str) -> None:
    """Everything that can be asked of any page without looking at it."""
    scrolled, shown = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert scrolled <= shown, f"{what}: {scrolled} px of content in {shown} px"
    assert page.evaluate(BROKEN_IMAGES) == [], what
    assert page.evaluate(LAYOUT_SHIFT) == 0, what


def check_for_everybody(page: Page, what: str) -> None:
    """No rule of axe is broken, by day and by night."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        violations = Axe().run(page).response["violations"]
        found = [
            (violation["id"], node["html"], node["failureSummary"])
            for violation in violations
            for node in violation["nodes"]
        ]
        assert found == [], f"{what}, {scheme}"
