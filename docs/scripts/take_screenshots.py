"""Take the pictures of the README: the site at work, and what it paints from the samples.

Starts the site in a folder of its own, signs up, and has the shipped pairs painted at 512 px with
standard effort and all colors, as a person would. Needs Chromium; some minutes on 2 CPU cores:

    python docs/scripts/take_screenshots.py --out docs/pictures --json seconds.json
"""

import argparse
import io
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(PROJECT_ROOT))

from tests.browser import chromium  # noqa: E402
from tests.servers import start_site, wait_until  # noqa: E402
from webapp.uploads import samples  # noqa: E402

DESKTOP: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}
MAX_FILE_BYTES = 400_000
PAINTING_TIMEOUT_S = 600
SHOWN_AT = 0.3
"""Progress at which a painting at work is photographed, 0 to 1."""
README_PAIRS = 2
"""Number of pairs whose renditions are all saved."""
THUMBNAIL_EDGE_PX = 320

Seconds = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--json", type=Path, help="file for the measured seconds")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    figures = take_all(arguments.out)
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def take_all(out: Path) -> dict[str, Seconds]:
    """Paint every pair and save all pictures; the seconds of each pair by its title."""
    figures = {}
    with (
        tempfile.TemporaryDirectory(prefix="pic2paint-") as folder,
        start_site(Path(folder) / "instance") as site,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=str(chromium(Path(playwright.chromium.executable_path)))
        ) as browser,
    ):
        page = browser.new_page(base_url=site.url, viewport=DESKTOP, color_scheme="light")
        sign_up(page)
        for number, pair in enumerate(samples.pairs()):
            is_first = number == 0
            choose(page, pair)
            if is_first:
                take(page, out / "studio.webp")
            figures[pair.title] = paint(page, out / "running.webp" if is_first else None)
            if number < README_PAIRS:
                save_renditions(page, out, pair)
            if is_first:
                take(page, out / "painting.webp")
                take_on_phone(browser, page, out / "painting-phone-dark.webp")
        page.goto("/")
        take(page, out / "gallery.webp")
    return figures


def sign_up(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill("only for these pictures")
    page.get_by_role("button", name="Sign up").click()


def choose(page: Page, pair: samples.Pair) -> None:
    """Fill in the studio as the link of the ready pair does."""
    page.goto(f"/studio?content={pair.content.value}&style={pair.style.value}")
    page.get_by_label("Size", exact=True).select_option("512")
    page.get_by_role("group", name="Effort").get_by_role("radio", name="Standard").check()
    page.get_by_role("group", name="Colors").get_by_role("radio", name="Both").check()


def paint(page: Page, at_work: Path | None) -> Seconds:
    """Order what is chosen and wait; seconds from the click to each thing that can be seen.

    Args:
        page: a filled-in studio; afterwards the finished painting.
        at_work: where to save a picture of the page with a preview.
    """
    timeout_ms = PAINTING_TIMEOUT_S * 1000
    clicked = time.monotonic()
    page.get_by_role("button", name="Paint it").click()
    seconds = {}

    def passed() -> float:
        return round(time.monotonic() - clicked, 1)

    expect(page.locator('[data-role="preview"]:not(.pale)')).to_be_visible(timeout=timeout_ms)
    seconds["first preview"] = passed()
    if at_work is not None:
        progress = page.locator("progress")
        wait_until(
            lambda: float(progress.get_attribute("value") or 0) >= SHOWN_AT,
            PAINTING_TIMEOUT_S,
            f"a progress of {SHOWN_AT}",
        )
        take(page, at_work)
    expect(page.locator(".panel img").first).to_be_visible(timeout=timeout_ms)
    seconds["styled"] = passed()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile("in the style of"), timeout=timeout_ms
    )
    seconds["all"] = passed()
    return seconds


def take(page: Page, path: Path) -> None:
    """Photograph what a person sees, once every picture in it is there."""
    page.evaluate(
        """async () => {
            window.scrollTo(0, 0);
            const images = [...document.images].filter((image) => image.checkVisibility());
            for (const image of images) image.loading = "eager";
            await Promise.all(images.map((image) => image.decode().catch(() => {})));
        }"""
    )
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        save(shot.convert("RGB"), path)


def take_on_phone(browser: Browser, page: Page, path: Path) -> None:
    """Photograph the same page on a phone at night."""
    phone: Any = browser.new_context(
        viewport=PHONE,
        device_scale_factor=2,
        color_scheme="dark",
        storage_state=page.context.storage_state(),
    )
    night = phone.new_page()
    night.goto(page.url)
    take(night, path)
    phone.close()


def save_renditions(page: Page, out: Path, pair: samples.Pair) -> None:
    """Save all renditions of a pair, and small pictures of its content and style."""
    name = f"{Path(pair.content.file).stem}-{Path(pair.style.file).stem}"
    for kind in ("styled", "histogram", "luminance"):
        answer = page.request.get(f"{page.url}/{kind}.png")
        with Image.open(io.BytesIO(answer.body())) as rendition:
            rendition.convert("RGB").save(
                out / f"{name}-{kind}.jpg", quality=90, optimize=True, progressive=True
            )
    for sample in (pair.content, pair.style):
        with Image.open(sample.path) as image:
            small = image.convert("RGB")
            small.thumbnail((THUMBNAIL_EDGE_PX, THUMBNAIL_EDGE_PX), Image.Resampling.LANCZOS)
            small.save(out / f"{Path(sample.file).stem}.jpg", quality=90, optimize=True)


def save(image: Image.Image, path: Path) -> None:
    """Save as WebP, as good as the size limit allows."""
    for quality in range(90, 40, -5):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() <= MAX_FILE_BYTES:
            break
    path.write_bytes(buffer.getvalue())


if __name__ == "__main__":
    sys.exit(main())
