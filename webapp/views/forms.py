"""Form of the studio: settings of a painting, and its pictures."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import request
from flask_wtf import FlaskForm
from werkzeug.datastructures import FileStorage
from wtforms import Field, HiddenField, IntegerField, IntegerRangeField, RadioField, SelectField
from wtforms.validators import InputRequired, NumberRange, Optional

from transfer.settings import (
    Backbone,
    Effort,
    Method,
    Rendition,
    Settings,
    Start,
    read,
    settings_in,
)
from webapp.extensions import get_config
from webapp.models import Picture
from webapp.uploads.library import find_choice, save_picture, validate_file
from webapp.uploads.validate import Upload, UploadRefused

SIZES_PX = {
    256: "Small",
    512: "Medium",
    768: "Large",
    1024: "Extra large",
    2048: "Poster",
    4096: "Wall",
}
"""Names of the long edges, px, that the site offers."""
COLORS = {
    "both": (Rendition.STYLED, Rendition.HISTOGRAM, Rendition.LUMINANCE),
    "style": (Rendition.STYLED,),
    "photo": (Rendition.HISTOGRAM, Rendition.LUMINANCE),
}
"""Form value -> renditions."""
BRUSH_STEPS = 50
"""Steps of the slider from the style's own brush size to twice or half of it."""
MAX_STYLES = 4
"""Most style pictures of one painting."""
SHARE = 50
"""First position of the slider of a style's share, 0 to 100: all styles count alike."""
_DEFAULTS = Settings()


