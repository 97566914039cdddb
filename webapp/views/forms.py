"""The form of an order: how to paint. `webapp.views.selection` reads which pictures."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask_wtf import FlaskForm
from wtforms import Field, HiddenField, IntegerField, IntegerRangeField, RadioField, SelectField
from wtforms.validators import InputRequired, NumberRange, Optional

from transfer.settings import Backbone, Effort, Rendition, Settings, Start, read
from webapp.extensions import get_config

SIZES_PX = {
    256: "Small",
    512: "Medium",
    768: "Large",
    1024: "Extra large",
    2048: "Poster",
    4096: "Wall",
}
COLORS = {
    "both": (Rendition.STYLED, Rendition.HISTOGRAM, Rendition.LUMINANCE),
    "style": (Rendition.STYLED,),
    "photo": (Rendition.HISTOGRAM, Rendition.LUMINANCE),
}
"""Form value -> renditions."""
BRUSH_STEPS = 50
"""Steps of the slider from the style's own brush size to twice or half of it."""
_DEFAULTS = Settings()


class Control(Field):
    """A form field that decides the setting of its name.

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
        """The setting's value; None if the field was left empty."""
        return self.data


class NumberControl(Control, IntegerField):
    """A whole number to type."""


class RadioControl(Control, RadioField):
    """Choices that are all seen."""


class SelectControl(Control, SelectField):
    """Choices that are unfolded."""


class SliderControl(Control, IntegerRangeField):
    """A slider whose steps, percent unless said otherwise, stand for values of the setting."""

    def __init__(
        self,
        *args: Any,
        to_step: Callable[[float], float] = lambda value: 100 * value,
        to_setting: Callable[[int], float] = lambda step: step / 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, render_kw={"step": 5}, **kwargs)
        self.to_step, self.to_setting = to_step, to_setting

    def process_data(self, value: float) -> None:
        """Put the slider where it stands for this value."""
        self.data = round(self.to_step(value))

    @property
    def setting(self) -> Any:
        """The value for which the slider stands; None if the field was left empty."""
        return None if self.data is None else self.to_setting(self.data)


def _largest_px() -> int:
    return get_config().max_long_edge_px


def _renditions(colors: Any) -> Any:
    """Return the renditions of a form value; what is neither that nor a choice as it is."""
    if isinstance(colors, tuple):
        return colors if colors in COLORS.values() else COLORS["both"]
    return COLORS.get(colors, colors)


class StudioForm(FlaskForm):
    """How to paint; the pictures are read apart, because they may be files or choices.

    The controls are named as the fields of `Settings` and stand on the page in this order;
    ``StudioForm(obj=settings)`` shows these settings. A new one needs its field of `Settings`,
    its control here, and its column of `Painting` with a migration.
    """

    idempotency_key = HiddenField()
    strength = SliderControl(
        "Strength",
        [
            InputRequired("Choose a strength."),
            NumberRange(0, 100, "Choose a strength from 0 to 100."),
        ],
        default=_DEFAULTS.strength,
        ends=("Hint", "Balanced", "Abstract"),
        fact=lambda strength: f"{round(100 * strength)} of 100",
    )
    brush_size = SliderControl(
        "Brush size",
        [
            # A page that was open since before this field existed still works.
            Optional(),
            NumberRange(-BRUSH_STEPS, BRUSH_STEPS, "Choose a brush size with the slider."),
        ],
        name="brush",
        default=_DEFAULTS.brush_size,
        # Equal steps are equal factors.
        to_step=lambda size: BRUSH_STEPS * math.log2(size),
        to_setting=lambda step: 2.0 ** (step / BRUSH_STEPS),
        ends=("Fine", "As in the style", "Broad"),
        fact=lambda size: "" if size == 1 else f"{round(100 * size)} %",
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
        [Optional(), NumberRange(0, 100, "Choose a smoothness from 0 to 100.")],
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
        """The controls by the setting that they decide."""
        return {name: self[name] for name in self.data if isinstance(self[name], Control)}

    def to_settings(self) -> Settings:
        """Return what a valid form asks for; what was left empty is as usual."""
        asked = {name: control.setting for name, control in self.controls.items()}
        given = {name: value for name, value in asked.items() if value is not None}
        return Settings(**read(Settings, given), animation=True)


def setting_facts(settings: Settings) -> dict[str, str]:
    """Return what a painting's page says of its settings, by their labels."""
    form = StudioForm(formdata=None, obj=settings, meta={"csrf": False})
    facts = {each.label.text: each.fact(each.object_data) for each in form.controls.values()}
    return {label: fact for label, fact in facts.items() if fact}
