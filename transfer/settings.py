"""Settings of a painting, with their ranges. Free of torch, so that web processes can read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from transfer.errors import InvalidSetting

LONG_EDGE_MIN_PX = 64
LONG_EDGE_MAX_PX = 8192
ANIMATION_FRAMES_MAX = 60
ANIMATION_EDGE_MAX_PX = 512
"""Largest long edge of an animation's frame, px."""
WEIGHT_MAX = 1e6
"""Largest weight: a larger one drowns everything else in single precision."""

LAYERS = (
    *("relu1_1", "relu1_2"),
    *("relu2_1", "relu2_2"),
    *("relu3_1", "relu3_2", "relu3_3", "relu3_4"),
    *("relu4_1", "relu4_2", "relu4_3", "relu4_4"),
    "relu5_1",
)
"""Feature layers of every backbone, from shallow to deep."""
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"


class Rendition(StrEnum):
    """One output image of a painting, named by where its colors come from."""

    STYLED = "styled"
    """The style's colors."""
    HISTOGRAM = "histogram"
    """The photo's palette: the style is recolored first (arXiv 1606.05897, section 4)."""
    LUMINANCE = "luminance"
    """The photo's hues exactly: only lightness is painted (arXiv 1606.05897, section 5)."""


class Effort(StrEnum):
    """Amount of work that goes into a painting."""

    DRAFT = "draft"
    STANDARD = "standard"
    FINE = "fine"


class Backbone(StrEnum):
    """The network whose feature statistics define style."""

    AUTO = "auto"
    """Choice by effort: compact for draft; compact for standard, with vgg19 to finish sizes that
    are not too large for it; vgg19 for fine."""
    COMPACT = "compact"
    VGG19 = "vgg19"
    VGG19_TORCHVISION = "vgg19-torchvision"


class Method(StrEnum):
    """Way in which a painting is drawn toward its style."""

    MATCHING = "matching"
    """Each place is drawn toward the style's nearest feature (arXiv 2203.13215)."""
    STATISTICS = "statistics"
    """The whole is drawn toward the style's mean and covariance (after Gatys et al., CVPR 2016)."""


class Start(StrEnum):
    """The image before the first evaluation."""

    RECOLORED = "recolored"
    """The photo in the style's palette."""
    CONTENT = "content"
    """The photo as it is."""
    NOISE = "noise"
    """Random colors, drawn from the seed; the optimization brings the photo's shapes."""


class ColorMap(StrEnum):
    """Linear map that gives the style the photo's palette in `Rendition.HISTOGRAM`."""

    SYMMETRIC = "symmetric"
    """Monge-Kantorovich: moves colors least."""
    CHOLESKY = "cholesky"
    """Cholesky factors: red from red alone, green from red and green, blue from all."""
    PCA = "pca"
    """Principal axes: one palette is whitened, then given the axes of the other."""


class Precision(StrEnum):
    """Precision of gradients in a backbone, and of the activations that tiles keep for them."""

    AUTO = "auto"
    """`HALF` if the processor multiplies matrices of bfloat16 in hardware, else `SINGLE`."""
    HALF = "half"
    """bfloat16: the range of single precision with a third of its digits."""
    SINGLE = "single"


class Pooling(StrEnum):
    """Pooling between the stages of a backbone."""

    MAX = "max"
    """Pooling that VGG-19 was trained with."""
    AVERAGE = "average"
    """Pooling that Gatys, Ecker & Bethge (CVPR 2016, section 2) recommend for synthesis."""


@dataclass(frozen=True)
class Setting:
    """Annotation of a field: its range, and its option on the command line."""

    name: str
    """Name in errors, and, with hyphens, of the option."""
    help: str
    requirement: Callable[[Any], str | None]
    """Function that says what a value must be, or returns None if the value is allowed."""
    type: Callable[[str], Any] = str
    """Type of the option, for argparse."""
    choices: Sequence[str] | None = None
    range: tuple[float, float] | None = None
    """Smallest and largest value of a number; sliders end there, too."""
    metavar: str | None = None
    parse: Callable[[Any], Any] = lambda value: value
    """Function from an option, or from a column of a table, to the field's value."""
    syntax: str = ""
    """Description of what `parse` can read."""
    format: Callable[[Any], Any] = lambda value: value
    """Function from the field's value to the option; the inverse of `parse`."""


@cache
def settings_in(kind: Any) -> Mapping[str, Setting]:
    """Return the annotations of the fields of `Settings` or `AdvancedSettings` that have one."""
    annotations = {each.name: getattr(each.type, "__metadata__", ()) for each in fields(kind)}
    return {name: metadata[0] for name, metadata in annotations.items() if metadata}


