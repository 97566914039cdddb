"""The trash: paintings taken off the wall, until they are put back or removed for good."""

from datetime import timedelta

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from webapp.access import get_painting, login_required
from webapp.extensions import db, writing
from webapp.gallery import read_page
from webapp.models import Painting, now
from webapp.storage import Storage

bp = Blueprint("trash", __name__, url_prefix="/trash")


@bp.get("")
@login_required
def index() -> str:
    """What lies in the trash, latest painting first."""
    return render_template(
        "trash/index.html",
        page=read_page(is_trash=True),
        trash_days=current_app.config["PIC2PAINT"].trash_days,
    )


@bp.get("/<public_id>/remove")
@login_required
def confirm_removal(public_id: str) -> str:
    """Ask before something that cannot be undone."""
    return render_template("trash/confirm.html", painting=get_painting(public_id))


@bp.post("/<public_id>/remove")
@login_required
def remove(public_id: str) -> Response:
    """Remove a painting from the trash for good."""
    painting = get_painting(public_id)
    if painting.trashed_at is None:
        flash("Only paintings in the trash can be removed for good.")
        return redirect(url_for("painting.show", public_id=public_id))
    remove_now([painting.id])
    flash("The painting is removed for good.")
    return redirect(url_for("trash.index"))


def empty_old() -> int:
    """Remove what has been in the trash for longer than the configured days.

    Returns:
        How many paintings were removed.
    """
    limit = now() - timedelta(days=current_app.config["PIC2PAINT"].trash_days)
    ids = list(db.session.scalars(select(Painting.id).where(Painting.trashed_at < limit)))
    db.session.rollback()
    return remove_now(ids)


def remove_now(ids: list[int]) -> int:
    """Remove these for good, those of them that are in the trash; how many they were.

    Rows first: a file without a row wastes space, a row without its file breaks a page.
    """
    storage: Storage = current_app.extensions["pic2paint-storage"]
    with writing() as database:
        paintings = database.scalars(
            # Asked again under the lock: it may have been put back in the meantime.
            select(Painting).where(Painting.id.in_(ids), Painting.trashed_at.is_not(None))
        ).all()
        removed = [painting.public_id for painting in paintings]
        for painting in paintings:
            database.delete(painting)
    for public_id in removed:
        storage.remove_painting(public_id)
    return len(removed)
