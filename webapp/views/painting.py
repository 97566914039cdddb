"""Painting: a page for every state, and the actions of its buttons."""

from flask import (
    Blueprint,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response

from transfer.settings import Rendition
from webapp.auth.access import find_painting, get_painting, login_required
from webapp.extensions import get_config
from webapp.models import Painting, RenditionFile, State, new_public_id
from webapp.orders import eta, place, queue, quotas, schedule, workers
from webapp.orders.quotas import LimitReached
from webapp.views.forms import SIZES_PX, setting_facts

bp = Blueprint("painting", __name__, url_prefix="/paintings/<public_id>")
bp.add_app_template_global(new_public_id, "new_idempotency_key")
bp.add_app_template_global(setting_facts)

RENDITION_LABELS = {
    Rendition.STYLED: ("Style's colors", "Painted in the colors of the style picture."),
    Rendition.HISTOGRAM: ("Photo's palette", "Painted with the photo's palette of colors."),
    Rendition.LUMINANCE: ("Photo's hues", "Only light and dark are painted; hues stay in place."),
}
"""Names of the renditions and sentences on them."""


@bp.app_template_global()
def rendition_label(kind: str) -> str:
    """Return a rendition's name for people."""
    return RENDITION_LABELS[Rendition(kind)][0]


@bp.app_template_global()
def rendition_note(kind: str) -> str:
    """Return a sentence that explains a rendition."""
    return RENDITION_LABELS[Rendition(kind)][1]


def queue_text(painting: Painting) -> str:
    """Return a sentence: a painting's place in the queue, and how long it will take."""
    estimate = eta.painting_eta(painting)
    rest = eta.duration_text(estimate.painting_s)
    if State(painting.state) is State.RUNNING:
        return f"Done in {rest}."
    place = (
        "It is next in line"
        if estimate.ahead == 0
        else "One painting is ahead of yours"
        if estimate.ahead == 1
        else f"{estimate.ahead} paintings are ahead of yours"
    )
    wait = f", its turn comes in {eta.duration_text(estimate.wait_s)}" if estimate.wait_s else ""
    return f"{place}{wait}; painting it then takes {rest}."


@bp.app_template_global()
def canvas_size(painting: Painting) -> tuple[int, int]:
    """Return width and height, px, that the painting has or will have: pages reserve the space."""
    cover = painting.cover
    # A painting that was stopped and tried again has a cover that is smaller than the result.
    if cover is not None and State(painting.state).is_final:
        return cover.width, cover.height
    height, width = eta.painting_size(painting)
    return width, height


@bp.app_template_global()
def shown_renditions(painting: Painting) -> list[RenditionFile]:
    """Return the renditions to show: before the end, only those that will not be painted anew."""
    if State(painting.state).is_final:
        return painting.renditions
    # The next attempt keeps finished renditions and replaces partial ones.
    return [file for file in painting.renditions if not file.is_partial]


@bp.app_template_global()
def can_continue(painting: Painting) -> bool:
    """Return whether the painting can be continued: it is done, and not in the trash."""
    is_done = State(painting.state) is State.DONE and painting.cover is not None
    return is_done and painting.trashed_at is None


def larger_sizes(painting: Painting) -> list[int]:
    """Return the larger long edges, px, at which the painting can be continued."""
    largest = get_config().max_long_edge_px
    return [px for px in SIZES_PX if painting.long_edge_px < px <= largest]


@bp.app_template_global()
def continuations(painting: Painting) -> tuple[str, dict[int, str]]:
    """Return the time of more strokes, and each larger size with its time by long edge, px."""
    larger = larger_sizes(painting)
    seconds = eta.continuation_seconds(painting, [painting.long_edge_px, *larger])
    times = {px: eta.duration_text(seconds_at) for px, seconds_at in seconds.items()}
    sizes = {px: f"{SIZES_PX[px]}, {px} px, {times[px]}" for px in larger}
    return times[painting.long_edge_px], sizes


@bp.app_template_global()
def find_base_painting(painting: Painting) -> Painting | None:
    """Return the earlier painting that this one continues, or None."""
    if painting.base_painting_id is None:
        return None
    return find_painting(painting.base_painting_id)


@bp.get("")
@login_required
def show(public_id: str) -> str:
    """Show the page of the painting's state."""
    painting = get_painting(public_id)
    state = State(painting.state)
    return render_template(
        f"painting/{state.value}.html",
        painting=painting,
        queue_text=None if state.is_final else queue_text(painting),
        is_queue_reachable=state is not State.QUEUED or queue.is_reachable(),
        has_worker=state is not State.QUEUED or bool(workers.living_workers()),
        is_paused=state is State.QUEUED and schedule.is_paused(),
    )


@bp.get("/status.json")
@login_required
def status(public_id: str) -> Response:
    """Return what the page needs to follow a painting without a reload."""
    painting = get_painting(public_id)
    state = State(painting.state)
    return jsonify(
        state=state.value,
        progress=painting.progress,
        queue_text=None if state.is_final else queue_text(painting),
        preview=_preview_url(painting),
        renditions=[_rendition_data(painting, file) for file in shown_renditions(painting)],
    )


@bp.post("/cancel")
@login_required
def cancel(public_id: str) -> Response:
    """Cancel a queued painting at once; ask the worker to stop a running one."""
    painting = get_painting(public_id)
    if place.cancel(painting):
        flash("The painting will stop in a moment; the best image so far is kept.")
    return _redirect_to(public_id)


@bp.post("/retry")
@login_required
def retry(public_id: str) -> Response:
    """Queue a failed or cancelled painting again."""
    painting = get_painting(public_id)
    if _may_order() and place.retry(painting):
        _enqueue()
    return _redirect_to(public_id)


@bp.post("/again")
@login_required
def paint_again(public_id: str) -> Response:
    """Order the same painting once more."""
    painting = get_painting(public_id)
    if painting.base_painting_id is not None and find_base_painting(painting) is None:
        flash("The painting that this one went on from has been removed. Paint it with changes.")
        return _redirect_to(public_id)
    if not _may_order():
        return _redirect_to(public_id)
    return _show_order(place.repeat(painting, _sent_idempotency_key()))


@bp.post("/more")
@login_required
def paint_more(public_id: str) -> Response:
    """Order a painting that continues this one at the same size."""
    painting = get_painting(public_id)
    return _order_continuation(painting, painting.long_edge_px)


@bp.post("/larger")
@login_required
def paint_larger(public_id: str) -> Response:
    """Order a painting that continues this one at a larger size."""
    painting = get_painting(public_id)
    long_edge_px = request.form.get("long_edge_px", 0, int)
    if long_edge_px not in larger_sizes(painting):
        flash("Choose one of the sizes in the list.")
        return _redirect_to(public_id)
    return _order_continuation(painting, long_edge_px)


@bp.post("/trash")
@login_required
def move_to_trash(public_id: str) -> Response:
    """Move a painting to the trash, from where it can be put back."""
    painting = get_painting(public_id)
    if not place.move_to_trash(painting):
        flash("Stop this painting first, then move it to the trash.")
        return _redirect_to(public_id)
    flash("Moved to the trash.", "undo:" + url_for("painting.restore", public_id=public_id))
    return redirect(url_for("gallery.index"))


@bp.post("/restore")
@login_required
def restore(public_id: str) -> Response:
    """Put a painting back into the gallery."""
    if place.restore(get_painting(public_id)):
        flash("Back on the wall.")
    return _redirect_to(public_id)


def _order_continuation(painting: Painting, long_edge_px: int) -> Response:
    if not can_continue(painting):
        flash("Only a finished painting on the wall can be painted on.")
        return _redirect_to(painting.public_id)
    if not _may_order():
        return _redirect_to(painting.public_id)
    return _show_order(place.continue_from(painting, long_edge_px, _sent_idempotency_key()))


def _show_order(order: place.PlacedOrder) -> Response:
    if order.is_new:
        _enqueue()
    return _redirect_to(order.public_id)


def _sent_idempotency_key() -> str:
    """Return the key that the pressed button sent: pressed twice, it orders once."""
    return request.form.get("idempotency_key") or new_public_id()


def _may_order() -> bool:
    """Return whether one more painting may be ordered; if not, flash why."""
    try:
        quotas.check_order()
    except LimitReached as reached:
        flash(str(reached))
        return False
    return True


def _enqueue() -> None:
    if not queue.enqueue():
        flash("It waits until the queue can be reached again.")


def _redirect_to(public_id: str) -> Response:
    return redirect(url_for("painting.show", public_id=public_id), code=303)


@bp.app_template_global("preview_url")
def _preview_url(painting: Painting) -> str | None:
    if painting.preview_version == 0 or State(painting.state).is_final:
        return None
    return url_for("media.preview", public_id=painting.public_id, version=painting.preview_version)


@bp.app_template_global()
def rendition_url(painting: Painting, file: RenditionFile, edge_px: int | None = None) -> str:
    """Return the address of a rendition or of its thumbnail; it changes with the image."""
    public_id, kind, version = painting.public_id, file.kind, file.attempt_id[:8]
    if edge_px is None:
        return url_for("media.rendition", public_id=public_id, kind=kind, v=version)
    return url_for(
        "media.rendition_thumbnail", public_id=public_id, kind=kind, edge_px=edge_px, v=version
    )


@bp.app_template_global()
def animation_url(painting: Painting) -> str | None:
    """Return the address of the animation; it changes with the animation."""
    if painting.animation_attempt_id is None:
        return None
    version = painting.animation_attempt_id[:8]
    return url_for("media.animation", public_id=painting.public_id, v=version)


@bp.app_template_global()
def style_share(painting: Painting, position: int) -> str:
    """Return a style's share, such as ", 25 %"; an empty text if all count alike."""
    weights = [link.weight for link in painting.style_links]
    if len(set(weights)) == 1:
        return ""
    return f", {weights[position] / sum(weights):.0%}".replace("%", " %")


def _rendition_data(painting: Painting, file: RenditionFile) -> dict[str, object]:
    return {
        "kind": file.kind,
        "label": rendition_label(file.kind),
        "url": rendition_url(painting, file),
        "width": file.width,
        "height": file.height,
    }
