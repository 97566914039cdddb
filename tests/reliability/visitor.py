"""A visitor with a browser, who logs in, fills in the studio's form and reads the answers."""

import time
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Self
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

TIMEOUT_S = 40


@dataclass(frozen=True)
class Answer:
    """The site's answer to a request, after redirects."""

    status: int
    url: str
    text: str
    seconds: float

    @property
    def painting_id(self) -> str | None:
        """Public id of the painting whose page it is, or None."""
        head, found, public_id = self.url.partition("/paintings/")
        return public_id.partition("?")[0] if head and found else None


class Visitor:
    """A browser session of one user.

    Args:
        url: the site's address.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._browser: OpenerDirector = build_opener(HTTPCookieProcessor(CookieJar()))

    @classmethod
    def log_in(cls, url: str, name: str, password: str) -> Self:
        """Log in by the form."""
        visitor = cls(url)
        form = visitor.fields("/log-in")
        answer = visitor.send("/log-in", {**form, "name": name, "password": password})
        if answer.status != 200 or answer.url.endswith("/log-in"):
            raise RuntimeError(f"{name} could not log in: status {answer.status}")
        return visitor

    def get(self, path: str) -> Answer:
        """Request a page."""
        return self._ask(path, None)

    def send(self, path: str, fields: dict[str, str]) -> Answer:
        """Send a form."""
        return self._ask(path, urlencode(fields).encode())

    def fields(self, path: str) -> dict[str, str]:
        """Return the hidden fields of the forms on a page, such as its tokens."""
        return hidden_fields(self.get(path).text)

    def studio_form(
        self, pictures: tuple[str, str], seed: int, long_edge_px: int
    ) -> dict[str, str]:
        """Fetch the studio's page, and return its form, filled in."""
        return order_fields(self.fields("/studio"), pictures, seed, long_edge_px)

    def _ask(self, path: str, body: bytes | None) -> Answer:
        began = time.monotonic()
        try:
            with self._browser.open(self._url + path, body, TIMEOUT_S) as answer:
                status, url, text = answer.status, answer.url, answer.read().decode()
        except HTTPError as error:
            with error:
                status, url, text = error.code, error.url, error.read().decode()
        return Answer(status, url, text, time.monotonic() - began)


def hidden_fields(text: str) -> dict[str, str]:
    """Return the hidden fields of the forms in a page's text."""
    parser = _HiddenFields()
    parser.feed(text)
    return parser.fields


def order_fields(
    hidden: dict[str, str], pictures: tuple[str, str], seed: int, long_edge_px: int
) -> dict[str, str]:
    """Fill in the studio's form for a draft of a photo and a style."""
    return {
        "csrf_token": hidden["csrf_token"],
        "idempotency_key": hidden["idempotency_key"],
        "content": pictures[0],
        "styles": pictures[1],
        "long_edge_px": str(long_edge_px),
        "strength": "50",
        "effort": "draft",
        "backbone": "compact",
        "colors": "photo",
        "seed": str(seed),
    }


class _HiddenFields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a hidden field's value."""
        values = dict(attrs)
        if tag == "input" and values.get("type") == "hidden" and values.get("name"):
            self.fields[values["name"] or ""] = values.get("value") or ""
