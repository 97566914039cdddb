"""The studio: choose a photo, a style, and how to paint; then the order is placed."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flask import (
    Blueprint,
    current_app,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_wtf import FlaskForm
from sqlalchemy import select
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response
from wtforms import HiddenField, IntegerField, IntegerRangeField, RadioField, SelectField
from wtforms.validators import InputRequired, NumberRange, Optional

from config import Config
from transfer.settings import Backbone, Effort, Rendition, Settings, Start
from webapp import forecast, limits, queue, samples, watch
from webapp.access import find_picture, login_required
from webapp.extensions import db, limiter, writing
from webapp.intake import Upload, UploadRefused
from webapp.limits import LimitReached
from webapp.models import Painting, PaintingStyle, Picture
from webapp.pictures import admit_choice, admit_file, keep, mark_used, shelf

bp = Blueprint("studio", __name__, url_prefix="/studio")

MAX_STYLES = 4
SIZES_PX = {256: "Small", 512: "Medium", 768: "Large", 1024: "Extra large", 2048: "Poster"}
EFFORT_LABELS = {
    Effort.DRAFT: ("Draft", "A quick look"),
    Effort.STANDARD: ("Standard", "Rich and clean"),
    Effort.FINE: ("Fine", "Best, takes several times longer"),
}
BACKBONE_LABELS = {
    Backbone.AUTO: "Automatic: as the effort asks",
    Backbone.COMPACT: "compact: small and fast",
    Backbone.VGG19: "vgg19: the original network",
}
COLOR_CHOICES: dict[str, tuple[str, tuple[Rendition, ...]]] = {
    "both": ("Both", (Rendition.STYLED, Rendition.HISTOGRAM, Rendition.LUMINANCE)),
    "style": ("From the style", (Rendition.STYLED,)),
    "photo": ("From the photo", (Rendition.HISTOGRAM, Rendition.LUMINANCE)),
}
"""Form value -> label and renditions."""
START_LABELS = {
    Start.RECOLORED: "The photo in the style's palette",
    Start.CONTENT: "The photo as it is",
    Start.NOISE: "Noise",
}
BRUSH_STEPS = 50
"""Steps of the slider from the style's own brush size to twice or half of it."""
_SHARE = 50
"""Where the slider of a style's share begins: all styles count alike."""
_DEFAULTS = Settings()


class StudioForm(FlaskForm):
    """How to paint; the pictures are read apart, because they may be files or choices."""

    form_token = HiddenField()
    long_edge_px = SelectField("Size", coerce=int)
    strength = IntegerRangeField(
        "Strength",
        [
            InputRequired("Choose a strength."),
            NumberRange(0, 100, "Choose a strength from 0 to 100."),
        ],
        default=round(_DEFAULTS.strength * 100),
    )
    effort = RadioField(
        "Effort",
        choices={effort.value: label for effort, (label, _) in EFFORT_LABELS.items()},
        default=_DEFAULTS.effort.value,
    )
    colors = RadioField(
        "Colors",
        choices={value: label for value, (label, _) in COLOR_CHOICES.items()},
        default="both",
    )
    brush = IntegerRangeField(
        "Brush size",
        [
            # A page that was open since before this field existed still works.
            Optional(),
            NumberRange(-BRUSH_STEPS, BRUSH_STEPS, "Choose a brush size with the slider."),
        ],
        default=0,
    )
    smoothness = IntegerRangeField(
        "Smoothness",
        [
            Optional(),
            NumberRange(0, 100, "Choose a smoothness from 0 to 100."),
        ],
        default=round(_DEFAULTS.smoothness * 100),
    )
    start = SelectField(
        "Begin with",
        choices={start.value: label for start, label in START_LABELS.items()},
        default=_DEFAULTS.start.value,
    )
    backbone = SelectField(
        "Backbone",
        choices={backbone.value: label for backbone, label in BACKBONE_LABELS.items()},
        default=_DEFAULTS.backbone.value,
    )
    seed = IntegerField(
        "Seed",
        [
            InputRequired("Type a whole number."),
            NumberRange(0, 2**31 - 1, "Use a whole number from 0 to 2147483647."),
        ],
        default=_DEFAULTS.seed,
    )