def read(kind: Any, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields' values from options or columns.

    Args:
        kind: `Settings` or `AdvancedSettings`.
        written: options or columns by field.

    Raises:
        InvalidSetting: if one of them cannot be parsed.
    """
    values, settings = {}, settings_in(kind)
    for name, text in written.items():
        setting = settings[name]
        try:
            values[name] = setting.parse(text)
        except ValueError:
            raise InvalidSetting(setting.name, setting.syntax, text) from None
    return values


def _check(settings: object) -> None:
    kind: Any = type(settings)
    for name, setting in settings_in(kind).items():
        value, default = getattr(settings, name), getattr(kind, name)
        requirement = None if value is default is None else setting.requirement(value)
        if requirement is not None:
            raise InvalidSetting(setting.name, requirement, value)


def _integer(name: str, help: str, low: int, high: int, unit: str = "") -> Setting:
    def requirement(value: object) -> str | None:
        if type(value) is not int:
            return "a whole number"
        return None if low <= value <= high else f"from {low} to {high}{unit}"

    return Setting(name, help, requirement, int, range=(low, high))


def _number(name: str, help: str, low: float, high: float) -> Setting:
    def requirement(value: object) -> str | None:
        return None if _is_number(value, low, high) else f"from {low:g} to {high:g}"

    return Setting(name, help, requirement, float, range=(low, high))


def _weight(name: str, help: str) -> Setting:
    return _number(name, help, 0.0, WEIGHT_MAX)


def _choice(name: str, kind: type[StrEnum], help: str = "") -> Setting:
    names = [member.value for member in kind]
    syntax = f"one of {', '.join(names)}"

    def requirement(value: object) -> str | None:
        return None if isinstance(value, kind) else syntax

    help += "(%(default)s)"
    return Setting(name, help, requirement, choices=names, parse=kind, syntax=syntax, format=str)


def _seed_requirement(seed: object) -> str | None:
    is_seed = type(seed) is int and 0 <= seed < 2**63
    return None if is_seed else "a whole number from 0 to 2^63 - 1"


def _renditions_requirement(renditions: Any) -> str | None:
    is_tuple = isinstance(renditions, tuple) and all(isinstance(r, Rendition) for r in renditions)
    is_fine = is_tuple and 0 < len(renditions) == len(set(renditions))
    return None if is_fine else "one or more different renditions"


def _parse_renditions(names: str | Sequence[str]) -> tuple[Rendition, ...]:
    parts = names.split(",") if isinstance(names, str) else names
    return tuple(Rendition(part.strip()) for part in parts)


def _weights_requirement(weights: Any) -> str | None:
    is_tuple = isinstance(weights, tuple) and all(map(_is_weight, weights))
    is_fine = is_tuple and (not weights or any(weights))
    return None if is_fine else f"numbers from 0 to {WEIGHT_MAX:g}, not all of them 0"


def _layers_requirement(layers: tuple[tuple[str, float], ...]) -> str | None:
    try:
        weights = dict(layers)
    except (TypeError, ValueError):
        weights = {}
    if not weights or len(weights) != len(layers) or not weights.keys() <= set(LAYERS):
        return f"one or more of {', '.join(LAYERS)}, each once and with its weight"
    if not all(map(_is_weight, weights.values())) or not any(weights.values()):
        return f"layers with weights from 0 to {WEIGHT_MAX:g}, not all of them 0"
    return None


def _parse_layers(text: str) -> tuple[tuple[str, float], ...]:
    pairs = [part.partition("=") for part in text.split(",")]
    return tuple((layer.strip(), float(weight or 1.0)) for layer, _, weight in pairs)


def _is_weight(value: object) -> bool:
    return _is_number(value, 0.0, WEIGHT_MAX)


def _is_number(value: object, low: float, high: float) -> bool:
    # Written so that NaN fails too.
    return type(value) in {int, float} and low <= value <= high  # type: ignore[operator]


@dataclass(frozen=True)
class AdvancedSettings:
    """Settings in the terms of the optimization, for experts.

    Raises:
        InvalidSetting: if a value is out of range or unknown.
    """

    content_weight: Annotated[
        float | None,
        _weight("content weight", "fixed weight of the content loss, instead of --strength"),
    ] = None
    smoothness_weight: Annotated[
        float | None, _weight("smoothness weight", "of the roughness, instead of --smoothness")
    ] = None
    style_layers: Annotated[
        tuple[tuple[str, float], ...],
        Setting(
            "style layers",
            f"of {', '.join(LAYERS)}; weight 1 where there is none (%(default)s)",
            _layers_requirement,
            metavar="LAYER[=W],...",
            parse=_parse_layers,
            syntax="layers with commas between, each alone or as layer=weight",
            format=lambda layers: ",".join(
                f"{name}={weight}".removesuffix("=1.0") for name, weight in layers
            ),
        ),
    ] = tuple((layer, 1.0) for layer in STYLE_LAYERS)
    """Names, each with its weight; the weights are divided by their sum."""
    content_layer: Annotated[
        str | None,
        Setting(
            "content layer",
            "one of the same (relu4_2, with compact relu4_1)",
            lambda layer: None if layer in LAYERS else f"one of {', '.join(LAYERS)}",
        ),
    ] = None
    """Layer that compares content. None: relu4_2, for compact relu4_1, which it imitates better."""
    pooling: Annotated[Pooling, _choice("pooling", Pooling)] = Pooling.MAX
    evaluations: Annotated[
        int | None,
        _integer("evaluations", "of the first rendition, about, instead of --effort's", 10, 10_000),
    ] = None
    """Number of evaluations of the first rendition, about, divided among the levels as the effort
    does; later renditions get more or fewer in proportion. None: the effort's number."""

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Settings:
    """Everything besides the pictures that decides about a painting.

    Raises:
        InvalidSetting: if a value is out of range or unknown.
    """

    long_edge_px: Annotated[
        int,
        _integer("size", "long edge, px (%(default)s)", LONG_EDGE_MIN_PX, LONG_EDGE_MAX_PX, " px"),
    ] = 512
    """Long edge of the painting, px."""
    strength: Annotated[float, _number("strength", "0 to 1 (%(default)s)", 0.0, 1.0)] = 0.5
    """Strength of the style: 0 stays close to the photo, 1 lets the style take over."""
    effort: Annotated[Effort, _choice("effort", Effort)] = Effort.STANDARD
    backbone: Annotated[Backbone, _choice("backbone", Backbone)] = Backbone.AUTO
    method: Annotated[
        Method, _choice("method", Method, "how the painting is drawn toward its style ")
    ] = Method.MATCHING
    renditions: Annotated[
        tuple[Rendition, ...],
        Setting(
            "colors",
            f"one or more of {', '.join(Rendition)}, commas between (%(default)s)",
            _renditions_requirement,
            parse=_parse_renditions,
            syntax=f"one or more of {', '.join(Rendition)}, with commas between",
            format=",".join,
        ),
    ] = (Rendition.STYLED,)
    """Renditions in painting order; later ones start from the first."""
    seed: Annotated[
        int, Setting("seed", "same seed, same picture (%(default)s)", _seed_requirement, int)
    ] = 0
    style_weights: Annotated[
        tuple[float, ...],
        Setting(
            "style weights",
            "one per style, only their ratios count (all alike)",
            _weights_requirement,
            metavar="W,W...",
            parse=lambda text: tuple(map(float, text.split(","))) if text else (),
            syntax="numbers with commas between",
            format=lambda weights: ",".join(map(str, weights)),
        ),
    ] = ()
    """Weights of the styles relative to each other; empty: all alike."""
    brush_size: Annotated[
        float, _number("brush size", "size of strokes, 0.5 to 2 (%(default)s)", 0.5, 2.0)
    ] = 1.0
    """Size of strokes and patterns: at 1 they are as large as in the style picture, scaled to the
    size of the painting."""
    smoothness: Annotated[float, _number("smoothness", "0 to 1 (%(default)s)", 0.0, 1.0)] = 0.5
    """Smoothness: 0 keeps all grain, 1 leaves flat places flat."""
    keep_faces: Annotated[
        float, _number("keep faces", "0 not at all, 1 faithfully (%(default)s)", 0.0, 1.0)
    ] = 0.5
    """Degree to which faces in the photo are kept: 0 paints them like everything else, 0.5 keeps
    them whole, 1 keeps their likeness, too."""
    start: Annotated[Start, _choice("start", Start, "the image before the first evaluation ")] = (
        Start.RECOLORED
    )
    color_map: Annotated[
        ColorMap,
        _choice("color map", ColorMap, "how the style gets the photo's palette in histogram "),
    ] = ColorMap.SYMMETRIC
    animation: bool = False
    """True to make an animation of the first rendition's evaluations."""
    advanced: AdvancedSettings = field(default_factory=AdvancedSettings)

    def __post_init__(self) -> None:
        _check(self)
        if type(self.animation) is not bool:
            raise InvalidSetting("animation", "true or false", self.animation)
        if not isinstance(self.advanced, AdvancedSettings):
            raise InvalidSetting("advanced", "an AdvancedSettings", self.advanced)
