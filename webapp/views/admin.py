"""People: the page of the site's owner, with accounts and invitations."""

from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response
from wtforms import StringField
from wtforms.validators import Length

from webapp.auth.access import owner_required
from webapp.extensions import db, write_transaction
from webapp.models import TITLE_MAX_CHARS, Invitation, User, now
from webapp.views.accounts import invitation_token

bp = Blueprint("admin", __name__, url_prefix="/people")

INVITATION_LIFETIME = timedelta(days=7)
_MAX_ID = 2**31 - 1
"""Largest id that fits the integers of every database."""


class InvitationForm(FlaskForm):
    """Form for a new invitation."""

    note = StringField(
        "For whom?", [Length(max=TITLE_MAX_CHARS, message="Use at most 120 characters.")]
    )


@bp.get("/")
@owner_required
def index() -> str:
    """List the accounts and the open invitations."""
    return _page(InvitationForm())


@bp.post("/invitations")
@owner_required
def invite() -> Response | tuple[str, int]:
    """Make an invitation link."""
    form = InvitationForm()
    if not form.validate_on_submit():
        return _page(form), 422
    with write_transaction() as database:
        database.add(
            Invitation(
                note=" ".join((form.note.data or "").split()),
                expires_at=now() + INVITATION_LIFETIME,
            )
        )
    flash("Here is a new invitation link. Send it to one person; it works once, for a week.")
    return redirect(url_for("admin.index"))


@bp.post(f"/invitations/<int(max={_MAX_ID}):invitation_id>/withdraw")
@owner_required
def withdraw(invitation_id: int) -> Response:
    """Delete an open invitation."""
    with write_transaction() as database:
        invitation = database.get(Invitation, invitation_id)
        if invitation is not None and invitation.used_at is None:
            database.delete(invitation)
    flash("The invitation is withdrawn.")
    return redirect(url_for("admin.index"))


def _page(form: InvitationForm) -> str:
    invitations = db.session.scalars(
        select(Invitation)
        .where(Invitation.used_at.is_(None), Invitation.expires_at > now())
        .order_by(Invitation.id.desc())
        .options(joinedload(Invitation.used_by))
    )
    return render_template(
        "admin/index.html",
        form=form,
        users=db.session.scalars(select(User).order_by(User.id)).all(),
        invitations=[
            (
                invitation,
                url_for(
                    "accounts.sign_up", invitation=invitation_token(invitation), _external=True
                ),
            )
            for invitation in invitations
        ],
    )
