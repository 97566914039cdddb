"""Web application of the site. Its processes never import torch: only the worker paints."""

import hashlib
import os
from datetime import timedelta
from functools import cache

from flask import Flask, request
from jinja2 import StrictUndefined
from werkzeug.middleware.proxy_fix import ProxyFix

from config import PROJECT_ROOT, Config, ConfigError
from webapp import cli, errors, security
from webapp.auth import access
from webapp.extensions import configure_sqlite, csrf, db, limiter, migrate
from webapp.storage.files import Storage
from webapp.views import accounts, admin, gallery, health, media, painting, pictures, studio, trash
from webapp.views.forms import MAX_STYLES

STATIC_DIR = PROJECT_ROOT / "static"


def create_app(config: Config | None = None) -> Flask:
    """Build the application; without settings, one that only lists its commands to `flask`.

    Args:
        config: settings of the site; read from the environment if not given.

    Raises:
        NoAppException: if the environment lacks a setting; `flask` shows the message.
    """
    if config is None:
        try:
            config = Config.from_env(os.environ)
        except ConfigError as error:
            return cli.create_app_without_settings(error)
    app = Flask(
        __name__,
        template_folder=str(PROJECT_ROOT / "templates"),
        static_folder=str(STATIC_DIR),
        static_url_path=f"/static/{_static_version()}",
        instance_path=str(config.instance_dir),
    )
    app.config.from_mapping(
        PIC2PAINT=config,
        SECRET_KEY=config.secret_key,
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SESSION_COOKIE_NAME="__Host-pic2paint" if config.is_https else "pic2paint",
        SESSION_COOKIE_SECURE=config.is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        # Pages load images by the dozen: only log-in and log-out need to set the cookie.
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=access.SESSION_LIFETIME,
        MAX_CONTENT_LENGTH=security.FORM_BYTES,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(hours=1),
        # A form may lie open overnight; the session bounds its life.
        WTF_CSRF_TIME_LIMIT=None,
        RATELIMIT_STORAGE_URI=_limiter_url(config.redis_url),
        # Without Redis people can still log in; each process then counts on its own.
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=True,
        # A refusal says when to try again.
        RATELIMIT_HEADERS_ENABLED=True,
        RATELIMIT_STORAGE_OPTIONS={"socket_connect_timeout": 1, "socket_timeout": 1},
    )
    if config.proxy_hops:
        hops = config.proxy_hops
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    app.jinja_env.undefined = StrictUndefined
    app.extensions["pic2paint-storage"] = Storage(config.files_dir)

    # The order matters: the user decides how much a request may carry, and the limit must be set
    # before CSRF protection parses the body.
    app.before_request(access.load_user)
    app.before_request(_allow_uploads)
    db.init_app(app)
    migrate.init_app(app, db, directory=str(PROJECT_ROOT / "migrations"), render_as_batch=True)
    csrf.init_app(app)
    limiter.init_app(app)
    security.init_app(app, is_https=config.is_https)
    errors.init_app(app)
    cli.init_app(app)
    for module in (accounts, admin, gallery, health, media, painting, pictures, studio, trash):
        app.register_blueprint(module.bp)
    with app.app_context():
        configure_sqlite(db.engine)
    return app


@cache
def _static_version() -> str:
    """Return a hash of the static files, which is a part of their addresses.

    Script modules import each other by relative addresses, and browsers cache each file: with
    the hash, a page never mixes the modules of two versions of the site.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC_DIR.rglob("*") if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _allow_uploads() -> None:
    if request.method == "POST" and request.endpoint == "studio.order":
        security.allow_upload(1 + MAX_STYLES)
    elif request.method == "POST" and request.endpoint == "pictures.upload":
        security.allow_upload(1)


def _limiter_url(redis_url: str) -> str:
    """Return the address of Redis as Flask-Limiter spells it for a unix socket."""
    return redis_url.replace("unix://", "redis+unix://", 1)
