"""Who is asking, and may they: sessions, `login_required`, and the loaders of owned things."""

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
"""A browser that was away for longer has to log in again."""
_SEEN_EVERY = timedelta(minutes=15)
_COOKIE_KEY = "login"

P = ParamSpec("P")
R = TypeVar("R")


def load_user() -> None:
    """Set ``g.user`` for this request: the session's user, or None."""
    g.user = None
    token = session.get(_COOKIE_KEY)
    if not isinstance(token, str):
        return
    login = db.session.get(LoginSession, _hash(token), options=[joinedload(LoginSession.user)])
    if login is None or login.seen_at < now() - SESSION_LIFETIME:
        session.pop(_COOKIE_KEY)
        return
    if login.seen_at < now() - _SEEN_EVERY:
        with write_transaction():
            login.seen_at = now()
    g.user = login.user


def log_in(user: User) -> None:
    """Begin a session of its own for this browser; what the old cookie held is dropped."""
    token = secrets.token_urlsafe(32)
    user_id = user.id
    with write_transaction() as database:
        database.add(LoginSession(token_hash=_hash(token), user_id=user_id))
    session.clear()
    session[_COOKIE_KEY] = token
    session.permanent = True


def log_out() -> None:
    """End this browser's session on the server, so that copies of its cookie are dead too."""
    token = session.get(_COOKIE_KEY)
    if isinstance(token, str):
        with write_transaction() as database:
            login = database.get(LoginSession, _hash(token))
            if login is not None:
                database.delete(login)
    session.clear()


def login_required(view: Callable[P, R]) -> Callable[P, R | BaseResponse]:
    """Send anonymous visitors to the log-in page, and back afterwards."""

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
    """Let only the owner of the site pass; to others the page does not exist."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not g.user.is_owner:
            abort(404)
        return view(*args, **kwargs)

    return login_required(guarded)


def wants_json() -> bool:
    """Whether a script is asking; it gets data and no redirects."""
    best = request.accept_mimetypes.best_match(("text/html", "application/json"))
    return best == "application/json"


def get_painting(public_id: str) -> Painting:
    """The painting, if the user owns it.

    Others' paintings are answered like missing ones, so that addresses tell nothing.
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
    """The user's painting of this id, if there is one."""
    return db.session.scalar(
        select(Painting).where(Painting.public_id == public_id, Painting.owner_id == g.user.id)
    )


def find_picture(public_id: str) -> Picture | None:
    """The user's picture of this id, if there is one."""
    return db.session.scalar(
        select(Picture).where(Picture.public_id == public_id, Picture.owner_id == g.user.id)
    )


def get_picture(public_id: str) -> Picture:
    """The picture, if the user owns it; 404 otherwise."""
    return find_picture(public_id) or abort(404)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
