"""Sessions, the decorators of views for members, and the loaders of owned things."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Response, abort, flash, g, redirect, request, session, url_for
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload
from werkzeug.wrappers import Response as BaseResponse

from webapp.extensions import db, write_transaction
from webapp.models import LoginSession, Painting, PaintingStyle, Picture, User, now

SESSION_LIFETIME = timedelta(days=30)
"""Longest absence after which a browser is still logged in."""
_SEEN_AT_INTERVAL = timedelta(minutes=15)
"""Interval at which `LoginSession.seen_at` is renewed, so that few requests write."""
_COOKIE_KEY = "login"

P = ParamSpec("P")
R = TypeVar("R")


def load_user() -> None:
    """Set ``g.user`` to the session's user, or None."""
    g.user = None
    token = session.get(_COOKIE_KEY)
    if not isinstance(token, str):
        return
    login = db.session.get(LoginSession, _hash(token), options=[joinedload(LoginSession.user)])
    if login is None or login.seen_at < now() - SESSION_LIFETIME:
        session.pop(_COOKIE_KEY)
        return
    if login.seen_at < now() - _SEEN_AT_INTERVAL:
        with write_transaction():
            login.seen_at = now()
    g.user = login.user


def log_in(user: User) -> None:
    """Begin a new session in this browser and drop the contents of the old cookie."""
    token = secrets.token_urlsafe(32)
    user_id = user.id
    with write_transaction() as database:
        database.add(LoginSession(token_hash=_hash(token), user_id=user_id))
    session.clear()
    session[_COOKIE_KEY] = token
    session.permanent = True


def log_out() -> None:
    """End this browser's session on the server, which invalidates copies of its cookie, too."""
    token = session.get(_COOKIE_KEY)
    if isinstance(token, str):
        with write_transaction() as database:
            login = database.get(LoginSession, _hash(token))
            if login is not None:
                database.delete(login)
    session.clear()


def login_required(view: Callable[P, R]) -> Callable[P, R | BaseResponse]:
    """Guard a view: visitors go to the log-in page first, and scripts get status 401."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R | BaseResponse:
        if g.user is None:
            if wants_json():
                return Response("{}", status=401, mimetype="application/json")
            if request.method == "GET":
                return redirect(url_for("accounts.log_in", next=request.full_path.rstrip("?")))
            flash("You were logged out in the meantime. Log in and try again.")
            return redirect(url_for("accounts.log_in"))
        return view(*args, **kwargs)

    return guarded


def owner_required(view: Callable[P, R]) -> Callable[P, R | BaseResponse]:
    """Guard a view: for everybody but the site's owner the page does not exist."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not g.user.is_owner:
            abort(404)
        return view(*args, **kwargs)

    return login_required(guarded)


def wants_json() -> bool:
    """Return whether a script is asking, which gets data and no redirects."""
    best = request.accept_mimetypes.best_match(("text/html", "application/json"))
    return best == "application/json"


def get_painting(public_id: str) -> Painting:
    """Return the user's painting of this id; 404 if it is missing or somebody else's.

    Both cases look alike, so that an address does not tell whether a painting exists.
    """
    painting: Painting = db.one_or_404(
        select(Painting)
        .where(Painting.public_id == public_id, Painting.owner_id == g.user.id)
        .options(
            joinedload(Painting.content),
            selectinload(Painting.style_links).joinedload(PaintingStyle.picture),
            selectinload(Painting.renditions),
        )
    )
    return painting


def find_painting(public_id: str) -> Painting | None:
    """Return the user's painting of this id, or None."""
    return db.session.scalar(
        select(Painting).where(Painting.public_id == public_id, Painting.owner_id == g.user.id)
    )


def find_picture(public_id: str) -> Picture | None:
    """Return the user's picture of this id, or None."""
    return db.session.scalar(
        select(Picture).where(Picture.public_id == public_id, Picture.owner_id == g.user.id)
    )


def get_picture(public_id: str) -> Picture:
    """Return the user's picture of this id; 404 if it is missing or somebody else's."""
    return find_picture(public_id) or abort(404)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
