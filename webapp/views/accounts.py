"""Accounts: sign up, log in, log out, and the theme of the pages."""

from flask import (
    Blueprint,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_wtf import FlaskForm
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from webapp.auth import access
from webapp.auth.passwords import (
    PASSWORD_MAX_CHARS,
    PASSWORD_MIN_CHARS,
    hash_password,
    verify_password,
)
from webapp.extensions import db, get_config, limiter, write_transaction
from webapp.models import NAME_MAX_CHARS, Invitation, User, now

bp = Blueprint("accounts", __name__)

THEMES = ("system", "light", "dark")
_THEME_MAX_AGE_S = 365 * 24 * 3600


class NameTaken(Exception):
    """The name belongs to another account."""


class InvitationUsed(Exception):
    """The invitation was used or expired in the meantime."""


class LogInForm(FlaskForm):
    """Form of the log-in page."""

    name = StringField("Name", [InputRequired("Type your name.")])
    password = PasswordField("Password", [InputRequired("Type your password.")])


class SignUpForm(FlaskForm):
    """Form of the sign-up page."""

    name = StringField(
        "Name",
        [
            InputRequired("Choose a name."),
            Length(max=NAME_MAX_CHARS, message=f"Use at most {NAME_MAX_CHARS} characters."),
        ],
    )
    password = PasswordField(
        "Password",
        [
            InputRequired("Choose a password."),
            Length(
                min=PASSWORD_MIN_CHARS,
                max=PASSWORD_MAX_CHARS,
                message=f"Use {PASSWORD_MIN_CHARS} characters or more; a short sentence is good.",
            ),
        ],
    )
    invitation = HiddenField()

    def validate_name(self, field: StringField) -> None:
        """Refuse names that are empty or have unprintable characters."""
        name = " ".join((field.data or "").split())
        if not name or not name.isprintable():
            raise ValidationError("Use letters, digits, spaces and punctuation.")
        field.data = name


def invitation_token(invitation: Invitation) -> str:
    """Return the signed token of an invitation's link; the database alone cannot make it."""
    return _serializer().dumps(invitation.public_id)


def find_invitation(token: str) -> Invitation | None:
    """Return the open invitation of a link's token, or None."""
    try:
        public_id = _serializer().loads(token)
    except BadSignature:
        return None
    invitation = db.session.scalar(select(Invitation).where(Invitation.public_id == public_id))
    return invitation if invitation is not None and invitation.is_open else None


def is_new_site() -> bool:
    """Return whether nobody has signed up yet: the first account owns the site."""
    return db.session.scalar(select(User.id).limit(1)) is None


def create_user(name: str, password: str, invitation: Invitation | None) -> User:
    """Add an account.

    Raises:
        NameTaken: if another account has this name.
        InvitationUsed: if the invitation is no longer open.
    """
    # Before the transaction: 50 ms of hashing are too long to hold the only write lock.
    password_hash = hash_password(password)
    invitation_id = None if invitation is None else invitation.id
    with write_transaction() as database:
        is_first = database.scalar(select(func.count()).select_from(User)) == 0
        invitation = None
        if invitation_id is not None:
            invitation = database.get(Invitation, invitation_id)
        if not is_first and (invitation is None or not invitation.is_open):
            raise InvitationUsed
        key = name.casefold()
        if database.scalar(select(User.id).where(User.name_key == key)) is not None:
            raise NameTaken
        user = User(name=name, name_key=key, password_hash=password_hash, is_owner=is_first)
        database.add(user)
        if invitation is not None:
            invitation.used_by = user
            invitation.used_at = now()
    return user


@bp.route("/sign-up", methods=["GET", "POST"])
@limiter.limit("30 per hour", methods=["POST"])
def sign_up() -> Response | str | tuple[str, int]:
    """Sign up the site's owner, or somebody with an invitation."""
    if g.user is not None:
        return redirect(url_for("gallery.index"))
    form = SignUpForm()
    if request.method == "GET":
        form.invitation.data = request.args.get("invitation", "")
    is_first = is_new_site()
    invitation = None if is_first else find_invitation(form.invitation.data or "")
    if not is_first and invitation is None:
        return render_template("accounts/invitation_needed.html"), 403
    if form.validate_on_submit():
        try:
            user = create_user(form.name.data or "", form.password.data or "", invitation)
        except NameTaken:
            form.name.errors = ["Somebody has this name already. Choose another one."]
        except InvitationUsed:
            return render_template("accounts/invitation_needed.html"), 403
        else:
            access.log_in(user)
            return redirect(url_for("studio.index"))
    status = 200 if request.method == "GET" else 422
    return render_template("accounts/sign_up.html", form=form, is_first=is_first), status


@bp.route("/log-in", methods=["GET", "POST"])
@limiter.limit(lambda: get_config().login_rate, methods=["POST"])
def log_in() -> Response | str | tuple[str, int]:
    """Log in."""
    if g.user is not None:
        return redirect(_own_path(request.args.get("next")))
    if is_new_site():
        return redirect(url_for("accounts.sign_up"))
    form = LogInForm()
    if form.validate_on_submit():
        key = " ".join((form.name.data or "").split()).casefold()
        user = db.session.scalar(select(User).where(User.name_key == key))
        password = (form.password.data or "")[: PASSWORD_MAX_CHARS + 1]
        if verify_password(user.password_hash if user else None, password) and user is not None:
            access.log_in(user)
            return redirect(_own_path(request.args.get("next")))
        form.password.errors = ["Name and password do not match."]
    status = 200 if request.method == "GET" else 422
    return render_template("accounts/log_in.html", form=form), status


@bp.post("/log-out")
def log_out() -> Response:
    """Log out."""
    access.log_out()
    flash("You are logged out.")
    return redirect(url_for("accounts.log_in"))


@bp.post("/theme")
def set_theme() -> Response:
    """Set the theme: light, dark, or the system's."""
    theme = request.form.get("theme")
    response = make_response(redirect(_own_path(request.form.get("back"))))
    if theme in THEMES:
        response.set_cookie(
            "theme",
            theme,
            max_age=_THEME_MAX_AGE_S,
            httponly=True,
            samesite="Lax",
            secure=get_config().is_https,
        )
    return response


@bp.app_template_global()
def current_theme() -> str:
    """Return the chosen theme; an unknown one counts as the system's."""
    theme = request.cookies.get("theme", "system")
    return theme if theme in THEMES else "system"


def _own_path(target: str | None) -> str:
    """Return ``target`` if it is a path of this site, else the gallery."""
    fallback = url_for("gallery.index")
    # Browsers read a backslash as a slash, which would make //host out of /\host.
    if not target or "\\" in target or not target.isprintable():
        return fallback
    return target if target.startswith("/") and not target.startswith("//") else fallback


def _serializer() -> URLSafeSerializer:
    secret_key = current_app.secret_key
    if secret_key is None:
        raise RuntimeError("the application has no secret key")
    return URLSafeSerializer(secret_key, salt="invitation")
