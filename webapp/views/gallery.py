"""Gallery: the user's paintings, newest first, page by page."""

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
    """One page of paintings, with the positions of the neighboring pages."""

    paintings: list[Painting]
    newer: str | None
    """Public id for ``?after=``; None on the first page."""
    older: str | None
    """Public id for ``?before=``; None on the last page."""


@bp.get("/")
def index() -> Response | str:
    """Show the user's paintings; visitors go to the log-in page."""
    if g.user is None:
        return redirect(url_for("accounts.log_in"))
    return render_template("gallery/index.html", page=read_page(is_trash=False))


def read_page(*, is_trash: bool) -> Page:
    """Load the page that ``?before=`` or ``?after=`` names, by keyset: all pages cost the same."""
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
        # One row more than a page tells whether there is another page, without counting.
        .limit(size + 1)
    )
    rows: list[Painting] = []
    if after is not None:
        newer = query.where(Painting.id > after).order_by(Painting.id)
        rows = list(db.session.scalars(newer))
    if rows:
        has_newer, has_older = len(rows) > size, True
        paintings = rows[:size][::-1]
    else:
        if before is not None:
            query = query.where(Painting.id < before)
        rows = list(db.session.scalars(query.order_by(Painting.id.desc())))
        has_newer, has_older = before is not None, len(rows) > size
        paintings = rows[:size]
    return Page(
        paintings,
        newer=paintings[0].public_id if paintings and has_newer else None,
        older=paintings[-1].public_id if paintings and has_older else None,
    )


def _position(public_id: str | None) -> int | None:
    """Return the row id of the user's painting; None if there is none of this public id."""
    if not public_id:
        return None
    return db.session.scalar(
        select(Painting.id).where(Painting.public_id == public_id, Painting.owner_id == g.user.id)
    )
