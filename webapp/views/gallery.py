"""The wall: everything a person ever had painted, newest first, page by page."""

from dataclasses import dataclass

from flask import Blueprint, g, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload
from werkzeug.wrappers import Response

from webapp.extensions import db, get_config
from webapp.models import Painting, PaintingStyle

bp = Blueprint("gallery", __name__)


@dataclass(frozen=True)
class Page:
    """One page of paintings, and where the neighboring pages begin."""

    paintings: list[Painting]
    newer: str | None
    """Public id for ``?after=``; None on the first page."""
    older: str | None
    """Public id for ``?before=``; None on the last page."""


@bp.get("/")
def index() -> Response | str:
    """The user's paintings; visitors are asked to log in."""
    if g.user is None:
        return redirect(url_for("accounts.log_in"))
    return render_template("gallery/index.html", page=read_page(is_trash=False))


def read_page(*, is_trash: bool) -> Page:
    """The page that ``?before=`` or ``?after=`` asks for, by keyset: any depth costs the same."""
    size = get_config().gallery_page_size
    after, before = _position(request.args.get("after")), _position(request.args.get("before"))
    query = (
        select(Painting)
        .where(Painting.owner_id == g.user.id)
        .where(Painting.trashed_at.is_not(None) if is_trash else Painting.trashed_at.is_(None))
        .options(
            joinedload(Painting.content),
            selectinload(Painting.style_links).joinedload(PaintingStyle.picture),
            selectinload(Painting.renditions),
        )
        # One more than is shown tells whether there is a further page, without counting.
        .limit(size + 1)
    )
    rows: list[Painting] = []
    if after is not None:
        newer = query.where(Painting.id > after).order_by(Painting.id)
        rows = list(db.session.scalars(newer))
    if rows:
        has_newer, has_older = len(rows) > size, True
        shown = rows[:size][::-1]
    else:
        if before is not None:
            query = query.where(Painting.id < before)
        rows = list(db.session.scalars(query.order_by(Painting.id.desc())))
        has_newer, has_older = before is not None, len(rows) > size
        shown = rows[:size]
    return Page(
        shown,
        newer=shown[0].public_id if shown and has_newer else None,
        older=shown[-1].public_id if shown and has_older else None,
    )


def _position(public_id: str | None) -> int | None:
    """Where a painting of the user's stands; unknown ids count as not asked."""
    if not public_id:
        return None
    return db.session.scalar(
        select(Painting.id).where(Painting.public_id == public_id, Painting.owner_id == g.user.id)
    )
