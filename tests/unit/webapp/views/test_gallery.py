from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from tests.unit.webapp.client import Browser, Page
from tests.unit.webapp.conftest import MakeApp, change, make_painting, make_picture
from webapp.extensions import db
from webapp.models import State, now


def wall(page: Page) -> list[str]:
    """Return the public ids on a page, in order."""
    return [
        link.removeprefix("/paintings/") for link in page.links() if link.startswith("/paintings/")
    ]


def older(page: Page) -> str | None:
    return next((a.get("href") for a in page.all("a", rel="next")), None)


def newer(page: Page) -> str | None:
    return next((a.get("href") for a in page.all("a", rel="prev")), None)


def paint(owner: Browser, number: int) -> list[str]:
    content, style = make_picture(owner), make_picture(owner, "Waves", is_style=True)
    return [make_painting(owner, State.QUEUED, content=content, style=style) for _ in range(number)]


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    log: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        log.append(statement.lower())

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield log
    event.remove(engine, "before_cursor_execute", note)


def test_visitors_are_asked_to_log_in(visitor: Browser) -> None:
    assert visitor.get("/").location == "/log-in"


def test_empty_wall_leads_to_the_studio(ada: Browser) -> None:
    page = ada.page("/")

    assert page.h1 == "Gallery"
    assert "Nothing hangs here yet." in page.text
    assert "/studio" in page.links()
    assert older(page) is newer(page) is None


def test_newest_hangs_first(ada: Browser, ben: Browser) -> None:
    paintings = [make_painting(ada, state) for state in State]
    make_painting(ben)

    assert wall(ada.page("/")) == paintings[::-1]


def test_each_state_has_its_words_and_an_image(ada: Browser) -> None:
    make_painting(ada, State.RUNNING, progress=0.42, preview_version=1)
    for state in State:
        make_painting(ada, state)

    page = ada.page("/")

    for words in ("Waiting", "Painting, 42 %", "Painting, 0 %", "Failed", "Stopped"):
        assert words in page.text
    assert len(page.sources()) == 6
    sets = [i.get("srcset", "") for i in page.all("img") if i.get("srcset")]
    addresses = [entry.split()[0] for entry in ",".join(sets).split(",")]
    assert len(addresses) == 3
    for source in [*page.sources(), *addresses]:
        with ada.get(source) as response:
            assert response.status_code == 200, source


def test_sixty_paintings_are_paged_forwards_and_back(ada: Browser) -> None:
    newest_first = paint(ada, 60)[::-1]
    paint(Browser(ada.app, "Ben"), 3)

    first = ada.page("/")
    assert wall(first) == newest_first[:24]
    assert newer(first) is None
    second = ada.page(older(first) or "")
    assert wall(second) == newest_first[24:48]
    third = ada.page(older(second) or "")
    assert wall(third) == newest_first[48:]
    assert older(third) is None

    back = ada.page(newer(third) or "")
    assert wall(back) == wall(second)
    assert older(back) == older(second)
    start = ada.page(newer(back) or "")
    assert wall(start) == wall(first)
    assert newer(start) is None


def test_any_page_costs_the_same_few_queries(ada: Browser) -> None:
    paintings = paint(ada, 60)
    for path in ("/", f"/?before={paintings[30]}", f"/?after={paintings[3]}"):
        with statements(ada.app) as log:
            ada.page(path)
        queries = [s for s in log if s.startswith("select")]
        assert len(queries) <= 6
        assert not [s for s in log if "count(" in s or " offset " in s.replace("offset ?", "")]


def test_exactly_one_page_has_no_neighbors(ada: Browser) -> None:
    paint(ada, 24)
    page = ada.page("/")

    assert len(wall(page)) == 24
    assert older(page) is newer(page) is None


def test_page_size_is_a_setting(make_app: MakeApp, enter: Callable[[Flask, str], Browser]) -> None:
    ada = enter(make_app(gallery_page_size=2), "Ada")
    paintings = paint(ada, 3)

    page = ada.page("/")
    assert wall(page) == paintings[:0:-1]
    assert wall(ada.page(older(page) or "")) == paintings[:1]


@pytest.mark.parametrize(
    "query",
    ["before=nothing", "after=nothing", "before=1", "before=' OR 1=1--", "before=&after=", "n=9"],
)
def test_unknown_position_is_the_first_page(ada: Browser, query: str) -> None:
    paintings = paint(ada, 3)

    assert wall(ada.page(f"/?{query}")) == paintings[::-1]


def test_other_peoples_paintings_are_no_position(ada: Browser, ben: Browser) -> None:
    own = paint(ada, 2)
    (other,) = paint(ben, 1)

    assert wall(ada.page(f"/?before={other}")) == own[::-1]
    assert wall(ada.page(f"/?after={other}")) == own[::-1]


def test_what_is_in_the_trash_is_not_on_the_wall(ada: Browser, app: Flask) -> None:
    painting, trashed = make_painting(ada), make_painting(ada)
    change(app, trashed, trashed_at=now())

    assert wall(ada.page("/")) == [painting]
    assert set(wall(ada.page("/trash"))) - {f"{trashed}/restore"} == {trashed}


def test_page_after_one_that_went_to_the_trash(ada: Browser, app: Flask) -> None:
    paintings = paint(ada, 30)
    change(app, paintings[10], state=State.CANCELLED, trashed_at=now())

    # A page that was open before has a link from there.
    assert wall(ada.page(f"/?before={paintings[10]}")) == paintings[9::-1]


def test_nothing_newer_is_the_first_page(ada: Browser) -> None:
    paintings = paint(ada, 2)

    page = ada.page(f"/?after={paintings[-1]}")

    assert wall(page) == paintings[::-1]
