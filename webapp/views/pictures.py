"""Pictures: uploads, one by one, by the studio's script."""

from flask import Blueprint, abort, jsonify, request, url_for
from werkzeug.wrappers import Response

from webapp.auth.access import login_required
from webapp.extensions import limiter
from webapp.orders import quotas
from webapp.orders.quotas import LimitReached
from webapp.uploads.library import save_picture, validate_file
from webapp.uploads.validate import UploadRefused

bp = Blueprint("pictures", __name__, url_prefix="/pictures")


@bp.post("")
@login_required
@limiter.limit("200 per hour")
def upload() -> Response | tuple[Response, int]:
    """Store one picture, so that it is not lost if the order is refused."""
    file = request.files.get("file")
    role = request.form.get("role")
    if file is None or role not in {"content", "style"}:
        abort(400)
    try:
        quotas.check_upload()
        validated = validate_file(file)
    except (UploadRefused, LimitReached) as refusal:
        return jsonify(error=str(refusal)), refusal.status
    picture = save_picture(validated, is_style=role == "style")
    return jsonify(
        value=picture.public_id,
        title=picture.title,
        width=picture.width,
        height=picture.height,
        thumbnail=url_for("media.picture_thumbnail", public_id=picture.public_id),
    )
