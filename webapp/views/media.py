"""Images: each has the same owner check as the page that shows it."""

from pathlib import Path

from flask import Blueprint, abort, g, request, send_file
from sqlalchemy import select
from werkzeug.wrappers import Response

from transfer.settings import Rendition
from webapp.auth.access import get_painting, get_picture, login_required
from webapp.extensions import db, get_storage
from webapp.models import Painting, RenditionFile
from webapp.storage.thumbnails import RENDITION_EDGES_PX

bp = Blueprint("media", __name__)

_A_YEAR_S = 365 * 24 * 3600


@bp.get("/pictures/<public_id>/picture.jpg")
@login_required
def picture(public_id: str) -> Response:
    """Send a stored picture."""
    return _send_image(get_storage().picture(get_picture(public_id).public_id))


@bp.get("/pictures/<public_id>/thumbnail.webp")
@login_required
def picture_thumbnail(public_id: str) -> Response:
    """Send a stored picture's thumbnail."""
    return _send_image(get_storage().picture_thumbnail(get_picture(public_id).public_id))


@bp.get("/paintings/<public_id>/preview-<int:version>.jpg")
@login_required
def preview(public_id: str, version: int) -> Response:
    """Send the latest preview; its version only makes addresses differ."""
    painting = get_painting(public_id)
    if version < 1 or version > painting.preview_version:
        abort(404)
    return _send_image(get_storage().preview(painting.public_id), is_immutable=False)


@bp.get("/paintings/<public_id>/<kind>.png")
@login_required
def rendition(public_id: str, kind: str) -> Response:
    """Send a rendition at full size; with ``?download``, as a file to save."""
    file = _get_rendition(public_id, kind)
    path = get_storage().rendition(public_id, Rendition(file.kind), file.attempt_id)
    if "download" not in request.args:
        return _send_image(path, is_immutable="v" in request.args)
    name = f"{_file_title(get_painting(public_id))} ({file.kind}).png"
    # The address stays the same when the painting is tried again, and the image changes.
    return _send_image(path, is_immutable=False, download_name=name)


@bp.get("/paintings/<public_id>/<kind>-<int:edge_px>.webp")
@login_required
def rendition_thumbnail(public_id: str, kind: str, edge_px: int) -> Response:
    """Send a rendition's thumbnail."""
    if edge_px not in RENDITION_EDGES_PX:
        abort(404)
    file = _get_rendition(public_id, kind)
    return _send_image(
        get_storage().rendition_thumbnail(public_id, Rendition(file.kind), file.attempt_id, edge_px)
    )


@bp.get("/paintings/<public_id>/process.webp")
@login_required
def animation(public_id: str) -> Response:
    """Send the animation of a painting's progress; with ``?download``, as a file to save."""
    painting = get_painting(public_id)
    if painting.animation_attempt_id is None:
        abort(404)
    path = get_storage().animation(public_id, painting.animation_attempt_id)
    if "download" not in request.args:
        return _send_image(path, is_immutable="v" in request.args)
    name = f"{_file_title(painting)} (process).webp"
    return _send_image(path, is_immutable=False, download_name=name)


def _file_title(painting: Painting) -> str:
    """Return the painting's title in characters that every file system accepts."""
    return "".join(c if c.isalnum() or c in " -" else "-" for c in painting.title)[:100]


def _get_rendition(public_id: str, kind: str) -> RenditionFile:
    """Return a rendition of the user's painting, else 404; one query, as galleries ask for many."""
    file: RenditionFile = db.one_or_404(
        select(RenditionFile)
        .join(Painting, Painting.id == RenditionFile.painting_id)
        .where(
            Painting.public_id == public_id,
            Painting.owner_id == g.user.id,
            RenditionFile.kind == kind,
        )
    )
    return file


def _send_image(
    path: Path, *, is_immutable: bool = True, download_name: str | None = None
) -> Response:
    try:
        response = send_file(
            path, as_attachment=download_name is not None, download_name=download_name
        )
    except FileNotFoundError:
        abort(404)
    if is_immutable:
        # Addresses change with the image: browsers may keep it, shared caches may not.
        response.headers["Cache-Control"] = f"private, max-age={_A_YEAR_S}, immutable"
    else:
        response.headers["Cache-Control"] = "no-store"
    return response
