"""Studio: choose a photo, styles and settings, and order a painting."""

import secrets
from collections.abc import Mapping, Sequence

from flask import (
    Blueprint,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response

from config import Config
from transfer.settings import Settings
from webapp.auth.access import find_painting, find_picture, login_required
from webapp.extensions import get_config, limiter
from webapp.models import Picture
from webapp.orders import eta, place, queue, quotas, workers
from webapp.orders.quotas import LimitReached
from webapp.uploads import samples
from webapp.uploads.library import list_shelf
from webapp.views.forms import (
    MAX_STYLES,
    SHARE,
    StudioForm,
    read_content,
    read_shares,
    read_styles,
)

bp = Blueprint("studio", __name__, url_prefix="/studio")


@bp.get("")
@login_required
def index() -> str:
    """Show the studio: empty, or filled in from a painting (``?like=``) or a pair of samples."""
    form = StudioForm()
    content, styles = request.args.get("content", ""), request.args.getlist("style")
    shares: dict[str, int] = {}
    earlier = request.args.get("like")
    if earlier:
        painting = find_painting(earlier)
        if painting is not None:
            form = StudioForm(obj=painting.settings)
            content = painting.content.public_id
            shares = {
                link.picture.public_id: round(SHARE * link.weight) for link in painting.style_links
            }
            styles = list(shares)
    return _page(form, content, styles, shares=shares)


@bp.get("/forecast")
@login_required
def show_forecast() -> Response | tuple[Response, int]:
    """Return how long a painting of these settings would take, and the wait before it."""
    form = StudioForm(formdata=request.args, meta={"csrf": False})
    # Size of the photo; only its shape matters.
    width, height = request.args.get("width", 0, int), request.args.get("height", 0, int)
    if not form.validate() or not 0 < min(width, height) <= max(width, height) < 10**6:
        return jsonify(error="These settings cannot be painted."), 422
    # Before a style is chosen, the forecast is for a single style.
    styles = min(max(request.args.get("styles", 1, int), 1), MAX_STYLES)
    return jsonify(text=_forecast_text(form.to_settings(), width, height, styles))


@bp.post("")
@login_required
@limiter.limit("120 per hour")
def order() -> Response | tuple[str, int]:
    """Order a painting; the same form sent again orders nothing new."""
    form = StudioForm()
    chosen = request.form.get("content", ""), request.form.getlist("styles")
    try:
        quotas.check_order()
        # Browsers send empty file fields, too: these are no uploads.
        if any(file.filename for file in request.files.values()):
            quotas.check_upload()
    except LimitReached as reached:
        form.validate()
        return _page(form, *chosen, limit=str(reached)), reached.status
    content, styles = read_content(), read_styles()
    is_valid = form.validate_on_submit()
    if not is_valid or content.errors or styles.errors:
        is_too_large = 413 in {content.status, styles.status}
        page = _page(form, *chosen, content.errors, styles.errors)
        return page, 413 if is_too_large else 422
    (photo, _), *_ = content.save()
    placed = place.place(
        g.user.id,
        form.idempotency_key.data or secrets.token_urlsafe(16),
        [(style.id, share / SHARE) for style, share in styles.save()],
        form.to_settings(),
        content_id=photo.id,
    )
    if placed.is_new and not queue.enqueue():
        flash("Your painting is saved. It waits until the queue can be reached again.")
    return redirect(url_for("painting.show", public_id=placed.public_id), code=303)


@bp.errorhandler(RequestEntityTooLarge)
@login_required
def on_too_large(_error: RequestEntityTooLarge) -> tuple[str, int]:
    """Show the page again with an error: the request was longer than its limit."""
    limit_mb = get_config().max_upload_bytes / 1e6
    sentence = f"Each file may have at most {limit_mb:.0f} MB. Choose smaller pictures."
    # An unbound form: the body was not parsed, and reading fields would parse it.
    return _page(StudioForm(formdata=None), "", [], [sentence], [], shares={}), 413


def _forecast_text(settings: Settings, width: int, height: int, styles: int) -> str:
    """Return sentences: time to paint, time to wait, and whether memory makes it slower."""
    size = eta.painted_size(height, width, settings.long_edge_px)
    estimate = eta.order_eta(g.user.id, settings, *size, styles)
    painting = f"Painting it takes {eta.duration_text(estimate.painting_s)}"
    if not workers.living_workers():
        text = f"{painting}, once a worker is back; right now there is none."
    elif estimate.wait_s < 1:
        text = f"{painting}; it begins at once."
    else:
        text = f"{painting}; its turn comes in {eta.duration_text(estimate.wait_s)}."
    return text + _memory_text(estimate.peak_bytes)


def _memory_text(peak_bytes: float) -> str:
    config: Config = get_config()
    if not 0 < config.max_memory_bytes < peak_bytes:
        return ""
    return (
        f" It would need about {peak_bytes / 1e9:.1f} GB of memory, and paintings here may take "
        f"{config.max_memory_bytes / 1e9:.1f} GB: it is painted in small parts, which takes longer."
    )


def _page(
    form: StudioForm,
    content: str,
    styles: Sequence[str],
    content_errors: Sequence[str] = (),
    style_errors: Sequence[str] = (),
    *,
    limit: str | None = None,
    shares: Mapping[str, int] | None = None,
) -> str:
    form.idempotency_key.data = form.idempotency_key.data or secrets.token_urlsafe(16)
    chosen_content = [p for p in [find_picture(content)] if p is not None]
    chosen_styles = [p for p in map(find_picture, styles) if p is not None]
    return render_template(
        "studio/index.html",
        form=form,
        content=content,
        styles=styles,
        shares=read_shares() if shares is None else shares,
        share=SHARE,
        content_errors=content_errors,
        style_errors=style_errors,
        photo_shelf=list_shelf(is_style=False, selected=chosen_content),
        style_shelf=list_shelf(is_style=True, selected=chosen_styles),
        samples=samples,
        max_styles=MAX_STYLES,
        limit=limit,
        forecast_text=""
        if form.errors
        else _forecast_text(
            form.to_settings(), *_shape(chosen_content), max(1, len(chosen_styles))
        ),
        max_upload_mb=get_config().max_upload_bytes // 1_000_000,
    )


def _shape(chosen: Sequence[Picture]) -> tuple[int, int]:
    """Return width and height of the chosen photo; a usual shape if none is chosen."""
    return (chosen[0].width, chosen[0].height) if chosen else (3, 2)
