"""Trash: paintings taken off the gallery, until they are put back or removed for good."""

from flask import Blueprint, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from webapp.auth.access import get_painting, login_required
from webapp.extensions import get_config
from webapp.orders.purge import delete_paintings
from webapp.views.gallery import read_page

bp = Blueprint("trash", __name__, url_prefix="/trash")


@bp.get("")
@login_required
def index() -> str:
    """List the paintings in the trash, newest first."""
    return render_template(
        "trash/index.html",
        page=read_page(is_trash=True),
        trash_days=get_config().trash_days,
    )


@bp.get("/<public_id>/remove")
@login_required
def confirm_removal(public_id: str) -> str:
    """Ask for confirmation before a painting is removed for good."""
    return render_template("trash/confirm.html", painting=get_painting(public_id))


@bp.post("/<public_id>/remove")
@login_required
def remove(public_id: str) -> Response:
    """Remove a painting from the trash for good."""
    painting = get_painting(public_id)
    if painting.trashed_at is None:
        flash("Only paintings in the trash can be removed for good.")
        return redirect(url_for("painting.show", public_id=public_id))
    delete_paintings([painting.id])
    flash("The painting is removed for good.")
    return redirect(url_for("trash.index"))
