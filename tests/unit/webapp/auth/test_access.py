"""Access to every route of the site, by every kind of visitor."""

from typing import Any

import pytest
from flask import Flask, url_for
from werkzeug.routing import Rule

from tests.servers import make_config
from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import count, make_painting, make_picture, row, stored_files
from webapp import create_app
from webapp.models import Painting, Picture, State, now

FOR_ALL = {
    "static",
    "accounts.log_in",
    "accounts.log_out",
    "accounts.set_theme",
    "accounts.sign_up",
    "health.healthz",
    "health.metrics",
}
"""Routes for everybody, with or without an account."""
FOR_MEMBERS = {
    "gallery.index",
    "pictures.upload",
    "studio.index",
    "studio.order",
    "studio.show_forecast",
    "trash.index",
}
"""Routes for everybody with an account."""
FOR_THE_SITES_OWNER = {"admin.index", "admin.invite", "admin.withdraw"}
"""Routes for the owner of the site."""
FOR_ITS_OWNER = {
    "painting.show": 200,
    "painting.status": 200,
    "painting.cancel": 303,
    "painting.retry": 303,
    "painting.paint_again": 303,
    "painting.paint_more": 303,
    "painting.paint_larger": 303,
    "painting.move_to_trash": 302,
    "painting.restore": 303,
    "trash.confirm_removal": 200,
    "trash.remove": 302,
    "media.animation": 200,
    "media.picture": 200,
    "media.picture_thumbnail": 200,
    "media.preview": 200,
    "media.rendition": 200,
    "media.rendition_thumbnail": 200,
}
"""Routes for the owner of the painting or picture in the address, with the answer's status."""
PARTS = {"kind": "styled", "edge_px": 320, "version": 1, "filename": "site.css", "invitation_id": 1}

ODD_IDS = [
    "1",
    "-1",
    "0",
    "1e9",
    "9" * 5000,
    "x" * 10_000,
    "１２３",
    "%00",
    "%ff%fe",
    "%0d%0aSet-Cookie:%20x=1",
    "%e2%80%ae",
    "' OR 1=1--",
    '"><script>',
    "..",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "00000000-0000-0000-0000-000000000000",
    "{{7*7}}",
    "*",
    "%25",
    " ",
]


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[Rule]:
    app = create_app(make_config(tmp_path_factory.mktemp("rules")))
    return list(app.url_map.iter_rules())


def address(app: Flask, endpoint: str, **parts: object) -> str:
    with app.test_request_context():
        rule = next(rule for rule in app.url_map.iter_rules() if rule.endpoint == endpoint)
        values: dict[str, Any] = {k: v for k, v in (PARTS | parts).items() if k in rule.arguments}
        return url_for(endpoint, **values)


def method_of(app: Flask, endpoint: str) -> list[str]:
    rule = next(rule for rule in app.url_map.iter_rules() if rule.endpoint == endpoint)
    return sorted((rule.methods or set()) & {"GET", "POST"})


def ask(browser: Browser, method: str, path: str) -> int:
    with browser.get(path) if method == "GET" else browser.post(path) as response:
        return response.status_code


def make_owned_thing(owner: Browser, endpoint: str) -> str:
    """Store a picture or painting that this route can show, and return its public id."""
    if endpoint.startswith("media.picture"):
        return make_picture(owner)
    is_trashed = endpoint.startswith("trash.")
    return make_painting(
        owner,
        State.DONE,
        has_animation=True,
        preview_version=1,
        trashed_at=now() if is_trashed else None,
    )


def test_every_route_is_listed(rules: list[Rule]) -> None:
    listed = [*FOR_ALL, *FOR_MEMBERS, *FOR_THE_SITES_OWNER, *FOR_ITS_OWNER]

    assert sorted({rule.endpoint for rule in rules}) == sorted(listed)


def test_every_route_to_something_owned_is_listed_as_that(rules: list[Rule]) -> None:
    owned = {rule.endpoint for rule in rules if "public_id" in rule.arguments}

    assert owned == set(FOR_ITS_OWNER)


