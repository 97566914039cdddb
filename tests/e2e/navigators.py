"""Navigators, one for each family of pages: they know the elements that people use."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Download, Locator, Page, expect

PAINTING_TIMEOUT_S = 240
"""Time for a small draft on a busy machine."""
STEP_TIMEOUT_S = 30
"""Time for the worker to begin or to stop."""


class AccountPages:
    """Sign-up, log-in, log-out, and the theme."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def sign_up(self, name: str, password: str, link: str = "/sign-up") -> None:
        self.page.goto(link)
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign up").click()

    def log_in(self, name: str, password: str) -> None:
        self.page.goto("/log-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def log_out(self) -> None:
        self.page.get_by_role("button", name="Log out").click()

    def choose_theme(self, theme: str) -> None:
        self.page.get_by_role("group", name="Look").get_by_role("button", name=theme).click()

    @property
    def background(self) -> str:
        """Color of the page's background, as the browser computes it."""
        color: str = self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return color


class StudioPage:
    """Studio, where paintings are ordered."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, query: str = "") -> None:
        self.page.goto(f"/studio{query}")

    def choose_photo_file(self, path: Path) -> None:
        self.page.locator("#content_file").set_input_files(path)

    def choose_style_files(self, *paths: Path) -> None:
        self.page.locator("#style_files").set_input_files(list(paths))

    def drop(self, slot: str, name: str, data: bytes) -> None:
        """Drop a file from outside the browser on a shelf."""
        self._dispatch(self.shelf(slot).locator("xpath=.."), "drop", "dataTransfer", name, data)

    def paste(self, name: str, data: bytes) -> None:
        self._dispatch(self.page.locator("h1"), "paste", "clipboardData", name, data)

    def shelf(self, slot: str) -> Locator:
        return self.page.locator(f'[data-shelf="{slot}"]')

    def choice(self, title: str) -> Locator:
        """Return the radio button or checkbox of a picture on a shelf."""
        return (
            self.page.locator(".choice")
            .get_by_role("radio", name=title, exact=True)
            .or_(self.page.locator(".choice").get_by_role("checkbox", name=title, exact=True))
        )

    def choose(self, title: str) -> None:
        # People see and click the label; the field itself is transparent.
        self.page.locator(".choice label").filter(has=self.page.get_by_alt_text(title)).click()

    def on_easel(self, slot: str) -> Locator:
        """Return the images on the easel in `content`, `styles` or `result`."""
        return self.page.locator(f'[data-slot="{slot}"] .mount > *')

    @property
    def result_caption(self) -> Locator:
        return self.page.locator('[data-role="result-caption"]')

    def alert(self, group: str) -> Locator:
        """Return the error beside `Photo` or `Style`."""
        return self.page.locator("fieldset.pick").filter(has_text=group).get_by_role("alert")

    @property
    def strength(self) -> Locator:
        return self.page.get_by_label("Strength")

    @property
    def size(self) -> Locator:
        return self.page.get_by_label("Size", exact=True)

    @property
    def seed(self) -> Locator:
        return self.page.get_by_label("Seed")

    def option(self, group: str, name: str) -> Locator:
        """Return a choice of `Colors` or `Effort`."""
        group_box = self.page.get_by_role("group", name=group)
        return group_box.get_by_role("radio", name=re.compile(f"^{name}"))

    def open_expert_settings(self) -> None:
        self.page.get_by_text("For experts").click()

    def ask_for_draft(self, colors: str = "Both") -> None:
        """Choose the settings with the least work."""
        self.size.select_option("256")
        self.option("Effort", "Draft").check()
        self.option("Colors", colors).check()

    def order(self) -> None:
        self.page.get_by_role("button", name="Paint it").click()

    def _dispatch(self, target: Locator, event: str, field: str, name: str, data: bytes) -> None:
        target.evaluate(
            """(target, {event, field, name, data}) => {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], name));
                const options = {bubbles: true, cancelable: true, [field]: transfer};
                const kind = event === "paste" ? ClipboardEvent : DragEvent;
                target.dispatchEvent(new kind(event, options));
            }""",
            {"event": event, "field": field, "name": name, "data": base64.b64encode(data).decode()},
        )


class PaintingPage:
    """Page of a painting, in any state."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, public_id: str) -> None:
        self.page.goto(f"/paintings/{public_id}")

    @property
    def public_id(self) -> str:
        return self.page.url.rsplit("/", 1)[1]

    @property
    def heading(self) -> Locator:
        return self.page.get_by_role("heading", level=1)

    def wait_for_heading(self, heading: str, timeout_s: float = PAINTING_TIMEOUT_S) -> None:
        """Wait until the page, which must reload by itself, has this heading."""
        expect(self.heading).to_have_text(heading, timeout=timeout_s * 1000)

    @property
    def preview(self) -> Locator:
        """Preview of the running painting."""
        return self.page.locator('[data-role="preview"]:not(.pale)')

    @property
    def percent(self) -> int:
        return int(self.page.locator('[data-role="percent"]').inner_text().removesuffix("%"))

    def show(self, name: str) -> None:
        self.page.locator(".tabs").get_by_text(name, exact=True).click()

    def tab(self, name: str) -> Locator:
        return self.page.get_by_role("radio", name=name, exact=True)

    @property
    def shown(self) -> Locator:
        """Picture that the viewer shows."""
        return self.page.locator(".frame img:visible")

    def download(self, rendition: str) -> Download:
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name=f"Download {rendition}").click()
        return download.value

    def press(self, name: str) -> None:
        """Press one of the buttons beside the painting."""
        self.page.locator("aside").get_by_role("button", name=name).click()


class GalleryPages:
    """Gallery and trash."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self) -> None:
        self.page.goto("/")

    def open_trash(self) -> None:
        self.page.goto("/trash")

    @property
    def cards(self) -> Locator:
        return self.page.locator(".card")

    def captions(self) -> Sequence[str]:
        return self.page.locator(".card .caption").all_inner_texts()

    def undo(self) -> None:
        self.page.get_by_role("button", name="Undo").click()

    @property
    def notice(self) -> Locator:
        return self.page.locator(".notice")

    @property
    def empty(self) -> Locator:
        return self.page.locator(".empty")

    def remove_for_good(self, title: str) -> None:
        self.page.get_by_role("link", name=re.compile(f"^Remove for good ?: {title}")).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Remove for good?")
        self.page.get_by_role("button", name="Remove for good").click()


class PeoplePage:
    """Page of the site's owner, with invitations."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self) -> None:
        self.page.goto("/people/")

    def invite(self, note: str) -> str:
        """Make an invitation and return its link."""
        self.page.get_by_label("For whom?").fill(note)
        self.page.get_by_role("button", name="Make an invitation link").click()
        return self.page.get_by_label(note).input_value()
