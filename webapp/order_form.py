"""The form of an order: how to paint. Which pictures is read apart; see `webapp.selection`."""

import math

from flask import current_app
from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, IntegerRangeField, RadioField, SelectField
from wtforms.validators import InputRequired, NumberRange, Optional

from transfer.settings import Backbone, Effort, Rendition, Settings, Start
from webapp.models import Painting

SIZES_PX = {
    256: "Small",
    512: "Medium",
    768: "Large",
    1024: "Extra large",
    2048: "Poster",
    4096: "Wall",
}
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


def set_sizes(form: StudioForm) -> None:
    """Offer the sizes that may be ordered here."""
    largest = current_app.config["PIC2PAINT"].max_long_edge_px
    form.long_edge_px.choices = {
        str(px): f"{label}, {px} px" for px, label in SIZES_PX.items() if px <= largest
    }
    if form.long_edge_px.data is None:
        form.long_edge_px.data = min(_DEFAULTS.long_edge_px, largest)


def smoothness(percent: int | None) -> float:
    """The smoothness at a place of its slider; the usual one if there is none."""
    return _DEFAULTS.smoothness if percent is None else percent / 100


def brush_size(steps: int | None) -> float:
    """The brush size at a place of its slider: equal steps are equal factors."""
    return float(2.0 ** ((steps or 0) / BRUSH_STEPS))


def fill(form: StudioForm, painting: Painting) -> None:
    """Set the form up like an earlier painting."""
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
