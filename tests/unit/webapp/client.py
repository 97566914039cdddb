"""Test client that checks every page and every header that it gets."""

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

from flask import Flask
from werkzeug.test import TestResponse

VOID = {"br", "hr", "img", "input", "link", "meta", "source"}

HEADERS_OF_ALL = {
    "Content-Security-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Permissions-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
}


class Page:
    """One page of HTML, checked when it is parsed."""

    def __init__(self, html: str) -> None:
        assert html.lstrip().startswith("<!doctype html>"), html[:80]
        parser = _TreeParser()
        parser.feed(html)
        self.root = parser.close_tree()
        self._check_headings()
        self._check_ids()
        self._check_images()
        self._check_forms()
        self._check_that_nothing_is_inline()
        # The content of a template is not on the page before a script copies it.
        for parent in list(self.root.iter()):
            for template in parent.findall("template"):
                parent.remove(template)

    @property
    def h1(self) -> str:
        """Text of the page's heading."""
        return words(self.first("h1"))

    @property
    def text(self) -> str:
        """Text of the page's body."""
        return words(self.first("body"))

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of a tag that have these attributes."""
        return [
            element
            for element in self.root.iter(tag)
            if all(element.get(name.rstrip("_")) == value for name, value in attributes.items())
        ]

    def first(self, tag: str, **attributes: str) -> Element:
        """Return the first element of a tag that has these attributes."""
        elements = self.all(tag, **attributes)
        assert elements, f"no <{tag}> with {attributes}"
        return elements[0]

    def by_id(self, identifier: str) -> Element:
        """Return the element of this id."""
        return next(element for element in self.root.iter() if element.get("id") == identifier)

    def has_id(self, identifier: str) -> bool:
        """Return whether an element has this id."""
        return any(element.get("id") == identifier for element in self.root.iter())

    def fieldset(self, legend: str) -> str:
        """Return the text of the fieldset whose legend begins with ``legend``."""
        return next(
            words(element)
            for element in self.all("fieldset")
            if words(next(element.iter("legend"))).startswith(legend)
        )

    def links(self) -> list[str]:
        """Return the addresses of the page's links."""
        return [element.get("href", "") for element in self.all("a")]

    def sources(self) -> list[str]:
        """Return the addresses of the page's images."""
        return [element.get("src", "") for element in self.all("img")]

    def actions(self) -> list[str]:
        """Return the addresses that the page's forms are sent to."""
        return [element.get("action", "") for element in self.all("form")]

    def checked(self, name: str) -> list[str]:
        """Return the checked values of radio buttons or checkboxes."""
        return [
            element.get("value", "")
            for element in self.all("input", name=name)
            if element.get("checked") is not None
        ]

    def selected(self, name: str) -> list[str]:
        """Return the chosen values of a select field."""
        return [
            option.get("value", "")
            for option in self.first("select", name=name).iter("option")
            if option.get("selected") is not None
        ]

    def value(self, name: str) -> str:
        """Return the value of an input field."""
        return self.first("input", name=name).get("value", "")

    def notices(self) -> list[str]:
        """Return the flashed messages at the top of the page."""
        return [words(element) for element in self.all("div", class_="notice")]

    def _check_headings(self) -> None:
        assert len(self.all("h1")) == 1
        assert self.h1
        assert words(self.first("title")).startswith(self.h1)

    def _check_ids(self) -> None:
        ids = [element.get("id") for element in self.root.iter() if element.get("id") is not None]
        assert len(ids) == len(set(ids)), f"an id occurs twice: {sorted(map(str, ids))}"
        assert all(ids), "an id is empty"
        for label in self.all("label"):
            assert label.get("for") in ids, f"label {words(label)!r} is for nothing"
        for element in self.root.iter():
            for attribute in ("aria-describedby", "aria-labelledby"):
                for identifier in element.get(attribute, "").split():
                    assert identifier in ids, f"{attribute}={identifier} leads nowhere"
        labelled = {label.get("for") for label in self.all("label")}
        for field in (*self.all("input"), *self.all("select"), *self.all("textarea")):
            is_hidden = field.get("type") in {"hidden", "submit"}
            assert is_hidden or field.get("id") in labelled, f"no label: {field.attrib}"

    def _check_images(self) -> None:
        for image in self.all("img"):
            assert image.get("alt") is not None, image.attrib
            assert int(image.get("width", "0")) > 0, image.attrib
            assert int(image.get("height", "0")) > 0, image.attrib

    def _check_forms(self) -> None:
        for form in self.all("form"):
            assert form.get("action"), "a form has no action"
            assert form.get("method") in {"get", "post"}
            if form.get("method") == "post":
                tokens = [i for i in form.iter("input") if i.get("name") == "csrf_token"]
                assert len(tokens) == 1
                assert tokens[0].get("value")

    def _check_that_nothing_is_inline(self) -> None:
        assert not self.all("style")
        for element in self.root.iter():
            assert element.get("style") is None, element.attrib
            handlers = [name for name in element.attrib if name.startswith("on")]
            assert not handlers, handlers
            for name in ("href", "src", "action"):
                assert not element.get(name, "").startswith(("javascript:", "http:", "//"))
        for script in self.all("script"):
            assert script.get("src", "").startswith("/static/")
            assert not words(script)