class Control(Field):
    """Form field of one setting, which has the same name.

    Args:
        ends: words below a slider, from left to right.
        notes: words beside choices, by their value.
        fact: what a painting's page says of the setting; empty: nothing.
        is_expert: whether it stands in the fold for experts.
    """

    def __init__(
        self,
        *args: Any,
        ends: Sequence[str] = (),
        notes: Mapping[str, str] | None = None,
        fact: Callable[[Any], str] = lambda value: "",
        is_expert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ends, self.notes, self.fact, self.is_expert = ends, notes or {}, fact, is_expert

    @property
    def setting(self) -> Any:
        """Value of the setting; None if the field was left empty."""
        return self.data


class NumberControl(Control, IntegerField):
    """Whole number to type."""


class RadioControl(Control, RadioField):
    """Choices that are all visible at once."""


class SelectControl(Control, SelectField):
    """Choices in a drop-down list."""


class SliderControl(Control, IntegerRangeField):
    """Slider over the range of a setting; its steps, percent by default, stand for values.

    Args:
        label: label of the field.
        validators: validators beside that of the range.
        setting: name of the setting.
        to_step: function from a value to the step that stands for it.
        to_setting: the inverse.
        noun: what the error asks to choose; empty: the label.
    """

    def __init__(
        self,
        label: str,
        validators: Sequence[Any],
        *,
        setting: str,
        to_step: Callable[[float], float] = lambda value: 100 * value,
        to_setting: Callable[[int], float] = lambda step: step / 100,
        noun: str = "",
        **kwargs: Any,
    ) -> None:
        low, high = (round(to_step(end)) for end in settings_in(Settings)[setting].range or ())
        in_range = NumberRange(low, high, f"Choose a {noun or label.lower()} from {low} to {high}.")
        super().__init__(label, [*validators, in_range], render_kw={"step": 5}, **kwargs)
        self.to_step, self.to_setting = to_step, to_setting

    def process_data(self, value: float) -> None:
        """Move the slider to the step that stands for ``value``."""
        self.data = round(self.to_step(value))

    @property
    def setting(self) -> Any:
        """Value of the setting at the slider's step; None if the field was left empty."""
        return None if self.data is None else self.to_setting(self.data)


def _largest_px() -> int:
    return get_config().max_long_edge_px


def _renditions(colors: Any) -> Any:
    """Return the renditions of a form value; an unknown value unchanged, which fails validation."""
    if isinstance(colors, tuple):
        return colors if colors in COLORS.values() else COLORS["both"]
    return COLORS.get(colors, colors)


class StudioForm(FlaskForm):
    """Settings of a painting; `read_content` and `read_styles` read the pictures of the same form.

    The controls are named as the fields of `Settings` and stand on the page in this order;
    ``StudioForm(obj=settings)`` shows these settings. A new one needs its field of `Settings`,
    its control here, and its column of `Painting` with a migration.
    """

    idempotency_key = HiddenField()
    strength = SliderControl(
        "Strength",
        [InputRequired("Choose a strength.")],
        setting="strength",
        default=_DEFAULTS.strength,
        ends=("Hint", "Balanced", "Abstract"),
        fact=lambda strength: f"{round(100 * strength)} of 100",
    )
    brush_size = SliderControl(
        "Brush size",
        # A page that was open since before this field existed still works.
        [Optional()],
        setting="brush_size",
        name="brush",
        default=_DEFAULTS.brush_size,
        # Equal steps are equal factors.
        to_step=lambda size: BRUSH_STEPS * math.log2(size),
        to_setting=lambda step: 2.0 ** (step / BRUSH_STEPS),
        ends=("Fine", "As in the style", "Broad"),
        fact=lambda size: "" if size == 1 else f"{round(100 * size)} %",
    )
    keep_faces = SliderControl(
        "Keep faces",
        [Optional()],
        setting="keep_faces",
        default=_DEFAULTS.keep_faces,
        ends=("Off", "Painterly", "Faithful"),
        noun="number for the faces",
        fact=lambda kept: (
            "" if kept == _DEFAULTS.keep_faces else f"{round(100 * kept)} of 100" if kept else "Off"
        ),
    )
    renditions = RadioControl(
        "Colors",
        name="colors",
        choices={
            "both": "Both ways: from the style, and from the photo",
            "style": "From the style",
            "photo": "From the photo: keep the photo's colors",
        },
        coerce=_renditions,
        default="both",
    )
    long_edge_px = SelectControl(
        "Size",
        coerce=int,
        choices=lambda: {
            str(px): f"{name}, {px} px" for px, name in SIZES_PX.items() if px <= _largest_px()
        },
        default=lambda: min(_DEFAULTS.long_edge_px, _largest_px()),
    )
    effort = RadioControl(
        "Effort",
        choices={Effort.DRAFT: "Draft", Effort.STANDARD: "Standard", Effort.FINE: "Fine"},
        notes={
            Effort.DRAFT: "A quick look",
            Effort.STANDARD: "Rich and clean",
            Effort.FINE: "Best, takes several times longer",
        },
        default=_DEFAULTS.effort,
        fact=str.capitalize,
    )
    smoothness = SliderControl(
        "Smoothness",
        [Optional()],
        setting="smoothness",
        default=_DEFAULTS.smoothness,
        ends=("Grain", "Flat"),
        is_expert=True,
    )
    start = SelectControl(
        "Begin with",
        choices={
            Start.RECOLORED: "The photo in the style's palette",
            Start.CONTENT: "The photo as it is",
            Start.NOISE: "Noise",
        },
        default=_DEFAULTS.start,
        is_expert=True,
    )
    method = SelectControl(
        "Method",
        choices={
            Method.MATCHING: "Matching: nearest strokes",
            Method.STATISTICS: "Statistics: average look",
        },
        default=_DEFAULTS.method,
        is_expert=True,
        fact=lambda method: "" if method == _DEFAULTS.method else method.capitalize(),
    )
    backbone = SelectControl(
        "Backbone",
        choices={
            Backbone.AUTO: "Automatic: as the effort asks",
            Backbone.COMPACT: "compact: small and fast",
            Backbone.VGG19: "vgg19: the original network",
        },
        default=_DEFAULTS.backbone,
        is_expert=True,
        fact=lambda backbone: "" if backbone == Backbone.AUTO else backbone,
    )
    seed = NumberControl(
        "Seed",
        [
            InputRequired("Type a whole number."),
            NumberRange(0, 2**31 - 1, "Use a whole number from 0 to 2147483647."),
        ],
        default=_DEFAULTS.seed,
        render_kw={"inputmode": "numeric"},
        is_expert=True,
    )

    @property
    def controls(self) -> dict[str, Control]:
        """Controls by the name of their setting."""
        return {name: self[name] for name in self.data if isinstance(self[name], Control)}

    def to_settings(self) -> Settings:
        """Return the settings of a valid form; empty fields have their defaults."""
        settings = {name: control.setting for name, control in self.controls.items()}
        filled = {name: value for name, value in settings.items() if value is not None}
        return Settings(**read(Settings, filled), animation=True)


def setting_facts(settings: Settings) -> dict[str, str]:
    """Return the facts that a painting's page tells of its settings, by the controls' labels."""
    form = StudioForm(formdata=None, obj=settings, meta={"csrf": False})
    facts = {
        control.label.text: control.fact(control.object_data) for control in form.controls.values()
    }
    return {label: fact for label, fact in facts.items() if fact}


@dataclass
class Selection:
    """Pictures that the form names as content or as styles, and errors to show beside them."""

    is_style: bool
    pictures: list[Upload | Picture] = field(default_factory=list)
    shares: list[int] = field(default_factory=list)
    """Share of each picture, 0 to 100."""
    errors: list[str] = field(default_factory=list)
    status: int = 422
    """HTTP status of the answer if there are errors."""

    def add_file(self, file: FileStorage) -> None:
        """Add an uploaded file, or an error if it is refused."""
        try:
            self.pictures.append(validate_file(file))
            self.shares.append(SHARE)
        except UploadRefused as refusal:
            name = f"{file.filename}: " if self.is_style else ""
            self.errors.append(f"{name}{refusal}")
            if refusal.status == 413:
                self.status = 413

    def add_choice(self, value: str, share: int = SHARE) -> None:
        """Add a sample or a picture of the user's, or an error if neither has this value."""
        picture = find_choice(value)
        if picture is None:
            self.errors.append("This picture is no longer there. Choose another one.")
        else:
            self.pictures.append(picture)
            self.shares.append(share)

    def save(self) -> list[tuple[Picture, int]]:
        """Store the uploads and return every picture once, with its share."""
        saved: dict[int, tuple[Picture, int]] = {}
        for picture, share in zip(self.pictures, self.shares, strict=True):
            if isinstance(picture, Upload):
                picture = save_picture(picture, is_style=self.is_style)
            saved[picture.id] = picture, share
        return list(saved.values())


def read_content() -> Selection:
    """Read the photo of the sent form."""
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


def read_styles() -> Selection:
    """Read the styles of the sent form."""
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
            selection.add_choice(value, read_shares().get(value, SHARE))
        if selection.shares and not any(selection.shares):
            selection.errors.append("Give at least one style a share above 0.")
    return selection


def read_shares() -> dict[str, int]:
    """Return the share, 0 to 100, of each chosen style; `SHARE` where it cannot be read."""
    return {
        value: min(max(request.form.get(f"share:{value}", SHARE, int), 0), 100)
        for value in request.form.getlist("styles")
    }