def test_every_route_takes_one_method_or_is_a_form(rules: list[Rule]) -> None:
    methods = {rule.endpoint: (rule.methods or set()) - {"HEAD", "OPTIONS"} for rule in rules}

    assert {endpoint for endpoint, names in methods.items() if len(names) > 1} == {
        "accounts.log_in",
        "accounts.sign_up",
    }
    assert set().union(*methods.values()) == {"GET", "POST"}


@pytest.mark.parametrize("endpoint", sorted(FOR_ITS_OWNER))
def test_owner_gets_her_own_things(ada: Browser, endpoint: str) -> None:
    public_id = make_owned_thing(ada, endpoint)
    for method in method_of(ada.app, endpoint):
        path = address(ada.app, endpoint, public_id=public_id)
        assert ask(ada, method, path) == FOR_ITS_OWNER[endpoint]


@pytest.mark.parametrize("endpoint", sorted(FOR_ITS_OWNER))
def test_other_peoples_things_look_like_missing_ones(
    ada: Browser, ben: Browser, visitor: Browser, endpoint: str
) -> None:
    app = ada.app
    # Owning the site gives no access to other people's things.
    for owner, stranger in ((ada, ben), (ben, ada)):
        public_id = make_owned_thing(owner, endpoint)
        before = stored_files(app), count(app, Painting), count(app, Picture)
        path = address(app, endpoint, public_id=public_id)
        nothing = address(app, endpoint, public_id="a" * 22)
        for method in method_of(app, endpoint):
            assert ask(stranger, method, path) == ask(stranger, method, nothing) == 404
            assert ask(visitor, method, path) == ask(visitor, method, nothing) == 302
        assert (stored_files(app), count(app, Painting), count(app, Picture)) == before
        if not endpoint.startswith("media.picture"):
            painting = row(app, public_id)
            assert painting.state == State.DONE
            assert (painting.trashed_at is not None) == endpoint.startswith("trash.")


@pytest.mark.parametrize("endpoint", sorted(FOR_MEMBERS))
def test_members_pages_ask_visitors_to_log_in(
    ben: Browser, visitor: Browser, endpoint: str
) -> None:
    path = address(ben.app, endpoint)
    for method in method_of(ben.app, endpoint):
        assert ask(visitor, method, path) == 302
        # Members reach the view, which refuses the empty form.
        assert ask(ben, method, path) in {200, 400, 422}


@pytest.mark.parametrize("endpoint", sorted(FOR_THE_SITES_OWNER))
def test_pages_of_the_sites_owner_do_not_exist_for_others(
    ada: Browser, ben: Browser, visitor: Browser, endpoint: str
) -> None:
    path = address(ada.app, endpoint)
    for method in method_of(ada.app, endpoint):
        assert ask(visitor, method, path) == 302
        assert ask(ben, method, path) == 404
        assert ask(ada, method, path) in {200, 302}


@pytest.mark.parametrize("endpoint", sorted(FOR_ALL))
def test_open_pages_are_open(visitor: Browser, endpoint: str) -> None:
    path = address(visitor.app, endpoint)
    for method in method_of(visitor.app, endpoint):
        # Signing up needs an invitation; an empty log-in form is refused.
        assert ask(visitor, method, path) in {200, 302, 403, 422, 503}


@pytest.mark.parametrize("endpoint", sorted(FOR_ITS_OWNER))
def test_odd_ids_are_not_found(ada: Browser, visitor: Browser, endpoint: str) -> None:
    template = address(ada.app, endpoint, public_id="PLACE")
    for odd in ODD_IDS:
        path = template.replace("PLACE", odd)
        for method in method_of(ada.app, endpoint):
            assert ask(ada, method, path) == 404, odd
            assert ask(visitor, method, path) in {302, 404}, odd


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"])
def test_other_methods_are_refused_everywhere(ada: Browser, method: str) -> None:
    for endpoint in sorted({*FOR_ALL, *FOR_MEMBERS, *FOR_THE_SITES_OWNER, *FOR_ITS_OWNER}):
        path = address(ada.app, endpoint, public_id=make_picture(ada))
        with ada.client.open(path, method=method) as response:
            assert response.status_code == 405, path


def test_id_that_differs_in_one_character_is_not_found(ada: Browser) -> None:
    painting = make_painting(ada)
    for other in (painting[:-1], painting + "a", painting.upper() + "A", painting[1:] + "z"):
        assert ada.get(f"/paintings/{other}").status_code == 404