@dataclass
class Selection:
    """What the form names as content or styles, and what is wrong with it."""

    is_style: bool
    admitted: list[Upload | Picture] = field(default_factory=list)
    shares: list[int] = field(default_factory=list)
    """How much each of the admitted counts, 0 to 100."""
    errors: list[str] = field(default_factory=list)
    status: int = 422

    def add_file(self, file: FileStorage) -> None:
        """Admit a file, or note why not."""
        try:
            self.admitted.append(admit_file(file))
            self.shares.append(_SHARE)
        except UploadRefused as refusal:
            name = f"{file.filename}: " if self.is_style else ""
            self.errors.append(f"{name}{refusal}")
            if refusal.status == 413:
                self.status = 413

    def add_choice(self, value: str, share: int = _SHARE) -> None:
        """Admit a picture that is already here, or note that it is not."""
        chosen = admit_choice(value)
        if chosen is None:
            self.errors.append("This picture is no longer there. Choose another one.")
        else:
            self.admitted.append(chosen)
            self.shares.append(share)

    def kept(self) -> list[tuple[Picture, int]]:
        """Every admitted picture as a row, each once, and how much it counts."""
        found: dict[int, tuple[Picture, int]] = {}
        for item, share in zip(self.admitted, self.shares, strict=True):
            picture = item if isinstance(item, Picture) else keep(item, is_style=self.is_style)
            found[picture.id] = picture, share
        return list(found.values())


@bp.get("")
@login_required
def index() -> str:
    """The empty studio, or one set up like an earlier painting (``?like=``) or a sample pair."""
    form = _form()
    content, styles = request.args.get("content", ""), request.args.getlist("style")
    shares: dict[str, int] = {}
    earlier = request.args.get("like")
    if earlier:
        painting = db.session.scalar(
            select(Painting).where(Painting.public_id == earlier, Painting.owner_id == g.user.id)
        )
        if painting is not None:
            _fill(form, painting)
            content = painting.content.public_id
            shares = {
                link.picture.public_id: round(_SHARE * link.weight) for link in painting.style_links
            }
            styles = list(shares)
    return _page(form, content, styles, shares=shares)


@bp.get("/forecast")
@login_required
def show_forecast() -> Response | tuple[Response, int]:
    """How long a painting of these settings would take, and the wait before it."""
    form = StudioForm(formdata=request.args, meta={"csrf": False})
    _set_sizes(form)
    # Of the picture; only its shape matters.
    width, height = request.args.get("width", 0, int), request.args.get("height", 0, int)
    if not form.validate() or not 0 < min(width, height) <= max(width, height) < 10**6:
        return jsonify(error="These settings cannot be painted."), 422
    # A painting in no style yet is told as one in a single style.
    styles = min(max(request.args.get("styles", 1, int), 1), MAX_STYLES)
    return jsonify(text=_forecast_text(form, width, height, styles))


@bp.post("")
@login_required
@limiter.limit("120 per hour")
def order() -> Response | tuple[str, int]:
    """Place an order: one painting, however often the same form is sent."""
    form = _form()
    chosen = request.form.get("content", ""), request.form.getlist("styles")
    try:
        limits.check_order()
        # Browsers send empty file fields, too; who chose what is here already uploads nothing.
        if any(file.filename for file in request.files.values()):
            limits.check_upload()
    except LimitReached as reached:
        form.validate()
        return _page(form, *chosen, limit=str(reached)), reached.status
    content, styles = _read_content(), _read_styles()
    is_valid = form.validate_on_submit()
    if not is_valid or content.errors or styles.errors:
        is_too_large = 413 in {content.status, styles.status}
        page = _page(form, *chosen, content.errors, styles.errors)
        return page, 413 if is_too_large else 422
    painting, is_new = _place(form, content.kept()[0][0], styles.kept())
    if is_new and not queue.offer_ticket():
        flash("Your painting is saved. It waits until the queue can be reached again.")
    return redirect(url_for("painting.show", public_id=painting.public_id), code=303)


