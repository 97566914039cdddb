"""Error pages: one sentence for people; details go to the log."""

import secrets

from flask import Flask, jsonify, render_template
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from webapp.auth.access import wants_json

PAGES: dict[int, tuple[str, str]] = {
    400: ("That did not work", "The request was incomplete. Go back, reload the page, try again."),
    403: ("Not allowed", "You may not do this."),
    404: ("Nothing here", "This page does not exist, or it is not yours to see."),
    405: ("That did not work", "This address cannot be used that way. Start from the gallery."),
    413: ("Too large", "What you sent is larger than this site takes. Choose smaller pictures."),
    429: ("Too many tries", "Wait a minute, then try again."),
    500: ("Something broke", "It is not your fault, and nothing of yours is lost. Try again."),
    503: ("Busy", "The database is busy right now. Try again in a few seconds."),
}
"""Status -> heading and sentence."""


def init_app(app: Flask) -> None:
    """Answer every error with a page of the site, or with JSON if a script asked."""

    @app.errorhandler(HTTPException)
    def on_http_error(error: HTTPException) -> ResponseReturnValue:
        # Werkzeug raises redirects, too; they are no errors.
        if error.code is None or error.code < 400:
            return error.get_response()
        return _answer(error.code, headers=dict(error.get_headers()))

    @app.errorhandler(CSRFError)
    def on_csrf_error(_error: CSRFError) -> ResponseReturnValue:
        return _answer(400, message="This page was open for too long. Reload it and try again.")

    @app.errorhandler(OperationalError)
    def on_database_error(_error: OperationalError) -> ResponseReturnValue:
        app.logger.exception("the database could not be used")
        return _answer(503)

    @app.errorhandler(Exception)
    def on_bug(_error: Exception) -> ResponseReturnValue:
        incident = secrets.token_hex(4)
        app.logger.exception("incident %s", incident)
        return _answer(500, incident=incident)


def _answer(
    code: int,
    message: str | None = None,
    incident: str | None = None,
    headers: dict[str, str] | None = None,
) -> ResponseReturnValue:
    status = code if code in PAGES else 500 if code >= 500 else 400
    heading, sentence = PAGES[status]
    if message is not None:
        sentence = message
    passed_on = {k: v for k, v in (headers or {}).items() if k in {"Allow", "Retry-After"}}
    if wants_json():
        return jsonify(error=sentence, incident=incident), code, passed_on
    page = render_template(
        "errors/error.html", heading=heading, message=sentence, incident=incident
    )
    return page, code, passed_on