def words(element: Element) -> str:
    """Return an element's text on one line."""
    return " ".join("".join(element.itertext()).split())


class Browser:
    """Flask's test client, which adds CSRF tokens and checks every answer."""

    def __init__(self, app: Flask, name: str = "", cookie: str | None = None) -> None:
        self.app = app
        self.name = name
        self.client = app.test_client()
        self._token: str | None = None
        if cookie is not None:
            self.client.set_cookie(self.cookie_name, cookie)

    @property
    def cookie_name(self) -> str:
        """Name of the session cookie."""
        name: str = self.app.config["SESSION_COOKIE_NAME"]
        return name

    @property
    def cookie(self) -> str | None:
        """Value of the session cookie."""
        cookie = self.client.get_cookie(self.cookie_name)
        return None if cookie is None else cookie.value

    def get(self, path: str, **options: Any) -> TestResponse:
        """Fetch an address and check the answer."""
        return self._check(self.client.get(path, **options))

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        """Send a form with a valid CSRF token, as a page of the site does, and check the answer."""
        data = {"csrf_token": self.token} | (data or {})
        response = self.post_as_is(path, data, **options)
        if path.startswith(("/log-in", "/log-out", "/sign-up")):
            self._token = None
        return response

    def post_as_is(self, path: str, data: Any = None, **options: Any) -> TestResponse:
        """Send a form without adding a CSRF token, and check the answer."""
        return self._check(self.client.post(path, data=data, **options))

    def page(self, path: str, status: int = 200) -> Page:
        """Fetch a page and parse it."""
        response = self.get(path)
        assert response.status_code == status, response.text
        return Page(response.text)

    @property
    def token(self) -> str:
        """Valid CSRF token of this session, from the latest page."""
        if self._token is None:
            self.get("/an/address/that/does/not/exist")
        assert self._token is not None
        return self._token

    def _check(self, response: TestResponse) -> TestResponse:
        # Flask's client leaves the temporary files of large bodies open.
        response.request.environ["wsgi.input"].close()
        missing = HEADERS_OF_ALL - set(response.headers.keys())
        assert not missing, missing
        if response.mimetype == "text/html" and not 300 <= response.status_code < 400:
            Page(response.text)
            assert response.headers["Cache-Control"] == "no-store"
            token = re.search(r'name="csrf_token" value="([^"]+)"', response.text)
            assert token is not None
            self._token = token[1]
        return response


class _TreeParser(HTMLParser):
    """Parser that builds a tree and refuses elements that are not closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._builder = TreeBuilder()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self._builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in VOID:
            self._builder.end(tag)
        else:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> closes another element"
        self._builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self._builder.data(data)

    def close_tree(self) -> Element:
        self.close()
        assert not self._open, f"not closed: {self._open}"
        return self._builder.close()