@bp.errorhandler(RequestEntityTooLarge)
@login_required
def on_too_large(_error: RequestEntityTooLarge) -> tuple[str, int]:
    """The body was cut off at the limit: the page again, with a sentence beside the fields."""
    limit_mb = current_app.config["PIC2PAINT"].max_upload_bytes / 1e6
    sentence = f"Each file may have at most {limit_mb:.0f} MB. Choose smaller pictures."
    # Nothing of the form was read, and asking for it would read on.
    return _page(StudioForm(formdata=None), "", [], [sentence], [], shares={}), 413


def _forecast_text(form: StudioForm, width: int, height: int, styles: int) -> str:
    """This painting's time and the wait before it, apart; and whether it has to be in parts."""
    settings = Settings(
        long_edge_px=form.long_edge_px.data,
        effort=Effort(form.effort.data),
        backbone=Backbone(form.backbone.data),
        renditions=COLOR_CHOICES[form.colors.data][1],
        brush_size=_brush_size(form.brush.data),
        animation=True,
    )
    painted = forecast.painted_size(height, width, settings.long_edge_px)
    outlook = forecast.outlook_for(g.user.id, settings, *painted, styles)
    painting = f"Painting it takes {forecast.in_words(outlook.painting_s)}"
    if not watch.living_workers():
        told = f"{painting}, once a worker is back; right now there is none."
    elif outlook.wait_s < 1:
        told = f"{painting}; it begins at once."
    else:
        told = f"{painting}; its turn comes in {forecast.in_words(outlook.wait_s)}."
    return told + _memory_text(outlook.peak_bytes)


def _memory_text(peak_bytes: float) -> str:
    config: Config = current_app.config["PIC2PAINT"]
    if not 0 < config.max_memory_bytes < peak_bytes:
        return ""
    return (
        f" At once it would need about {peak_bytes / 1e9:.1f} GB of memory, and paintings here may "
        f"take {config.max_memory_bytes / 1e9:.1f} GB: it is painted in parts, which takes longer."
    )


def _form() -> StudioForm:
    form = StudioForm()
    _set_sizes(form)
    return form


def _set_sizes(form: StudioForm) -> None:
    largest = current_app.config["PIC2PAINT"].max_long_edge_px
    form.long_edge_px.choices = {
        str(px): f"{label}, {px} px" for px, label in SIZES_PX.items() if px <= largest
    }
    if form.long_edge_px.data is None:
        form.long_edge_px.data = min(_DEFAULTS.long_edge_px, largest)


def _read_content() -> Selection:
    selection = Selection(is_style=False)
    file = request.files.get("content_file")
    value = request.form.get("content", "")
    if file is not None and file.filename:
        selection.add_file(file)
    elif value:
        selection.add_choice(value)
    else:
        selection.errors.append("Choose a photo, or upload one.")
    return selection


def _read_styles() -> Selection:
    selection = Selection(is_style=True)
    files = [file for file in request.files.getlist("style_files") if file.filename]
    values = list(dict.fromkeys(request.form.getlist("styles")))
    if not files and not values:
        selection.errors.append("Choose a style picture, or upload one.")
    elif len(files) + len(values) > MAX_STYLES:
        selection.errors.append(f"Choose at most {MAX_STYLES} style pictures.")
    else:
        for file in files:
            selection.add_file(file)
        for value in values:
            selection.add_choice(value, _shares().get(value, _SHARE))
        if selection.shares and not any(selection.shares):
            selection.errors.append("Give at least one style a share above 0.")
    return selection


def _shares() -> dict[str, int]:
    """How much each chosen style counts, 0 to 100; what is unreadable as if it were not there."""
    return {
        value: min(max(request.form.get(f"share:{value}", _SHARE, int), 0), 100)
        for value in request.form.getlist("styles")
    }


def _smoothness(percent: int | None) -> float:
    return _DEFAULTS.smoothness if percent is None else percent / 100


def _brush_size(steps: int | None) -> float:
    """The brush size at a place of its slider: equal steps are equal factors."""
    return float(2.0 ** ((steps or 0) / BRUSH_STEPS))


def _place(
    form: StudioForm, content: Picture, styles: Sequence[tuple[Picture, int]]
) -> tuple[Painting, bool]:
    token = f"{g.user.id}:{(form.form_token.data or secrets.token_urlsafe(16))[:48]}"
    owner_id, content_id = g.user.id, content.id
    shares = [(style.id, share) for style, share in styles]
    with writing() as database:
        painting = database.scalar(select(Painting).where(Painting.form_token == token))
        is_new = painting is None
        if painting is None:
            painting = Painting(
                owner_id=owner_id,
                form_token=token,
                content_id=content_id,
                style_links=[
                    PaintingStyle(position=position, picture_id=style_id, weight=share / _SHARE)
                    for position, (style_id, share) in enumerate(shares)
                ],
                long_edge_px=form.long_edge_px.data,
                strength=(form.strength.data or 0) / 100,
                effort=form.effort.data,
                backbone=form.backbone.data,
                colors=[kind.value for kind in COLOR_CHOICES[form.colors.data][1]],
                seed=form.seed.data,
                brush_size=_brush_size(form.brush.data),
                smoothness=_smoothness(form.smoothness.data),
                start=form.start.data,
            )
            database.add(painting)
            mark_used(database.get_one(Picture, content_id), is_style=False)
            for style_id, _ in shares:
                mark_used(database.get_one(Picture, style_id), is_style=True)
    return painting, is_new


def _fill(form: StudioForm, painting: Painting) -> None:
    form.long_edge_px.data = painting.long_edge_px
    form.strength.data = round(painting.strength * 100)
    form.effort.data = painting.effort
    form.backbone.data = painting.backbone
    form.seed.data = painting.seed
    form.brush.data = round(BRUSH_STEPS * math.log2(painting.brush_size))
    form.smoothness.data = round(painting.smoothness * 100)
    form.start.data = painting.start
    form.colors.data = next(
        (
            value
            for value, (_, kinds) in COLOR_CHOICES.items()
            if [kind.value for kind in kinds] == painting.colors
        ),
        "both",
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
    _set_sizes(form)
    form.form_token.data = form.form_token.data or secrets.token_urlsafe(16)
    chosen_content = [p for p in [find_picture(content)] if p is not None]
    chosen_styles = [p for p in map(find_picture, styles) if p is not None]
    return render_template(
        "studio/index.html",
        form=form,
        content=content,
        styles=styles,
        shares=_shares() if shares is None else shares,
        share=_SHARE,
        content_errors=content_errors,
        style_errors=style_errors,
        photo_shelf=shelf(is_style=False, selected=chosen_content),
        style_shelf=shelf(is_style=True, selected=chosen_styles),
        samples=samples,
        max_styles=MAX_STYLES,
        brush_steps=BRUSH_STEPS,
        effort_notes={effort.value: note for effort, (_, note) in EFFORT_LABELS.items()},
        limit=limit,
        forecast_text=""
        if form.errors
        else _forecast_text(form, *_shape(chosen_content), max(1, len(chosen_styles))),
        max_upload_mb=current_app.config["PIC2PAINT"].max_upload_bytes // 1_000_000,
    )


def _shape(chosen: Sequence[Picture]) -> tuple[int, int]:
    """Width and height of the chosen photo; of a usual one if none is chosen."""
    return (chosen[0].width, chosen[0].height) if chosen else (3, 2)
